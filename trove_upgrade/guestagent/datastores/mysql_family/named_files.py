# SPDX-License-Identifier: Apache-2.0
"""Files and directories that the configuration names outside of the volume: those that come to the new root disk, and those that cannot.

A file comes back if it is a plain one, cannot be executed, no package has brought it, and it lies outside of the places that the system
trusts; a link comes with what it leads to.  A directory for files of a moment, or for logs, is made anew.  All else is refused by name,
before anything stops: a server that does not find what its configuration names does not start, or starts without its keys.
"""

import dataclasses
import os
import pathlib
import re
import stat
from collections.abc import Iterable, Iterator

from trove_upgrade.guestagent import listing
from trove_upgrade.guestagent.datastores.mysql_family import (
    data_places,
    option_files,
    trusted_places,
)
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages

#: What is in them is of a moment: they are made anew, empty.
_FOR_A_MOMENT = frozenset(
    {
        'tmpdir',
        'innodb-tmpdir',
        'slave-load-tmpdir',
        'replica-load-tmpdir',
        'secure-file-priv',
        'innodb-redo-log-archive-dirs',
    }
)
#: Files that the server makes; their directory must be there.
_MADE_BY_THE_SERVER = frozenset(
    {
        'log-error',
        'slow-query-log-file',
        'log-slow-query-file',
        'general-log-file',
        'pid-file',
        'socket',
        'server-audit-file-path',
        'audit-log-file',
        'sql-error-log-filename',
        'mysqlx-socket',
        'log-isam',
        'admin-socket',
        'innodb-buffer-pool-filename',
    }
)
#: What they name is run, or holds what is: it is the image's.
_CODE = frozenset(
    {'basedir', 'chroot', 'plugin-dir', 'wsrep-provider', 'wsrep-notify-cmd', 'malloc-lib', 'ledir'}
)
#: Places of data: `data_places` asks the running server for them, under these names or those that the server derives from them.
_DATA = frozenset(
    {*map(option_files.canonical, data_places.VARIABLES), 'log-bin', 'log-basename', 'relay-log'}
)
#: Directories that each root disk has, and those that the service of the database makes.
_USUAL = frozenset(
    {
        '/',
        '/dev',
        '/dev/shm',  # noqa: S108
        '/etc',
        '/etc/mysql',
        '/home',
        '/opt',
        '/root',
        '/run',
        '/run/mariadb',
        '/run/mysqld',
        '/srv',
        '/tmp',  # noqa: S108
        '/var',
        '/var/lib',
        '/var/log',
        '/var/log/mysql',
        '/var/run',
        '/var/tmp',  # noqa: S108
    }
)
#: Values in which a slash begins no path.
_NO_PATHS = frozenset(
    {
        'init-connect',
        'init-slave',
        'init-replica',
        'plugin-load',
        'plugin-load-add',
        'early-plugin-load',
        'optimizer-switch',
        'wsrep-cluster-address',
        'wsrep-provider-options',
        'ssl-cipher',
        'tls-ciphersuites',
        'ft-boolean-syntax',
        'password',
        'report-password',
        'sql-mode',
    }
)
_BETWEEN = re.compile(r'[;:,]')
_LINKS = 10
_ENTRIES = 1024
_BYTES = 16 << 20


@dataclasses.dataclass
class Found:
    """Of one root disk, each path once."""

    files: dict[pathlib.Path, None] = dataclasses.field(
        default_factory=dict
    )  #: plain files and links
    directories: dict[pathlib.Path, None] = dataclasses.field(
        default_factory=dict
    )  #: to be made anew
    refused: dict[str, None] = dataclasses.field(default_factory=dict)  #: for a person


