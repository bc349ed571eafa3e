# SPDX-License-Identifier: Apache-2.0
"""Source package of Python, fetched by apt from the host's own mirrors and checked by it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from lab import errors
from lab.commands import Commands
from lab.images import apt
from tools.bundle.recipe import Recipe

_FETCH_SECONDS = 900


def fetch(
    recipe: Recipe, target: Path, commands: Commands, progress: Callable[[str], None]
) -> None:
    """Write the .dsc and its archives into `target`, the newest that can be had.

    :raises errors.CommandFailed: no version can be fetched.
    """
    apt_dir = target.with_name(f'{target.name}.apt')
    options = _private_apt(recipe, apt_dir, commands)
    try:
        commands.run(['apt-get', *options, '-q', 'update'], timeout_seconds=_FETCH_SECONDS)
        _fetch_newest(recipe, target, commands, progress, options)
    finally:
        shutil.rmtree(apt_dir, ignore_errors=True)


def _fetch_newest(
    recipe: Recipe,
    target: Path,
    commands: Commands,
    progress: Callable[[str], None],
    options: list[str],
) -> None:
    """Fetch the security update, or the release's own where a mirror lists one that it lacks."""
    package = recipe.source_package
    wanted = (package, f'{package}/{recipe.source_suite}')
    for last, name in enumerate(wanted, 1):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        try:
            commands.run(
                [
                    'env',
                    '-C',
                    str(target),
                    'apt-get',
                    *options,
                    *('-q', 'source', '--download-only', name),
                ],
                timeout_seconds=_FETCH_SECONDS,
            )
        except errors.CommandFailed:
            if last == len(wanted):
                raise
            progress(
                f"bundle: the newest {package} is on the mirror's list and cannot be fetched; that "
                f'of {recipe.source_suite} is taken, which may LACK A SECURITY UPDATE'
            )
        else:
            return


def _private_apt(recipe: Recipe, directory: Path, commands: Commands) -> list[str]:
    """Return options by which apt reads sources of its own, and leaves the host's as they are."""
    shutil.rmtree(directory, ignore_errors=True)
    for part in ('lists/partial', 'cache/archives/partial'):
        (directory / part).mkdir(parents=True)
    mirror, suite = apt.host_mirror(commands), recipe.source_suite
    lines = [f'{mirror} {suite} main']
    security = apt.security_mirror(commands)
    if security is not None:
        lines.append(f'{security} {suite}-security main')
    sources = directory / 'sources.list'
    sources.write_text(
        ''.join(f'deb-src [signed-by={apt.KEYRING}] {line}\n' for line in lines), 'utf-8'
    )
    return [
        *('-o', f'Dir::Etc::SourceList={sources}'),
        *('-o', 'Dir::Etc::SourceParts=/dev/null'),
        *('-o', f'Dir::State::Lists={directory / "lists"}'),
        *('-o', f'Dir::Cache={directory / "cache"}'),
        # Its lists are below the cache, which may be root's alone.
        *('-o', 'APT::Sandbox::User=root'),
    ]


def version(directory: Path) -> str:
    """Return the version of the source package that was fetched."""
    for line in _description(directory).read_text('utf-8').splitlines():
        name, _, value = line.partition(': ')
        if name == 'Version':
            return value.strip()
    raise errors.CommandFailed(f'{directory} has no description of a source package. Remove it.')


def digest(directory: Path) -> str:
    """Return the digest of its description, which names the digests of all its archives."""
    return hashlib.sha256(_description(directory).read_bytes()).hexdigest()


def _description(directory: Path) -> Path:
    return next(iter(sorted(directory.glob('*.dsc'))), directory / 'missing.dsc')
