# SPDX-License-Identifier: Apache-2.0
"""Files of the root disk that are kept, and those that come back.

Everything under /etc/mysql is kept.  Back come only files that were made or changed: a file as
the old package shipped it is the package's, and the new image has the new package's.  Only the old
image can tell the two apart, so it lists what comes back as empty files in a directory that is kept
with the rest: below the digest, and readable from the names alone.  Beside it stands a copy of each
directory, and an empty file for each log, that is to be made anew, with owner and mode.

The old root disk may have been taken over, so the new one decides by rules of its own: `admitted`.
"""

import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import shutil
import stat
from collections.abc import Iterable, Sequence

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import (
    client_options,
    code_options,
    named_files,
    option_files,
    option_source,
)
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages
from trove_upgrade.guestagent.machine import listing, untrusted_files
from trove_upgrade.guestagent.storage.stash import tree

NAME = 'named_files'
#: The distribution's own.
NEVER = frozenset({'debian.cnf', 'debian-start'})
#: Programs that root starts run these, from below /etc/mysql.  Source: Debian's mariadb.service;
#: MySQL Shell, "Working With Startup Scripts".
_RUN = ('debian-start', 'mysqlsh')
LIST, TO_MAKE = 'to-restore', 'to-make'
_NAMED = 100
#: More than any option file of a package: the database's user may have made this one.
_SHIPPED_BYTES = 1 << 20


class Preserved:
    """The files of one root disk."""

    def __init__(
        self,
        context: base.DriverContext,
        configuration: option_files.Configuration,
        client_file: pathlib.Path,
        user: str,
    ) -> None:
        """:param user: of the server."""
        self._context = context
        self._user = user
        self._packages = Packages(context.etc.parent)
        self._configuration = configuration
        self._client_file = client_file
        self._root = context.etc.parent

    def check(self) -> CheckResult:
        """Refuse what the configuration names outside of the volume and cannot come along."""
        groups = self._configuration.groups
        refused = [
            *self._named.refused,
            *unjudged(self._configuration, self._client_file, self._context.volume),
            *code_options.refused(
                [*self._configuration.options, *self._clients],
                self._packages,
                self._root,
                self._user,
                groups,
            ),
            *client_options.refused([*self._customers, *self._clients], groups),
        ]
        if refused:
            return refusal(refused, self._context.etc / 'mysql')
        found = self._named
        return CheckResult.ok(
            NAME,
            'All that the configuration names outside of the volume comes along: '
            f'{len(found.files)} files, {len(found.directories)} directories, '
            f'{len(found.logs)} empty logs.',
        )

    def roots(self) -> Sequence[pathlib.Path]:
        """Return what is kept, the lists included, which are written now."""
        etc = self._context.etc
        self._write_list()
        places = [
            etc / 'mysql',
            *listing.matching(etc, 'my.cnf*'),
            self._client_file,
            *(path for path in self._named.files if not path.is_relative_to(etc / 'mysql')),
            self._context.run / LIST,
            self._context.run / TO_MAKE,
        ]
        return [path for path in dict.fromkeys(places) if os.path.lexists(path)]

    def comes_back(self) -> list[pathlib.Path]:
        """Return the regular files and links of this root disk that the new one gets."""
        shipped = self._shipped()
        etc = self._context.etc
        below = set(self._files([etc / 'mysql', *listing.matching(etc, 'my.cnf*')]))
        own = {path for path in below if option_source.is_included(path.name)} | (
            below & set(self._configuration.files)
        )
        found = {path for path in own if not is_never_kept(path) and not _as_shipped(path, shipped)}
        if self._client_file.is_file() and not self._client_file.is_symlink():
            found.add(self._client_file)
        return sorted(
            found | {path for path in self._named.files if not _as_shipped(path, shipped)}
        )

    @property
    def _customers(self) -> Sequence[option_files.Option]:
        """Return the options of all files but those that are as a package has shipped them, and do
        not come.
        """
        shipped = self._shipped()
        kept = {path for path in self._configuration.files if not _as_shipped(path, shipped)}
        return [option for option in self._configuration.options if option.path in kept]

    @functools.cached_property
    def _clients(self) -> Sequence[option_files.Option]:
        return option_files.read(self._client_file, follow_includes=False).options

    @functools.cached_property
    def _named(self) -> named_files.Found:
        looked = named_files.NamedFiles(
            self._root,
            self._context.volume,
            self._context.data_directory,
            self._packages,
            self._configuration.groups,
        )
        looked.collect([*self._configuration.options, *self._clients])
        for path in self._configuration.files:
            if not self._is_usual(path) or path.is_symlink():
                looked.keep(path, 'an option file')
            elif path.parent not in {self._context.etc, self._context.etc / 'mysql'}:
                looked.make(path.parent, 'a directory of option files')
        for path in self._configuration.directories:
            looked.make(path, 'a directory of option files')
        return looked.found

    def _is_usual(self, path: pathlib.Path) -> bool:
        """Tell whether it is in one of the database's own places, reached by no link to
        elsewhere.
        """
        etc = pathlib.Path(os.path.realpath(self._context.etc))
        place = pathlib.Path(os.path.realpath(path.parent)) / path.name
        lexical = path.parent == self._context.etc or path.is_relative_to(
            self._context.etc / 'mysql'
        )
        return path == self._client_file or (
            lexical
            and (
                (place.parent == etc and path.name.startswith('my.cnf'))
                or place == etc / path.relative_to(self._context.etc)
            )
        )

    def _write_list(self) -> None:
        for name in (LIST, TO_MAKE):
            shutil.rmtree(self._context.run / name, ignore_errors=True)
            (self._context.run / name).mkdir(parents=True, mode=0o700)
        for path in self.comes_back():
            marker = self._context.run / LIST / path.relative_to('/')
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch(mode=0o600)
        for path in (*self._named.directories, *self._named.logs):
            with listing.vanishing():
                self._copy_empty(path)

    def _copy_empty(self, path: pathlib.Path) -> None:
        """Owner and mode of a directory or a log."""
        status = path.stat()
        copy = self._context.run / TO_MAKE / path.relative_to('/')
        if stat.S_ISDIR(status.st_mode):
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
        os.chown(copy, status.st_uid, status.st_gid)
        copy.chmod(stat.S_IMODE(status.st_mode))

    def _shipped(self) -> dict[pathlib.Path, str]:
        """Configuration files of packages with the md5 that they were shipped with.  Source: dpkg's
        status file, Conffiles.
        """
        root = self._context.etc.parent
        status = root / 'var/lib/dpkg/status'
        found: dict[pathlib.Path, str] = {}
        lines: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            lines = status.read_text(errors='replace').splitlines()
        for line in lines:
            if line.startswith(' /etc/my'):
                name, checksum = line.split()[:2]
                found[root / name.lstrip('/')] = checksum
        return found

    @staticmethod
    def _files(places: Iterable[pathlib.Path]) -> Iterable[pathlib.Path]:
        return (
            pathlib.Path(seen.path)
            for seen in tree.walk(places)
            if stat.S_ISREG(seen.status.st_mode)
        )


