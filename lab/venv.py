# SPDX-License-Identifier: Apache-2.0
"""The cloud's own virtual environment, from the pins in constraints/cloud.txt.

It is apart from the product's, because Nova and its like pin what the product must be free of.  It
is kept in the cache under the digest of its pins and its interpreter; a directory without the mark
`.complete` is a broken installation and is made anew.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping

from lab import commands, errors

UV_REQUIREMENT = 'uv==0.13.8'
INSTALL_SECONDS = 1200.0
_SETTING = re.compile(r"^(?P<section>[^.]+)\.(?P<key>[a-z-]+)='(?P<value>.*)'$")
_COMPLETE = '.complete'


def pins_file(name: str = 'cloud') -> pathlib.Path:
    """constraints/<name>.txt of the checkout that this module belongs to."""
    return pathlib.Path(__file__).resolve().parents[1] / 'constraints' / f'{name}.txt'


def uv_settings(
    pip_config: Iterable[str], exists: Callable[[str], bool] = os.path.exists
) -> dict[str, str]:
    """Environment that makes uv use the package indexes that pip would: `pip_config` is the output
    of `pip config list`.

    pip lists its files before the environment, so a later line wins, as it does for pip.  A local
    index that is not there is left out: pip only warns about it, uv fails.
    """
    found = _pip_settings(pip_config)

    def usable(key: str) -> list[str]:
        return [
            value
            for value in found.get(key, '').split()
            if ('://' in value and not value.startswith('file://'))
            or exists(value.removeprefix('file://'))
        ]

    wanted = collections.OrderedDict(
        (
            ('UV_DEFAULT_INDEX', usable('index-url')),
            ('UV_INDEX', usable('extra-index-url')),
            ('UV_FIND_LINKS', usable('find-links')),
            ('SSL_CERT_FILE', usable('cert')),
            ('UV_INSECURE_HOST', found.get('trusted-host', '').split()),
        )
    )
    settings = {
        name: (',' if name == 'UV_FIND_LINKS' else ' ').join(values)
        for name, values in wanted.items()
        if values
    }
    if 'timeout' in found or 'default-timeout' in found:
        settings['UV_HTTP_TIMEOUT'] = str(
            int(float(found.get('timeout') or found['default-timeout']))
        )
    # pip asks all indexes for the best version
    return settings | {'UV_INDEX_STRATEGY': 'unsafe-best-match'}


def _pip_settings(pip_config: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in pip_config:
        match = _SETTING.match(line.strip())
        if match:
            found[match['key']] = match['value'].replace('\\n', ' ')
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudVenv:
    """Makes the environment, or finds it ready."""

    venvs_dir: pathlib.Path
    log: pathlib.Path
    environ: Mapping[str, str]
    #: its name is the environment's
    pins: pathlib.Path = dataclasses.field(default_factory=pins_file)
    python: str = getattr(sys, '_base_executable', sys.executable)

    @property
    def digest(self) -> str:
        """Names the environment: pins and interpreter."""
        version = '.'.join(str(part) for part in sys.version_info[:3])
        return hashlib.sha256(
            self.pins.read_bytes() + f'{version} {self.python}'.encode()
        ).hexdigest()[:16]

    @property
    def path(self) -> pathlib.Path:
        """Root directory of the environment, named after its pins and their digest."""
        return self.venvs_dir / f'{self.pins.stem}-{self.digest}'

    @property
    def ready(self) -> bool:
        """Tell whether nothing is left to install."""
        return (self.path / _COMPLETE).exists()

    def program(self, name: str) -> str:
        """Path of a program of the environment."""
        return str(self.path / 'bin' / name)

    @property
    def site_packages(self) -> pathlib.Path:
        """Directory of the environment's packages."""
        return (
            self.path
            / 'lib'
            / f'python{sys.version_info[0]}.{sys.version_info[1]}'
            / 'site-packages'
        )

    def ensure(self, tell: Callable[[str], None]) -> None:
        """Install what is missing; a second call returns at once.

        :raises CommandFailed: an installer failed; what it had done is removed by the next call.
        """
        if self.ready:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self.venvs_dir.mkdir(parents=True, exist_ok=True)
        tell(f'installing {UV_REQUIREMENT}')
        uv = self._uv()
        env = dict(self.environ) | uv_settings(self._pip_config())
        env.pop('VIRTUAL_ENV', None)
        count = sum(1 for line in self.pins.read_text().splitlines() if '==' in line)
        tell(f'{count} packages')
        commands.run(
            (uv, 'venv', '--python', self.python, str(self.path)),
            log=self.log,
            env=env,
            timeout_seconds=120,
        )
        commands.run(
            (
                uv,
                'pip',
                'install',
                '--python',
                self.program('python'),
                '--no-deps',
                '--compile-bytecode',
                '-r',
                str(self.pins),
            ),
            log=self.log,
            env=env,
            timeout_seconds=INSTALL_SECONDS,
            check=lambda: tell(f'{count} packages: {commands.tail(self.log, 1).strip()}'),
        )
        (self.path / _COMPLETE).touch()

    def _uv(self) -> str:
        """Path of uv, from PyPI in an environment of its own (pip knows this machine's indexes)."""
        home = self.venvs_dir / UV_REQUIREMENT.replace('==', '-')
        program = home / 'bin' / 'uv'
        if not program.exists():
            env = dict(self.environ)
            commands.run(
                (self.python, '-m', 'venv', str(home)), log=self.log, env=env, timeout_seconds=120
            )
            commands.run(
                (str(home / 'bin' / 'pip'), 'install', '--quiet', UV_REQUIREMENT),
                log=self.log,
                env=env,
                timeout_seconds=INSTALL_SECONDS,
            )
        return str(program)

    def _pip_config(self) -> list[str]:
        pip = self.venvs_dir / UV_REQUIREMENT.replace('==', '-') / 'bin' / 'pip'
        answer = subprocess.run(
            (str(pip), 'config', 'list'),
            env=dict(self.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if answer.returncode != 0:
            raise errors.CommandFailed(
                f'pip config list ended with {answer.returncode}: {answer.stderr.strip()}'
            )
        return answer.stdout.splitlines()
