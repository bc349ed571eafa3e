# SPDX-License-Identifier: Apache-2.0
"""What of the root disk is kept, and what of it comes back.

Everything under /etc/mysql is kept.  Back come only files that somebody made or changed: a file as the old package shipped it
is the package's, and the new image has the new package's.  Only the old image can tell the two apart, so it lists what comes
back as empty files in a directory that is kept with the rest: below the digest, and readable from the names alone.  Beside it stands a
copy of each directory that is to be made anew, with its owner and its mode.

The old root disk may have been taken over, so the new one applies its own rules to each name: its places, its packages, its files.  It does not
yet ask whether the restored option files name what the list has, nor where a link leads.
"""
import contextlib
import functools
import hashlib
import os
import pathlib
import shutil
import stat
from collections.abc import Iterable, Sequence

from trove_upgrade.domain import logs, upgrade
from trove_upgrade.guestagent import foreign, listing
from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import named_files, option_files, trusted_places
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages

LOG = logs.get_logger(__name__)

NAME = 'named_files'
_NEVER = frozenset({'debian.cnf', 'debian-start'})
_LIST, _DIRECTORIES = 'to-restore', 'to-make'
_NAMED = 10
#: More than any option file of a package: the database's user may have made this one.
_SHIPPED_BYTES = 1 << 20


class Preserved:
    """The files of one root disk."""

    def __init__(self, context: base.DriverContext, configuration: option_files.Configuration, client_file: pathlib.Path) -> None:
        self._context = context
        self._configuration = configuration
        self._client_file = client_file
        self._root = context.etc.parent

    def check(self) -> upgrade.CheckResult:
        """Refuse what the configuration names outside of the volume and cannot come along."""
        refused = list(self._named.refused)
        if refused:
            return refusal(refused, self._context.etc / 'mysql')
        found = self._named
        return upgrade.CheckResult(NAME, 'ok', (
            f'All that the configuration names outside of the volume comes along: {len(found.files)} files, {len(found.directories)} directories.'))

    def roots(self) -> Sequence[pathlib.Path]:
        """What is kept, the lists included, which are written now."""
        etc = self._context.etc
        self._write_list()
        places = [etc / 'mysql', *listing.matching(etc, 'my.cnf*'), self._client_file,
                  *(path for path in self._named.files if not path.is_relative_to(etc / 'mysql')),
                  self._context.run / _LIST, self._context.run / _DIRECTORIES]
        return [path for path in dict.fromkeys(places) if os.path.lexists(path)]

    def comes_back(self) -> list[pathlib.Path]:
        """Regular files and links of this root disk that the new one gets."""
        shipped = self._shipped()
        etc = self._context.etc
        below = set(self._files([etc / 'mysql', *listing.matching(etc, 'my.cnf*')]))
        own = {path for path in below if path.suffix == '.cnf'} | (below & set(self._configuration.files))
        found = {path for path in own if path.name not in _NEVER and not _as_shipped(path, shipped)}
        if self._client_file.is_file() and not self._client_file.is_symlink():
            found.add(self._client_file)
        return sorted(found | {path for path in self._named.files if not _as_shipped(path, shipped)})

    @functools.cached_property
    def _named(self) -> named_files.Found:
        looked = named_files.NamedFiles(self._root, self._context.volume, Packages(self._root))
        looked.look(option for option in self._configuration.options if option_files.is_server_group(option.group))
        for path in self._configuration.files:
            if not self._is_usual(path) or path.is_symlink():
                looked.keep(path, 'an option file')
        for path in self._configuration.directories:
            looked.make(path, 'a directory of option files')
        return looked.found

    def _is_usual(self, path: pathlib.Path) -> bool:
        etc = self._context.etc
        return path.is_relative_to(etc / 'mysql') or (path.parent == etc and path.name.startswith('my.cnf')) or path == self._client_file

    def _write_list(self) -> None:
        for name in (_LIST, _DIRECTORIES):
            shutil.rmtree(self._context.run / name, ignore_errors=True)
            (self._context.run / name).mkdir(parents=True, mode=0o700)
        for path in self.comes_back():
            marker = self._context.run / _LIST / path.relative_to('/')
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch(mode=0o600)
        for path in self._named.directories:
            with listing.vanishing():
                status = path.stat()
                copy = self._context.run / _DIRECTORIES / path.relative_to('/')
                copy.mkdir(parents=True, exist_ok=True)
                os.chown(copy, status.st_uid, status.st_gid)
                copy.chmod(stat.S_IMODE(status.st_mode))

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


