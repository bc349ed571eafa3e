# SPDX-License-Identifier: Apache-2.0
"""What of the root disk is kept, and what of it comes back.

Everything under /etc/mysql is kept.  Back come only files that somebody made or changed: a file as the old package shipped it
is the package's, and the new image has the new package's.  Only the old image can tell the two apart, so it lists what comes
back as empty files in a directory that is kept with the rest: below the digest, and readable from the names alone.
"""
import contextlib
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterable, Sequence

from trove_upgrade.guestagent import listing
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import option_files

_TLS_OPTIONS = frozenset({
    'ssl-ca', 'ssl-capath', 'ssl-cert', 'ssl-key', 'ssl-crl', 'ssl-crlpath', 'admin-ssl-ca', 'admin-ssl-cert', 'admin-ssl-key',
    'file-key-management-filename', 'file-key-management-filekey',
})
_NEVER = frozenset({'debian.cnf', 'debian-start'})
_LIST = 'to-restore'
#: More than any option file of a package: the database's user may have made this one.
_SHIPPED_BYTES = 1 << 20


class Preserved:
    """The files of one root disk."""

    def __init__(self, context: base.DriverContext, configuration: option_files.Configuration, client_file: pathlib.Path) -> None:
        self._context = context
        self._configuration = configuration
        self._client_file = client_file

    @property
    def list_directory(self) -> pathlib.Path:
        """Where the names of what comes back are written."""
        return self._context.run / _LIST

    def roots(self) -> Sequence[pathlib.Path]:
        """What is kept, the list included, which is written now."""
        etc = self._context.etc
        self._write_list()
        places = [etc / 'mysql', *listing.matching(etc, 'my.cnf*'), self._client_file,
                  *(path for path in self._tls() if not path.is_relative_to(etc / 'mysql')), self.list_directory]
        return [path for path in dict.fromkeys(places) if path.exists()]

    def comes_back(self) -> list[pathlib.Path]:
        """Regular files of this root disk that the new one gets."""
        shipped = self._shipped()
        tls = set(self._files(self._tls()))
        etc = self._context.etc
        configuration = set(self._files([etc / 'mysql', *listing.matching(etc, 'my.cnf*')])) | set(self._configuration_files())
        found = {path for path in configuration if path.suffix == '.cnf' and path.name not in _NEVER and not _as_shipped(path, shipped)}
        if self._client_file.is_file() and not self._client_file.is_symlink():
            found.add(self._client_file)
        return sorted(found | tls)

    def _configuration_files(self) -> Iterable[pathlib.Path]:
        etc = self._context.etc
        return (path for path in self._configuration.files if path.is_relative_to(etc) and not path.is_symlink())

    def _write_list(self) -> None:
        if self.list_directory.exists():
            shutil.rmtree(self.list_directory)
        self.list_directory.mkdir(parents=True, mode=0o700)
        for path in self.comes_back():
            marker = self.list_directory / path.relative_to('/')
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch(mode=0o600)

    def _tls(self) -> list[pathlib.Path]:
        """Key material that the configuration names and that is not on the volume anyway."""
        named = [pathlib.Path(option.value) for option in self._configuration.options
                 if option.value and option.name.removeprefix('loose-') in _TLS_OPTIONS]
        return [path for path in dict.fromkeys(named) if path.is_absolute() and os.path.exists(path)  # noqa: PTH110 - a tenant's name can be too long for pathlib
                and not path.is_relative_to(self._context.volume)]

    def _shipped(self) -> dict[pathlib.Path, str]:
        """Configuration files of packages with the md5 that they were shipped with.  Source: dpkg's status file, Conffiles."""
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
        return (path for place in places for path in listing.plain_files(place))


def chosen(context: base.DriverContext, stashed: Sequence[str]) -> Sequence[str]:
    """Which of the `stashed` names come back: those that the old image listed.

    Works on any root disk: nothing but the names is looked at.
    """
    prefix = f'{context.run / _LIST}/'
    listed = {'/' + name.removeprefix(prefix) for name in stashed if name.startswith(prefix)}
    return [name for name in stashed if name in listed]


def _as_shipped(path: pathlib.Path, shipped: dict[pathlib.Path, str]) -> bool:
    expected = shipped.get(path)
    if expected is None:
        return False
    try:
        return (path.stat().st_size <= _SHIPPED_BYTES
                and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == expected)
    except FileNotFoundError:
        return True   # it has gone since it was listed: nothing of it comes back
