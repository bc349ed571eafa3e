# SPDX-License-Identifier: Apache-2.0
"""The Python environments of the agents in an image, made without pip in the guest.

An environment is a virtual environment put together by hand: the host's pip fetches wheels for the
guest's Python.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.commands import Commands
from lab.images.layers import digest_of

_HERE = Path(__file__).parent
_LAUNCHER = """#!{python}
# SPDX-License-Identifier: Apache-2.0
import sys

from {module} import main

sys.exit(main())
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """One agent's environment.  `path` is where it stands below an image's root; `launchers` maps
    programs to modules with a `main`.
    """

    title: str
    cache_name: str
    path: Path
    requirements: Path
    constraints: Path
    launchers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def key(self, python_version: str) -> str:
        """Changes when what is to be fetched does."""
        return digest_of(
            python_version,
            self.requirements.read_text('utf-8') + self.constraints.read_text('utf-8'),
            *sorted(f'{name}={module}' for name, module in self.launchers.items()),
        )

    def site_packages(self, python_version: str) -> Path:
        """Return where the packages are, below an image's root."""
        return self.path / 'lib' / f'python{python_version}' / 'site-packages'

    def write(self, layer: Path, python_version: str, commands: Commands) -> None:
        """Fetch everything and write it below `layer`, not compiled yet.

        :raises errors.CommandFailed: pip could not fetch something.
        """
        packages = layer / self.site_packages(python_version)
        packages.mkdir(parents=True)
        commands.run(
            [
                sys.executable,
                '-m',
                'pip',
                'install',
                '--quiet',
                '--disable-pip-version-check',
                '--no-compile',
                '--target',
                str(packages),
                '--python-version',
                python_version,
                '--only-binary=:all:',
                '--requirement',
                str(self.requirements),
                '--constraint',
                str(self.constraints),
            ],
            timeout_seconds=900,
        )
        # Console scripts of the dependencies, for the host's Python.
        shutil.rmtree(packages / 'bin', ignore_errors=True)
        self._write_programs(layer, python_version)
        (layer / self.path / 'pyvenv.cfg').write_text(
            f'home = /usr/bin\ninclude-system-site-packages = false\nversion = {python_version}\n',
            'utf-8',
        )

    def _write_programs(self, layer: Path, python_version: str) -> None:
        programs = layer / self.path / 'bin'
        programs.mkdir()
        (programs / 'python3').symlink_to(f'/usr/bin/python{python_version}')
        (programs / 'python').symlink_to('python3')
        for name, module in self.launchers.items():
            (programs / name).write_text(
                _LAUNCHER.format(python=f'/{self.path}/bin/python', module=module), 'utf-8'
            )
            (programs / name).chmod(0o755)


def ours(project_dir: Path) -> Environment:
    """Return what our own agent needs; the agent itself is in the product's layer, which changes
    more often.
    """
    return Environment(
        title="the agent's dependencies",
        cache_name='deps',
        path=Path('opt/trove-upgrade/venv'),
        requirements=project_dir / 'guest' / 'requirements.txt',
        constraints=project_dir / 'constraints.txt',
    )


def troves(project_dir: Path) -> Environment:
    """Trove's own agent, where the images of Trove's project have it."""
    return Environment(
        title="Trove's own agent",
        cache_name='trove',
        path=Path('opt/guest-agent-venv'),
        requirements=_HERE / 'trove-guest-requirements.txt',
        constraints=project_dir / 'constraints' / 'cloud.txt',
        launchers={'trove-guestagent': 'trove.cmd.guest'},
    )
