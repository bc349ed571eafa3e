# SPDX-License-Identifier: Apache-2.0
"""Digest of what a trial has tried: the image, the options of the container's command, and all that
comes back below /etc/mysql.

The former root disk keeps it before the stop; the new one tries again what is another one then.
The tenant may write to /etc/mysql, so the files of the stop need not be those of the trial.  Option
files elsewhere, by a link or by a line that includes, have no digest: they are tried each time.
"""

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Callable, Iterator

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import option_files, preserved
from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.datastores.mysql_family.container.record import ImageChoice, Record
from trove_upgrade.guestagent.machine import durable, untrusted_files

LOG = logs.get_logger(__name__)
_PIECE_BYTES = 1 << 20


class Tried:
    """The digest of the last trial, as a file of this root disk; the stash keeps it."""

    def __init__(
        self,
        path: pathlib.Path,
        mysql: pathlib.Path,
        configuration: Callable[[], option_files.Configuration],
    ) -> None:
        """`mysql` is /etc/mysql of the guest."""
        self.path = path
        self._mysql = mysql
        self._configuration = configuration

    def digest(self, image: ImageChoice, record: Record) -> str:
        """Return the digest of what a trial would see now.

        :raises OSError: a file cannot be read.
        """
        found = hashlib.sha256()
        options = definition.options(record.definition)
        for part in (json.dumps([image.image_id, options]), *self._files()):
            found.update(f'{part}\n'.encode())
        return found.hexdigest()

    def remember(self, digest: str) -> None:
        """Keep what the trial has accepted, durably."""
        durable.make_directory(self.path.parent, 0o700)
        durable.write_json(self.path, {'digest': digest})

    def is_same(self, image: ImageChoice, record: Record) -> bool:
        """Return whether what would be tried now is what was accepted; True where an agent of an
        earlier release has kept none.
        """
        try:
            kept = durable.read_json(self.path).get('digest')
        except FileNotFoundError:
            return True
        except (OSError, ValueError) as error:
            LOG.warning('%s cannot be read, the configuration is tried again: %s', self.path, error)
            return False
        return not self._leads_elsewhere() and bool(kept == self.digest(image, record))

    def _leads_elsewhere(self) -> bool:
        read = self._configuration()
        return bool(read.unread) or any(
            not pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._mysql))
            for path in (*read.files, *read.directories)
        )

    def _files(self) -> Iterator[str]:
        """Yield a line for each file and each link; others a server's option file cannot be."""
        lines = []
        for above, _, names, directory in untrusted_files.walk(
            self._mysql, levels=untrusted_files.LEVELS
        ):
            for name in names:
                path = self._mysql.joinpath(*above, name)
                if not preserved.is_never_kept(path):
                    lines.append(json.dumps([*above, name, _content(name, directory)]))
        yield from sorted(lines)


def _content(name: str, directory: int) -> str:
    """Return what a link leads to, or a digest of a plain file; nothing of what has gone."""
    try:
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return f'-> {os.readlink(name, dir_fd=directory)}'
        descriptor = untrusted_files.open_regular(name, below=directory)
    except OSError:
        return ''
    found = hashlib.sha256()
    with os.fdopen(descriptor, 'rb') as stream:
        while piece := stream.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()
