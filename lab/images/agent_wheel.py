# SPDX-License-Identifier: Apache-2.0
"""The wheel of the guest agent, which operators install too: built from the checkout, and installed
into the environment of an image.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from lab.commands import Commands
from lab.images.layers import digest_of, digest_of_tree

#: Below the checkout: all that the wheel is made of.
_SOURCES = ('guest', 'trove_upgrade', 'etc/trove-upgrade/guest')
#: Folders of the package with nothing of the wheel.
_CONTROL_PLANE = ('api', 'clients', 'db', 'schema_tools', 'taskmanager', 'tests', 'wsgi')
_LEFT_OUT = shutil.ignore_patterns('__pycache__', '*.egg-info', 'build')
_PIP = (sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check')


def digest(project_dir: Path) -> str:
    """Changes when a source of the wheel does."""
    package = project_dir / 'trove_upgrade'
    parts = [path for path in sorted(package.iterdir()) if path.name not in _CONTROL_PLANE]
    folders = [path for path in parts if path.is_dir() and path.name != '__pycache__']
    modules = [path.name + path.read_text('utf-8') for path in parts if path.is_file()]
    guest = [path.read_text('utf-8') for path in sorted((project_dir / 'guest').glob('*.*'))]
    return digest_of(digest_of_tree(*folders), *modules, *guest)


def install(
    project_dir: Path, version: str, environment: Path, site_packages: Path, commands: Commands
) -> None:
    """Build the wheel as `version`, and install it below `environment`, whose packages are in
    `site_packages`; without the libraries that it needs.

    :raises errors.CommandFailed: pip could not.
    """
    with tempfile.TemporaryDirectory(prefix='trove-upgrade-guest-') as name:
        work = Path(name)
        wheel = _build(project_dir, version, work, commands)
        _install(wheel, work / 'installed', commands)
        _move(work / 'installed', environment, site_packages)


def _build(project_dir: Path, version: str, work: Path, commands: Commands) -> Path:
    """Build in a copy: two builds in one checkout would be in each other's way."""
    for source in _SOURCES:
        ignore = _LEFT_OUT
        if source == 'trove_upgrade':
            ignore = shutil.ignore_patterns('__pycache__', *_CONTROL_PLANE)
        shutil.copytree(project_dir / source, work / 'checkout' / source, ignore=ignore)
    commands.run(
        [
            *_PIP,
            'wheel',
            '--no-build-isolation',
            '--no-deps',
            *('--wheel-dir', str(work / 'wheel')),
            str(work / 'checkout' / 'guest'),
        ],
        env={'PBR_VERSION': version},
    )
    return next((work / 'wheel').glob('*.whl'))


def _install(wheel: Path, target: Path, commands: Commands) -> None:
    commands.run(
        [
            *_PIP,
            'install',
            '--no-deps',
            '--no-index',
            '--no-compile',
            *('--target', str(target)),
            str(wheel),
        ]
    )


def _move(installed: Path, environment: Path, site_packages: Path) -> None:
    """Put each part where an environment has it."""
    shutil.rmtree(installed / 'bin')  # for the host's Python
    shutil.copytree(installed / 'etc', environment / 'etc', dirs_exist_ok=True)
    shutil.rmtree(installed / 'etc')
    shutil.copytree(installed, site_packages, dirs_exist_ok=True)
