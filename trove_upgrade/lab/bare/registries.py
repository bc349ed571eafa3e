# SPDX-License-Identifier: Apache-2.0
"""Settings that lead this machine to its package registries: taken over into the bare machine, written down nowhere else.

A machine may reach PyPI and Debian through mirrors, with certificates and constraints of its own.  The bare machine gets the
name servers, the certificates, the settings of pip and uv, and every file that those name.  Apt's settings go another way: see
`root.py`.
"""

import dataclasses
import pathlib
import re
import shutil
from collections.abc import Iterable, Mapping

_NAMES = re.compile(r'^(PIP_|UV_|REQUESTS_CA_BUNDLE$|CURL_CA_BUNDLE$|SSL_CERT_|GIT_SSL_|NODE_EXTRA_CA_CERTS$'
                    r'|(HTTP|HTTPS|FTP|NO|ALL)_PROXY$)', re.IGNORECASE)
#: A cache or an interpreter of the machine would hide what a new machine lacks.
_NOT_TAKEN = re.compile(r'CACHE|PYTHON|TARGET|PREFIX|USER|VENV')
_FILES = ('/etc/resolv.conf', '/etc/hosts', '/etc/pip.conf', '/etc/xdg/pip', '/etc/xdg/uv', '/etc/uv',
          '/etc/ssl/certs/ca-certificates.crt', '/usr/local/share/ca-certificates', '/etc/apt/auth.conf', '/etc/apt/auth.conf.d')
_HOME_FILES = ('.pip', '.config/pip', '.config/uv', '.netrc')
#: Settings in these may name further files; the others are data.
_SETTINGS = re.compile(r'(^|/)(pip|uv)(\.conf|\.toml|/)')
_WORDS = re.compile(r'[\s,;="\'\[\]]+')
_HOME = pathlib.PurePosixPath('/root')  #: of the bare machine's user


@dataclasses.dataclass(frozen=True)
class Taken:
    """Everything that is taken over."""

    environ: Mapping[str, str]
    files: Mapping[pathlib.Path, pathlib.PurePosixPath]  #: path on this machine -> path in the bare machine
    directories: tuple[pathlib.Path, ...]  #: local indexes and the like, which may be large: shown and not copied

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


def taken(environ: Mapping[str, str], machine: pathlib.Path = pathlib.Path('/')) -> Taken:
    """Return what leads the machine whose root is `machine`, with this environment, to its registries."""
    variables = {name: value for name, value in environ.items() if _NAMES.match(name) and not _NOT_TAKEN.search(name.upper())}
    home = pathlib.Path(environ.get('HOME') or '/root')
    files = {path: pathlib.PurePosixPath(name) for name in _FILES if (path := _below(machine, name)).exists()}
    files |= {path: _HOME / name for name in _HOME_FILES if (path := _below(machine, str(home / name))).exists()}
    directories = set()
    for name in _named(variables.values(), [path for path in files if _SETTINGS.search(str(path))]):
        path = _below(machine, name)
        if path.is_file():
            files.setdefault(path, pathlib.PurePosixPath(name))
        elif path.is_dir():
            directories.add(pathlib.Path(name))
    return Taken(variables, files, tuple(sorted(directories)))


def _below(machine: pathlib.Path, name: str) -> pathlib.Path:
    return machine / name.lstrip('/')


def _named(values: Iterable[str], places: Iterable[pathlib.Path]) -> set[str]:
    """Absolute paths, also as file: addresses, in values of variables and in files of settings."""
    texts = list(values)
    for place in places:
        files = [path for path in place.rglob('*') if path.is_file()] if place.is_dir() else [place]
        texts += [path.read_text('utf-8', errors='replace') for path in files]
    words = {word.removeprefix('file://') for text in texts for word in _WORDS.split(text)}
    return {word.rstrip('/') for word in words if word.startswith('/') and len(word.strip('/')) > 0}
