# SPDX-License-Identifier: Apache-2.0
"""Makes a bundle, and puts its digest and its signature beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from lab import errors
from lab.cache_lock import locked
from lab.commands import Commands
from lab.images import agent_wheel
from lab.images.layers import digest_of, digest_of_tree
from tools.bundle import assembly, packing
from tools.bundle.libraries import Libraries, architecture
from tools.bundle.recipe import FILES, Recipe
from tools.bundle.runtime import RuntimeMaker, emptied
from trove_upgrade.bridge.bundle.archive import sha256_of

_KEPT_ARCHIVES = 2


class Maker:
    """Makes bundles of one recipe.  One at a time for each cache: others wait for it."""

    def __init__(
        self,
        recipe: Recipe,
        cache: Path,
        project_dir: Path,
        commands: Commands,
        progress: Callable[[str], None],
    ) -> None:
        self._cache = cache
        self._project = project_dir
        self._recipe = recipe
        self._progress = progress
        self._runtime = RuntimeMaker(recipe, cache, commands, progress)
        self._libraries = Libraries(recipe, cache, project_dir, commands, progress)

    def make(
        self, target_dir: Path, version: str, *, key: Path | None = None, refresh: bool = False
    ) -> Path:
        """Return the archive, in `target_dir`.

        `key` is a private key of Ed25519 in PEM, which signs it.  With `refresh` the source
        package is fetched again.

        :raises errors.CommandFailed: a part cannot be fetched or made.
        :raises errors.ImageBuildFailed: the key is no key, or the result names its build.
        """
        signer = None if key is None else _private_key(key)
        with locked(self._cache, self._progress):
            if refresh:
                self._runtime.forget_source()
            packed = self._packed(version)
            target_dir.mkdir(parents=True, exist_ok=True)
            name = f'trove-upgrade-guest-bundle-{version}-{architecture()}.tar.xz'
            _publish(packed, target_dir / name, signer)
        return target_dir / name

    def _packed(self, version: str) -> Path:
        """Return the archive in the cache; it is made where an ingredient has changed."""
        libraries = self._libraries.fetched()
        key = digest_of(
            version,
            self._runtime.key(),
            libraries.name,
            agent_wheel.digest(self._project),
            digest_of_tree(
                FILES,
                Path(assembly.__file__).parent,
                self._project / 'etc' / 'trove-upgrade' / 'guest',
            ),
        )
        target = self._cache / f'bundle-{key}.tar.xz'
        if target.exists():
            return target
        runtime = self._runtime.runtime()
        self._progress(f'bundle: adding the agent {version} to {runtime.name}, and packing')
        fresh, directory = target.with_suffix('.new'), emptied(self._cache / 'bundle.new')
        shutil.rmtree(directory)
        assembly.assemble(self._recipe, directory, self._runtime, self._libraries, version)
        packing.pack(directory, fresh)
        shutil.rmtree(directory)
        fresh.rename(target)
        self._forget_old()
        return target

    def _forget_old(self) -> None:
        archives = sorted(
            self._cache.glob('bundle-*.tar.xz'), key=lambda path: path.stat().st_mtime
        )
        for path in archives[:-_KEPT_ARCHIVES]:
            path.unlink()


def _publish(packed: Path, target: Path, signer: ed25519.Ed25519PrivateKey | None) -> None:
    shutil.copyfile(packed, target)
    line = f'{sha256_of(target)}  {target.name}\n'.encode()
    target.with_name(f'{target.name}.sha256').write_bytes(line)
    signature = target.with_name(f'{target.name}.sig')
    signature.unlink(missing_ok=True)
    if signer is not None:
        signature.write_bytes(signer.sign(line))


def _private_key(path: Path) -> ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise errors.ImageBuildFailed(
            f'The bundle cannot be signed: {path} is no private key in PEM without a passphrase '
            f'({type(error).__name__}). Make one: openssl genpkey -algorithm ed25519 -out {path}'
        ) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise errors.ImageBuildFailed(
            f'The bundle cannot be signed: {path} is no key of Ed25519. Make one: openssl genpkey '
            f'-algorithm ed25519 -out {path}'
        )
    return key
