# SPDX-License-Identifier: Apache-2.0
"""Files that the packages of a root disk have brought.  Source: dpkg(1), "FILES": a list of files
beside each package's scripts.
"""

import functools
import pathlib

from trove_upgrade.guestagent.machine import listing

_LISTS = pathlib.PurePosixPath('var/lib/dpkg/info')


class Packages:
    """Files of the packages of one root disk; none where it has no dpkg."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root

    def own(self, path: pathlib.Path) -> bool:
        """Return True if a package has brought `path`, as the system on that root disk calls it."""
        return str(path) in self._all

    @functools.cached_property
    def _all(self) -> frozenset[str]:
        found: set[str] = set()
        for file in listing.matching(self._root / _LISTS, '*.list'):
            with listing.vanishing():
                found.update(
                    file.read_text(encoding='utf-8', errors='surrogateescape').splitlines()
                )
        # Files of merged directories are listed by their former names.  Source: Debian's UsrMerge.
        found |= {f'/usr{name}' for name in found if name.startswith(('/bin/', '/lib', '/sbin/'))}
        return frozenset(found)