def refusal(refused: Sequence[str], place: pathlib.Path) -> upgrade.CheckResult:
    """Tell what is named and does not come."""
    more = f'; and {len(refused) - _NAMED} more' if len(refused) > _NAMED else ''
    return upgrade.CheckResult(NAME, 'refused', (
        f'The server cannot be upgraded: not all that its configuration names comes to the new root disk: {"; ".join(refused[:_NAMED])}{more}. '
        f'Put plain files that cannot be executed into a directory of the database\'s own, such as {place}, name them there, restart the server and '
        f'upgrade again.'), 'FILE_NOT_KEPT')


def chosen(context: base.DriverContext, stashed: Sequence[str], client_file: pathlib.Path) -> Sequence[str]:
    """Return the `stashed` files and links that come back to the root disk that runs: listed by the old image, and let in by this one.

    Nothing comes into a place that the system trusts, nothing over a file of this disk but the database's own option files.
    """
    prefix = f'{context.run / _LIST}/'
    listed = {'/' + name.removeprefix(prefix) for name in stashed if name.startswith(prefix)}
    packages = Packages(context.etc.parent)
    return [name for name in stashed if name in listed and _may_come(pathlib.Path(name), context, client_file, packages)]


def directories(context: base.DriverContext, stashed: Sequence[str]) -> Sequence[str]:
    """Return the `stashed` copies of directories that are to be made; they stand below the agent's own place for what is of a boot."""
    top = str(context.run / _DIRECTORIES)
    return [name for name in stashed if (name == top or name.startswith(f'{top}/')) and '..' not in pathlib.Path(name).parts]


def _may_come(path: pathlib.Path, context: base.DriverContext, client_file: pathlib.Path, packages: Packages) -> bool:
    etc, root = context.etc, context.etc.parent
    if '..' in path.parts or not path.is_relative_to(root) or path.name in _NEVER or '.so' in path.suffixes:
        return False
    real, real_root = pathlib.Path(os.path.realpath(path.parent)) / path.name, pathlib.Path(os.path.realpath(root))
    if path == client_file or (path.parent == etc and path.name.startswith('my.cnf')):
        return real == real_root / path.relative_to(root)
    if path.is_relative_to(etc / 'mysql') and path != etc / 'mysql':
        return real.is_relative_to(os.path.realpath(etc / 'mysql'))
    inside = trusted_places.inside(path, root)
    return (real.is_relative_to(real_root) and not trusted_places.is_trusted(inside)
            and not trusted_places.is_trusted(trusted_places.inside(real, real_root)) and not packages.own(inside) and not os.path.lexists(path))


def make_directories(context: base.DriverContext) -> None:
    """Make, with owner and mode, those that the restored configuration needs and this root disk lacks.  Safe to repeat.

    None that is there is changed, no link is followed, and nothing is made in a place that the system trusts.
    """
    copies = context.run / _DIRECTORIES
    if not copies.is_dir():
        return
    packages = Packages(context.etc.parent)
    for names, _, _, descriptor in foreign.walk(copies, levels=foreign.LEVELS):
        path = pathlib.Path('/').joinpath(*names)
        inside = trusted_places.inside(path, context.etc.parent)
        if names and not trusted_places.is_trusted(inside) and not packages.own(inside):
            _make(path, os.fstat(descriptor))


def _make(path: pathlib.Path, copy: os.stat_result) -> None:
    try:
        with contextlib.ExitStack() as opened:
            here = opened.enter_context(foreign.directory('/'))
            for name in path.parts[1:-1]:
                here = opened.enter_context(foreign.directory(name, below=here))
            os.mkdir(path.name, 0o700, dir_fd=here)
            made = opened.enter_context(foreign.directory(path.name, below=here))
            os.fchown(made, copy.st_uid, copy.st_gid)
            os.fchmod(made, stat.S_IMODE(copy.st_mode) & 0o1777)
    except FileExistsError:
        return
    except OSError as error:   # a link or a file is on the way: the server, or its trial, tells what it lacks
        LOG.warning('Directory %s of the former root disk is not made anew: %s', path, error.strerror)


def _as_shipped(path: pathlib.Path, shipped: dict[pathlib.Path, str]) -> bool:
    expected = shipped.get(path)
    if expected is None:
        return False
    try:
        return (path.stat().st_size <= _SHIPPED_BYTES
                and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == expected)
    except FileNotFoundError:
        return True   # it has gone since it was listed: nothing of it comes back
