# SPDX-License-Identifier: Apache-2.0
"""Files and directories that the configuration names outside of the volume: those that come to the
new root disk, and those that cannot.

A file comes back if it is a plain one, cannot be executed, no package has brought it, and it lies
outside of the places that the system trusts; a link comes with what it leads to.  A directory for
files of a moment, or for logs, is made anew.  All else is refused by name, before anything stops: a
server that does not find what its configuration names does not start, or starts without its keys.
"""

import dataclasses
import os
import pathlib
import stat
from collections.abc import Iterable

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.datastores.mysql_family import (
    named_directories,
    option_files,
    option_groups,
    option_paths,
    trusted_places,
)
from trove_upgrade.guestagent.datastores.mysql_family.option_paths import Purpose
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.storage.sight import Sight
from trove_upgrade.guestagent.storage.stash.attributes import ACCESS_LIST

LOG = logs.get_logger(__name__)

#: Directories that each root disk has, and those that the service of the database makes.
_USUAL = frozenset(
    {
        '/',
        '/dev',
        '/dev/shm',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/etc',
        '/etc/mysql',
        '/home',
        '/opt',
        '/root',
        '/run',
        '/run/mariadb',
        '/run/mysqld',
        '/srv',
        '/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
        '/var',
        '/var/lib',
        '/var/log',
        '/var/log/mysql',
        '/var/run',
        '/var/tmp',  # noqa: S108  # nosec B108 # a place that is judged: nothing is made there
    }
)
#: Made on each machine by a script of a package: no package owns them, and each root disk has its
#: own.
_GENERATED = frozenset(
    {
        '/etc/ssl/certs/ca-certificates.crt',
        '/etc/ssl/certs/java/cacerts',
        '/etc/ssl/certs/ssl-cert-snakeoil.pem',
        '/etc/ssl/private/ssl-cert-snakeoil.key',
    }
)
_DEVICES = frozenset({'/dev/null', '/dev/stderr', '/dev/stdout', '/dev/zero'})  #: of each machine
_TRUSTED = 'is in a place that the system trusts'
_UNSEEN = "is where the server's user cannot look, so that the server cannot use it"
_OF_FILES = frozenset({Purpose.A_MOMENT, Purpose.MADE_BY_THE_SERVER, Purpose.A_FILE})
_LINKS = 10
_ENTRIES = 1024
_BYTES = 16 << 20


@dataclasses.dataclass(kw_only=True)
class Found:
    """Findings on one root disk, each path once: files, directories, logs and refusals."""

    #: plain files and links
    files: dict[pathlib.Path, None] = dataclasses.field(default_factory=dict)
    #: to be made anew
    directories: dict[pathlib.Path, None] = dataclasses.field(default_factory=dict)
    #: files to be made anew, empty, where the server itself cannot
    logs: dict[pathlib.Path, None] = dataclasses.field(default_factory=dict)
    refused: dict[str, None] = dataclasses.field(default_factory=dict)  #: for a person


