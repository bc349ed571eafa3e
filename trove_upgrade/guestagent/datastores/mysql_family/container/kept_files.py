# SPDX-License-Identifier: Apache-2.0
"""Kept files: those of the root disk that come back on the next one, where the server runs in a
container.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from trove_upgrade.guestagent.datastores.mysql_family import preserved


@dataclasses.dataclass(frozen=True)
class KeptFiles:
    """Files of one guest that its stash keeps, and those that come back."""

    mysql: pathlib.Path  #: /etc/mysql: all of it is Trove's there, none of it an image's
    own: Sequence[pathlib.Path]  #: the agent's own files

    def roots(self, markers: Sequence[pathlib.Path]) -> Sequence[pathlib.Path]:
        """Return those that are there; `markers` are kept besides."""
        return [path for path in (self.mysql, *self.own, *markers) if path.exists()]

    def coming_back(self, stashed: Sequence[str]) -> Sequence[str]:
        """Return those of the stashed paths that come back before `publish`; directories, too."""
        mysql, own = str(self.mysql), {str(path) for path in self.own}
        return [
            path
            for path in stashed
            if path == mysql
            or path in own
            or (path.startswith(f'{mysql}/') and not preserved.is_never_kept(pathlib.Path(path)))
        ]