def is_never_kept(path: pathlib.Path) -> bool:
    """Return True for what the distribution's programs have as their own, or run: none of it comes
    from another root disk.
    """
    return '.so' in path.suffixes or any(
        part in NEVER or part.startswith(_RUN) for part in path.parts
    )


def unjudged(
    configuration: option_files.Configuration, client_file: pathlib.Path, volume: pathlib.Path
) -> list[str]:
    """Return option files that programs of root read and that no judgement of today holds for
    tomorrow.
    """
    real = pathlib.Path(os.path.realpath(volume))
    found = [
        f"{path} is an option file on the volume, where the database's user can change it"
        for path in configuration.files
        if pathlib.Path(os.path.realpath(path)).is_relative_to(real)
    ]
    if client_file.is_symlink():
        found.append(f'{client_file} is a link')
    else:
        clients = option_files.read(client_file)
        if len(clients.files) + len(clients.directories) + len(clients.absent) > 1:
            found.append(f'{client_file} includes other files')
        found += clients.unread
    return found


def refusal(refused: Sequence[str], place: pathlib.Path) -> CheckResult:
    """Tell what is named and does not come."""
    more = f'; and {len(refused) - _NAMED} more' if len(refused) > _NAMED else ''
    return CheckResult.refused(
        NAME,
        (
            'The server cannot be upgraded: not all that its configuration names comes to the new '
            f'root disk: {"; ".join(refused[:_NAMED])}{more}. '
            "Put plain files that cannot be executed into a directory of the database's own, such "
            f'as {place}, and name them there; let options that '
            'name programs, libraries or a user name those of the image, or take them out. '
            'Restart the server and upgrade again.'
        ),
        'FILE_NOT_KEPT',
    )


def _as_shipped(path: pathlib.Path, shipped: dict[pathlib.Path, str]) -> bool:
    expected = shipped.get(path)
    if expected is None:
        return False
    try:
        with os.fdopen(untrusted_files.open_regular(path, follow=True), 'rb') as stream:
            content = stream.read(_SHIPPED_BYTES + 1)
        return (
            len(content) <= _SHIPPED_BYTES
            and hashlib.md5(content, usedforsecurity=False).hexdigest() == expected
        )
    except FileNotFoundError:
        return True  # it has gone since it was listed: nothing of it comes back
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENXIO}:
            raise
        return False  # a pipe, a socket or a device: no package ships one there
