# SPDX-License-Identifier: Apache-2.0
"""Libraries of the agent for a bundle, and the agent itself, as operators install it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from lab.commands import Commands
from lab.images import agent_wheel
from lab.images.layers import digest_of
from tools.bundle.recipe import PACKAGES, RUNTIME, Recipe
from tools.bundle.runtime import emptied

_PIP_SECONDS = 900
#: Files of an installation that name the machine it was made on, or are for pip alone.
_OF_PIP = ('RECORD', 'direct_url.json', 'INSTALLER', 'REQUESTED')


class Libraries:
    """Fetches wheels for the runtime's Python and C library; kept in `cache`."""

    def __init__(
        self,
        recipe: Recipe,
        cache: Path,
        project_dir: Path,
        commands: Commands,
        progress: Callable[[str], None],
    ) -> None:
        self._recipe = recipe
        self._cache = cache
        self._project = project_dir
        self._requirements = project_dir / 'guest' / 'requirements.txt'
        self._constraints = project_dir / 'constraints.txt'
        self._commands = commands
        self._progress = progress

    def fetched(self) -> Path:
        """Return the directory with all wheels unpacked.

        :raises errors.CommandFailed: a wheel for that Python or C library does not exist, or
            cannot be fetched.
        """
        key = digest_of(
            self._recipe.python_version,
            *self._recipe.platforms,
            self._requirements.read_text('utf-8'),
            self._constraints.read_text('utf-8'),
        )
        target = self._cache / f'libraries-{key}'
        if not target.exists():
            self._progress('bundle: fetching the libraries of the agent')
            fresh = emptied(target.with_suffix('.new'))
            self._commands.run(self._pip(fresh), timeout_seconds=_PIP_SECONDS)
            # Console scripts, for the Python of this machine.
            shutil.rmtree(fresh / 'bin', ignore_errors=True)
            fresh.rename(target)
        return target

    def _pip(self, target: Path) -> list[str]:
        machine = architecture()
        tags = [f'{prefix}_{machine}' for prefix in self._recipe.platforms]
        return [
            *(sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'),
            *('--no-compile', '--target', str(target), '--only-binary=:all:'),
            *('--implementation', 'cp', '--python-version', self._recipe.python_version),
            *(part for tag in tags for part in ('--platform', tag)),
            *('--requirement', str(self._requirements)),
            *('--constraint', str(self._constraints)),
        ]

    def write(self, bundle: Path, product_version: str) -> None:
        """Write libraries, agent and the agent's files below `bundle`, where the runtime is.

        :raises errors.CommandFailed: as `fetched`; or the agent's wheel cannot be built.
        """
        packages = bundle / PACKAGES
        shutil.copytree(self.fetched(), packages, dirs_exist_ok=True)
        agent_wheel.install(
            self._project, product_version, bundle / RUNTIME, packages, self._commands
        )
        for name in _OF_PIP:
            for path in packages.glob(f'*.dist-info/{name}'):
                path.unlink()


def architecture() -> str:
    """Return the machine's, as the kernel names it: the bundle is for the same."""
    return platform.machine()
