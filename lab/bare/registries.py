# SPDX-License-Identifier: Apache-2.0
"""Settings that lead this machine to its package registries: taken over into the bare machine,
written down nowhere else.

A machine may reach PyPI and Debian through mirrors, with certificates and constraints of its own.
The bare machine gets the name servers, the certificates, the settings of pip and uv, and every file
that those name.  Apt's settings go another way: see `root.py`.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import urllib.parse
from collections.abc import Iterable, Mapping

from lab import errors

_NAMES = re.compile(
    r'^(PIP_|UV_|REQUESTS_CA_BUNDLE$|CURL_CA_BUNDLE$|SSL_CERT_|GIT_SSL_|NODE_EXTRA_CA_CERTS$'
    r'|(HTTP|HTTPS|FTP|NO|ALL)_PROXY$)',
    re.IGNORECASE,
)
#: A cache, an interpreter or a place of the machine would hide what a new machine lacks.
_NOT_TAKEN = re.compile(
    r'^(PIP_(CACHE_DIR|PREFIX|PYTHON|REQUIRE_VIRTUALENV|ROOT|SRC|TARGET|USER)'
    r'|UV_(CACHE_DIR|PROJECT.*|PYTHON.*|SYSTEM_PYTHON|TOOL.*))$'
)
_RESOLVER = pathlib.PurePosixPath('/etc/resolv.conf')
#: The name servers behind a local one.  Source: systemd-resolved.service(8), "/etc/resolv.conf".
_UPSTREAM = '/run/systemd/resolve/resolv.conf'
_NAME_SERVER = re.compile(r'^nameserver\s+(\S+)', re.MULTILINE)
#: An address that a network namespace of its own does not reach.
_OWN_ADDRESS = re.compile(
    r'(?<!file)://([^/@\s]*@)?(localhost|127(\.\d+){3}|\[::1\])(?![\w.-])', re.IGNORECASE
)
_FILES = (
    '/etc/hosts',
    '/etc/pip.conf',
    '/etc/xdg/pip',
    '/etc/xdg/uv',
    '/etc/uv',
    '/etc/ssl/certs/ca-certificates.crt',
    '/usr/local/share/ca-certificates',
    '/etc/apt/auth.conf',
    '/etc/apt/auth.conf.d',
)
_HOME_FILES = ('.pip', '.config/pip', '.config/uv', '.netrc')
_WORDS = re.compile(r'[\s,;="\'\[\]]+')
_FILE_ADDRESS = re.compile(r'^file:(//(localhost)?)?(?=/)')
#: A file of constraints may name the next one by where it is itself.
_BESIDE = re.compile(r'^(?!/)[\w./-]+\.txt$')
_LINK = re.compile(r'href="([^":#]+)')  #: a relative one
_SEARCHED_BYTES = 1 << 20  #: settings are shorter
_HOME = pathlib.PurePosixPath('/root')  #: of the bare machine's user


@dataclasses.dataclass(frozen=True)
class Taken:
    """Configuration of package registries that a bare machine takes over."""

    environ: Mapping[str, str]
    #: path on this machine -> path in the bare machine
    files: Mapping[pathlib.Path, pathlib.PurePosixPath]
    #: local indexes and the like, which may be large: shown and not copied
    directories: tuple[pathlib.Path, ...]

    def write(self, root: pathlib.Path) -> None:
        """Copy the files below `root`; a later call writes the same again."""
        for source, target in self.files.items():
            destination = root / target.relative_to('/')
            destination.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, destination, dirs_exist_ok=True)
            else:
                destination.unlink(missing_ok=True)
                shutil.copyfile(source, destination)


def taken(
    environ: Mapping[str, str],
    options: Iterable[str] = (),
    machine: pathlib.Path = pathlib.Path('/'),
) -> Taken:
    """Return what leads the machine below `machine` to its registries, with this
    environment and these options of apt.

    :raises errors.LabError: a name server, proxy or registry has an address that only the machine
        itself reaches.
    """
    variables = {
        name: value
        for name, value in environ.items()
        if _NAMES.match(name) and not _NOT_TAKEN.match(name.upper())
    }
    files = _settings(machine, pathlib.Path(environ.get('HOME') or '/root'))
    directories: set[pathlib.Path] = set()
    names = {name for text in (*variables.values(), *options) for name in _absolute(text)}
    names |= {name for place in files for name in _named_in(place, machine)}
    while names:
        name = names.pop()
        path = _below(machine, name)
        if path.is_file() and path not in files:
            files[path] = pathlib.PurePosixPath(name)
            names |= _named_in(path, machine)
        elif path.is_dir() and pathlib.Path(name) not in directories:
            directories.add(pathlib.Path(name))
            names |= {f'/{one.relative_to(machine)}' for one in _linked_from(path)}
    _refuse_own_addresses(variables, options, files)
    files |= dict.fromkeys(_resolver(machine), _RESOLVER)
    return Taken(variables, files, tuple(sorted(directories)))


def _settings(
    machine: pathlib.Path, home: pathlib.Path
) -> dict[pathlib.Path, pathlib.PurePosixPath]:
    """Files and directories of settings that the machine has, and where the bare machine has
    them.
    """
    files = {
        path: pathlib.PurePosixPath(name)
        for name in _FILES
        if (path := _below(machine, name)).exists()
    }
    return files | {
        path: _HOME / name
        for name in _HOME_FILES
        if (path := _below(machine, str(home / name))).exists()
    }


def _resolver(machine: pathlib.Path) -> list[pathlib.Path]:
    """File with name servers that are elsewhere; none where the machine has no such file."""
    usual = _below(machine, str(_RESOLVER))
    found = [path for path in (usual, _below(machine, _UPSTREAM)) if path.is_file()]
    usable = [path for path in found if not _is_local(path.read_text('utf-8', errors='replace'))]
    if found and not usable:
        raise errors.LabError(
            f'Every name server in {_RESOLVER} is this machine itself, and {_UPSTREAM} names no '
            'other. The bare machine has a network namespace of its own and cannot reach it. Name '
            f'another server in {_RESOLVER}, then run it again.'
        )
    return usable[:1]


def _is_local(resolver: str) -> bool:
    servers = _NAME_SERVER.findall(resolver)
    # no server means the machine's own: resolv.conf(5)
    return all(server.startswith('127.') or server == '::1' for server in servers)


def _refuse_own_addresses(
    variables: Mapping[str, str], options: Iterable[str], files: Iterable[pathlib.Path]
) -> None:
    settings = [
        path
        for file in files
        for path in (file.rglob('*') if file.is_dir() else [file])
        if path.is_file()
        and path.suffix not in {'.whl', '.gz', '.deb'}
        and path.stat().st_size <= _SEARCHED_BYTES
    ]
    found = [name for name, value in variables.items() if _OWN_ADDRESS.search(value)]
    # the rest of an option may hold a password
    found += [re.split(r'[\s=]', option)[0] for option in options if _OWN_ADDRESS.search(option)]
    found += [
        str(path)
        for path in settings
        if _OWN_ADDRESS.search(path.read_text('utf-8', errors='replace'))
    ]
    if found:
        raise errors.LabError(
            'Settings name a proxy or a registry on this machine itself: '
            f'{", ".join(sorted(found))}. The bare machine has a network namespace of its own and '
            'cannot reach it. Let it listen on another address and name that, then run it again.'
        )


def _below(machine: pathlib.Path, name: str) -> pathlib.Path:
    return machine / name.lstrip('/')


def _absolute(text: str) -> set[str]:
    """Absolute paths among the words of a text, also as file: addresses."""
    words = {_FILE_ADDRESS.sub('', word) for word in _WORDS.split(text)}
    return {word.rstrip('/') for word in words if word.startswith('/') and word.strip('/')}


def _named_in(place: pathlib.Path, machine: pathlib.Path) -> set[str]:
    """Paths that a file of settings, or the files of a directory, name."""
    found: set[str] = set()
    for path in place.rglob('*') if place.is_dir() else [place]:
        if path.is_file() and path.stat().st_size <= _SEARCHED_BYTES:
            text = path.read_text('utf-8', errors='replace')
            beside = [path.parent / word for word in _WORDS.split(text) if _BESIDE.match(word)]
            found |= _absolute(text) | {
                f'/{one.relative_to(machine)}' for one in beside if one.is_file()
            }
    return found


def _linked_from(index: pathlib.Path) -> set[pathlib.Path]:
    """Directories outside of a local package index that its pages link to.  Source: PEP 503,
    "Simple Repository API".
    """
    pages = [page for page in index.glob('*/index.html') if page.stat().st_size <= _SEARCHED_BYTES]
    links = {
        pathlib.Path(os.path.normpath(page.parent / urllib.parse.unquote(link)))
        for page in pages
        for link in _LINK.findall(page.read_text('utf-8', errors='replace'))
    }
    return {link.parent for link in links if link.is_file() and not link.is_relative_to(index)}