class NamedFiles:
    """Goes over a configuration.  `root` is where the root disk is mounted: / outside of tests."""

    def __init__(self, root: pathlib.Path, volume: pathlib.Path, packages: Packages) -> None:
        self._root = self._real(root)
        self._volume = volume
        self._packages = packages
        self.found = Found()

    def look(self, options: Iterable[option_files.Option]) -> None:
        """All that these options name."""
        for option in options:
            name = option.name.removeprefix('loose-')
            if name not in _DATA and name not in _NO_PATHS:
                for path in paths_in(option.value or ''):
                    with listing.vanishing():
                        self._named(name, path, f'{option.name}, {option.place}')

    def keep(self, path: pathlib.Path, why: str) -> None:
        """One more file or link, or a directory with its files."""
        with listing.vanishing():
            self._one(path, why, links=0)

    def make(self, directory: pathlib.Path, why: str) -> None:
        """One more directory, whatever is in it."""
        with listing.vanishing():
            self._directory(directory, why)

    def _named(self, name: str, path: pathlib.Path, why: str) -> None:
        if name in _FOR_A_MOMENT:
            self._directory(path, why)
        elif name in _MADE_BY_THE_SERVER:
            self._directory(path.parent, why)
        elif name in _CODE:
            self._code(path, why)
        else:
            self._one(path, why, links=0)

    def _code(self, path: pathlib.Path, why: str) -> None:
        real = self._real(path)
        if (
            real.exists()
            and not self._packages.own(self._inside(real))
            and not self._inside(real).is_relative_to('/usr')
        ):
            self._refuse(
                path, why, 'is of no package, and programs or libraries come from the image alone'
            )

    def _directory(self, path: pathlib.Path, why: str) -> None:
        real = self._real(path)
        self._links_to(path / 'any', why, links=0)
        if self._is_elsewhere(real) or not real.is_dir():
            return
        if trusted_places.is_trusted(self._inside(real)):
            if not self._is_usual(real):
                self._refuse(path, why, 'is a place that the system itself uses')
            return
        for part in reversed((real, *real.parents)):
            self._make(part)

    def _is_usual(self, real: pathlib.Path) -> bool:
        """There on each root disk."""
        inside = self._inside(real)
        return str(inside) in _USUAL or self._packages.own(inside)

    def _one(self, path: pathlib.Path, why: str, links: int) -> None:
        """A file, a link, or a directory with files; what is not there is none of ours: the server does without it now."""
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return
        place = self._real(path.parent) / path.name
        if place != path and links < _LINKS:
            self._links_to(path, why, links)
        if self._is_elsewhere(place) or self._is_of_a_package(place):
            return
        if stat.S_ISLNK(status.st_mode):
            self._link(place, why, links)
        elif stat.S_ISDIR(status.st_mode):
            self._directory_of_files(place, why, links)
        elif (reason := self._unfit(place, status)) is not None:
            self._refuse(path, why, reason)
        else:
            self._add(place)

    def _add(self, place: pathlib.Path) -> None:
        """With the directories above, which a server that writes beside it must own as before."""
        self.found.files[place] = None
        for part in reversed(place.parents):
            self._make(part)

    def _make(self, directory: pathlib.Path) -> None:
        if (
            directory != self._root
            and directory.is_relative_to(self._root)
            and not self._is_usual(directory)
        ):
            self.found.directories[directory] = None

    def _links_to(self, path: pathlib.Path, why: str, links: int) -> None:
        """Directories on the way that are links."""
        for part in reversed(path.parents):
            if part.is_symlink() and part.is_relative_to(self._root):
                self._link(self._real(part.parent) / part.name, why, links)

    def _link(self, place: pathlib.Path, why: str, links: int) -> None:
        if self._is_of_a_package(place) or self._is_of_alternatives(place):
            return
        if trusted_places.is_trusted(self._inside(place)):
            self._refuse(place, why, 'is in a place that the system trusts')
        elif links >= _LINKS:
            self._refuse(place, why, f'leads to a chain of more than {_LINKS} links')
        else:
            self._add(place)
            target = pathlib.Path(os.path.normpath(place.parent / place.readlink()))
            if not target.is_dir():
                self._one(target, why, links + 1)

    def _is_of_a_package(self, place: pathlib.Path) -> bool:
        """An option file of a package that has been replaced by a link is the customer's."""
        inside = self._inside(place)
        own = inside.is_relative_to('/etc/mysql') or str(inside).startswith('/etc/my.cnf')
        return self._packages.own(inside) and not (own and place.is_symlink())

    def _is_of_alternatives(self, place: pathlib.Path) -> bool:
        """Debian's my.cnf: what it leads to is the package's choice, of which the new root disk has its own."""
        return str(place.readlink()).startswith('/etc/alternatives/') or self._inside(
            place
        ).is_relative_to('/etc/alternatives')

    def _directory_of_files(self, place: pathlib.Path, why: str, links: int) -> None:
        """As ssl-capath and includes name: what is in it, one level deep."""
        names = [entry.name for entry in os.scandir(place)]
        if trusted_places.is_trusted(self._inside(place)):
            self._refuse(place, why, 'is a place that the system trusts')
        elif len(names) > _ENTRIES:
            self._refuse(place, why, f'has more than {_ENTRIES} entries')
        elif links < _LINKS:
            self._directory(place, why)
            for name in sorted(names):
                with listing.vanishing():
                    self._one(place / name, why, links + 1)

    def _unfit(self, place: pathlib.Path, status: os.stat_result) -> str | None:
        """Why this file may not come to another root disk."""
        if not stat.S_ISREG(status.st_mode):
            return 'is no plain file'
        if status.st_mode & 0o7111:
            return f'can be executed, or lends rights (mode {stat.S_IMODE(status.st_mode):04o})'
        if status.st_size > _BYTES:
            return f'is longer than {_BYTES >> 20} MiB'
        return (
            'is in a place that the system trusts'
            if trusted_places.is_trusted(self._inside(place))
            else None
        )

    def _refuse(self, path: pathlib.Path, why: str, reason: str) -> None:
        self.found.refused[f'{self._inside(path)} {reason} ({why})'] = None

    def _inside(self, path: pathlib.Path) -> pathlib.Path:
        return trusted_places.inside(path, self._root)

    def _is_elsewhere(self, place: pathlib.Path) -> bool:
        """On the volume, or outside of the root disk."""
        return place.is_relative_to(self._real(self._volume)) or not place.is_relative_to(
            self._root
        )

    @staticmethod
    def _real(path: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(os.path.realpath(path))


def paths_of(options: Iterable[option_files.Option]) -> dict[pathlib.Path, str]:
    """Map each path to its option, of all that must be there when a server starts: neither places of data nor what it makes itself."""
    found: dict[pathlib.Path, str] = {}
    for option in options:
        name = option.name.removeprefix('loose-')
        if name not in _DATA | _NO_PATHS | _MADE_BY_THE_SERVER:
            found.update(
                dict.fromkeys(paths_in(option.value or ''), f'{option.name}, {option.place}')
            )
    return found


def paths_in(value: str) -> Iterator[pathlib.Path]:
    """Absolute paths of one value: all of it, or its parts between colons, semicolons and commas, as in FILE:/a or /a:/b."""
    if value.startswith('/') and os.path.lexists(value):
        yield pathlib.Path(value)
        return
    for part in _BETWEEN.split(value):
        if part.strip().startswith('/') and '\0' not in part:
            yield pathlib.Path(part.strip())