class NamedFiles:
    """Goes over a configuration.  `root` is where the root disk is mounted: / outside of tests."""

    def __init__(
        self,
        root: pathlib.Path,
        volume: pathlib.Path,
        data_directory: pathlib.Path,
        packages: Packages,
        groups: option_groups.ServerGroups,
    ) -> None:
        """`groups` are those that the server reads."""
        self._root = self._real(root)
        self._volume = volume
        self._data_directory = data_directory
        self._packages = packages
        self._sight = Sight.of_owner(data_directory, self._root)
        self._sees_all = False  # while it goes over what root alone has named
        self._groups = groups
        self.found = Found()

    def collect(self, options: Iterable[option_files.Option]) -> None:
        """All that these options name."""
        for option in options:
            if not option_paths.counts(option, self._groups):
                continue
            self._sees_all = not self._groups.has(option.group) and _is_root_s(option)
            self._require_one_reading(option)
            for path in option_paths.paths_in(
                option.value or '', self._data_directory, exists=self._is_there
            ):
                with listing.vanishing():
                    self._named(
                        option_paths.purpose(option), path, f'{option.name}, {option.place}'
                    )
        self._sees_all = False

    def _require_one_reading(self, option: option_files.Option) -> None:
        if option_paths.purpose(option) in {Purpose.DATA, Purpose.NO_PATH}:
            return
        found = option_paths.in_doubt(option.value or '', self._data_directory, self._is_there)
        if found:
            names = ' or '.join(str(self._inside(path)) for path in found)
            self._refuse(
                found[-1],
                f'{option.name}, {option.place}',
                f'is one of those that may be meant: {names}',
            )

    def keep(self, path: pathlib.Path, why: str) -> None:
        """One more file or link that the server has read, or a directory with its files."""
        self._sees_all = True
        with listing.vanishing():
            self._one(path, why, links=0)
        self._sees_all = False

    def make(self, directory: pathlib.Path, why: str) -> None:
        """One more directory, whatever is in it."""
        with listing.vanishing():
            self._directory(directory, why)

    def _is_there(self, path: str) -> bool:
        return self._is_seen(pathlib.Path(path)) and os.path.lexists(path)

    def _is_seen(self, path: pathlib.Path) -> bool:
        return self._sees_all or self._sight.reaches(path)

    def _unseen(self, path: pathlib.Path, why: str) -> None:
        """One sentence for all that the tenant cannot see; an operator reads the rest in the
        guest's log.
        """
        self._refuse(path, why, _UNSEEN)
        LOG.warning(
            '%r (%s) does not come along: it %s there, where user %d cannot look',
            str(path),
            why,
            'is' if os.path.lexists(path) else 'is not',
            self._sight.uid,
        )

    def _named(self, purpose: Purpose, path: pathlib.Path, why: str) -> None:
        if not self._is_seen(path) and purpose in _OF_FILES:
            self._unseen(path, why)
            return
        match purpose:
            case Purpose.A_MOMENT:
                self._directory(path, why)
            case Purpose.MADE_BY_THE_SERVER:
                self._directory(path if path.is_dir() else path.parent, why)
                self._log(path, why)
            case Purpose.A_FILE:
                self._one(path, why, links=0)

    def _log(self, path: pathlib.Path, why: str) -> None:
        """A file that its owner could not make again: its directory is another user's."""
        place = self._real(path.parent) / path.name
        try:
            status, above = place.lstat(), place.parent.stat()
        except (OSError, ValueError):
            return
        may_make = (
            (above.st_mode & 0o002)
            or (above.st_uid == status.st_uid and above.st_mode & 0o200)
            or (above.st_gid == status.st_gid and above.st_mode & 0o020)
        )
        if stat.S_ISREG(status.st_mode) and not may_make and not self._is_elsewhere(place):
            if self._is_trusted(place):
                self._refuse(path, why, _TRUSTED)
            else:
                self.found.logs[place] = None

    def _directory(self, path: pathlib.Path, why: str) -> None:
        real = self._real(path)
        self._links_to(path / 'any', why, links=0)
        if self._is_elsewhere(real) or not real.is_dir():
            return
        if trusted_places.is_trusted_for_directories(self._inside(real), self._packages.own):
            if not self._is_usual(real):
                self._refuse(path, why, 'is a place that the system itself uses')
            return
        for part in reversed((real, *real.parents)):
            self._make(part)

    def _is_usual(self, real: pathlib.Path) -> bool:
        """Tell whether each root disk has it."""
        inside = self._inside(real)
        return str(inside) in _USUAL or self._packages.own(inside)

    def _one(self, path: pathlib.Path, why: str, links: int) -> None:
        """A file, a link, or a directory with files; what is not there is none of ours: the server
        does without it now.
        """
        if not self._is_seen(path):
            self._unseen(path, why)
            return
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return
        place = self._real(path.parent) / path.name
        if place != path and links < _LINKS:
            self._links_to(path, why, links)
        if self._is_elsewhere(place):
            if stat.S_ISLNK(status.st_mode) and links < _LINKS:
                self._target(place, why, links, with_directory=True)
        elif self._is_of_a_package(place):
            if stat.S_ISDIR(status.st_mode) and pathlib.Path('/etc') in self._inside(place).parents:
                self._directory_of_a_package(place, why, links)
        elif stat.S_ISLNK(status.st_mode):
            self._link(place, why, links, with_directory=True)
        elif stat.S_ISDIR(status.st_mode):
            self._directory_of_files(place, why, links)
        elif (reason := self._unfit(place, status)) is not None:
            self._refuse(path, why, reason)
        elif str(self._inside(place)) not in _DEVICES:
            self._add(place)

    def _add(self, place: pathlib.Path) -> None:
        """Add a file with the directories above it, which a server that writes beside it must own
        as before.
        """
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

    def _link(
        self, place: pathlib.Path, why: str, links: int, *, with_directory: bool = False
    ) -> None:
        """`with_directory`: what is in a directory that it leads to is named, too."""
        if self._is_of_alternatives(place):
            return
        if self._packages.own(self._inside(place)) and place.is_dir():
            if self._is_own(place):
                self._refuse(place, why, 'is a link, and each new root disk has a directory there')
        elif self._is_of_a_package(place):
            return
        elif self._is_trusted(place):
            self._refuse(place, why, _TRUSTED)
        elif links >= _LINKS:
            self._refuse(place, why, f'leads to a chain of more than {_LINKS} links')
        else:
            self._add(place)
            self._target(place, why, links, with_directory=with_directory)

    def _target(self, link: pathlib.Path, why: str, links: int, *, with_directory: bool) -> None:
        target = pathlib.Path(os.path.normpath(link.parent / link.readlink()))
        if with_directory or not target.is_dir():
            self._one(target, why, links + 1)

    def _directory_of_a_package(self, place: pathlib.Path, why: str, links: int) -> None:
        """Each root disk has its own, as /etc/ssl/certs; what was added by hand comes under the
        same rules as anything else.
        """
        for name in sorted(entry.name for entry in os.scandir(place)):
            with listing.vanishing():
                # a hash link leads to an entry, or to a file of a package
                path = self._real(place / name)
                if path.is_file() and not self._inside(path).is_relative_to('/usr/share'):
                    self._one(path, why, links + 1)

    def _is_of_a_package(self, place: pathlib.Path) -> bool:
        """An option file of a package that has been replaced by a link is the customer's."""
        inside = self._inside(place)
        if str(inside) in _GENERATED:
            return True
        return self._packages.own(inside) and not (self._is_own(place) and place.is_symlink())

    def _is_own(self, place: pathlib.Path) -> bool:
        inside = self._inside(place)
        return inside.is_relative_to('/etc/mysql') or str(inside).startswith('/etc/my.cnf')

    def _is_of_alternatives(self, place: pathlib.Path) -> bool:
        """Debian's my.cnf: what it leads to is the package's choice, of which the new root disk has
        its own.
        """
        return str(place.readlink()).startswith('/etc/alternatives/') or self._inside(
            place
        ).is_relative_to('/etc/alternatives')

    def _directory_of_files(self, place: pathlib.Path, why: str, links: int) -> None:
        """Look at what is in a directory, one level deep, as ssl-capath and includes name it."""
        if not self._sees_all and not self._sight.lists(place):
            self._unseen(place, why)
            return
        names = [entry.name for entry in os.scandir(place)]
        if trusted_places.is_trusted_for_directories(self._inside(place), self._packages.own):
            self._refuse(place, why, _TRUSTED)
        elif len(names) + len(self.found.files) > _ENTRIES:
            self._refuse(place, why, f'is one of directories with more than {_ENTRIES} entries')
        elif links < _LINKS:
            self._directory(place, why)
            for name in sorted(names):
                with listing.vanishing():
                    self._one_of_a_directory(place / name, why, links)

    def _one_of_a_directory(self, path: pathlib.Path, why: str, links: int) -> None:
        is_directory = path.is_dir() and not path.is_symlink()
        if is_directory or named_directories.is_read(path.name):
            self._one(path, why, links + 1)
        else:
            self._refuse(path, why, named_directories.REASON)

    def _unfit(self, place: pathlib.Path, status: os.stat_result) -> str | None:
        """Tell why this file may not come to another root disk; None if it may."""
        if str(self._inside(place)) in _DEVICES:
            return None
        if not stat.S_ISREG(status.st_mode):
            return 'is no plain file'
        if status.st_mode & 0o7111:
            return f'can be executed, or lends rights (mode {stat.S_IMODE(status.st_mode):04o})'
        if status.st_size > _BYTES:
            return f'is longer than {_BYTES >> 20} MiB'
        if ACCESS_LIST in os.listxattr(place):
            return 'has an access list, and its numbers mean other users on the new root disk'
        return _TRUSTED if self._is_trusted(place) else None

    def _is_trusted(self, place: pathlib.Path) -> bool:
        return trusted_places.is_trusted(self._inside(place), self._packages.own)

    def _refuse(self, path: pathlib.Path, why: str, reason: str) -> None:
        self.found.refused[f'{self._inside(path)} {reason} ({why})'] = None

    def _inside(self, path: pathlib.Path) -> pathlib.Path:
        return trusted_places.inside(path, self._root)

    def _is_elsewhere(self, place: pathlib.Path) -> bool:
        """Tell whether it is on the volume, or outside of the root disk."""
        return place.is_relative_to(self._real(self._volume)) or not place.is_relative_to(
            self._root
        )

    @staticmethod
    def _real(path: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(os.path.realpath(path))


def _is_root_s(option: option_files.Option) -> bool:
    """Return True for an option in a file that root alone writes to."""
    try:
        status = option.path.stat()
    except OSError:
        return False
    return status.st_uid == 0 and not status.st_mode & 0o022
