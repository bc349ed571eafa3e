# SPDX-License-Identifier: Apache-2.0
"""Builds guest images: squashfs files that Glance keeps and the lab's guests boot.

For callers::

    builder = ImageBuilder(layout.images_cache, project_dir, HostCommands(), progress=print)
    image = builder.build(recipes.BOOKWORM)
    image.path  # register as: disk_format raw, container_format bare, properties image.properties
    # target facts of the datastore version; the image has them in
    # /etc/trove-upgrade/image-facts.json
    image.facts

An image is layers.  The *base* (Debian's packages; a minute) and the agents' *environments* (half a
minute each; see environments.py) are kept in the cache by a digest of what they are made of; the
*product* (this checkout's package, the service files) is made anew whenever a file of it has
changed (some seconds).  `make clean` removes the cache.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import errors
from lab.cache_lock import locked
from lab.commands import Commands
from lab.images import apt, environments, preload
from lab.images.counting import PackageCount
from lab.images.environments import Environment
from lab.images.layers import Stack, digest_of, digest_of_tree
from lab.images.old_agent import OldAgentFiles
from lab.images.product import ProductFiles
from lab.images.recipes import Recipe
from lab.images.stock import StockFiles

_HERE = Path(__file__).parent
_KEPT_IMAGES = 4
#: Documentation, manuals and translations are a third of an image, and no program of a guest reads
#: them.
_LEFT_OUT = (
    '/usr/share/man/*',
    '/usr/share/doc/*',
    '/usr/share/locale/*',
    '/usr/share/info/*',
    '/usr/share/lintian/*',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that is ready to be registered."""

    name: str
    path: Path
    facts: dict[str, Any]
    digest: str
    init: str
    runs_containers: bool = False

    @property
    def properties(self) -> dict[str, str]:
        """Glance properties that the lab's virt driver looks at (nova_facts.py)."""
        found = {'lab_rootfs': 'squashfs', 'lab_init': self.init}
        return (
            found | {'lab_docker': 'true', 'lab_volume': 'raw'} if self.runs_containers else found
        )


class ImageBuilder:
    """Builds images and keeps their layers.  One build at a time per cache: others wait for it."""

    def __init__(
        self,
        cache_dir: Path,
        project_dir: Path,
        commands: Commands,
        progress: Callable[[str], None],
        agent_version: str | None = None,
    ) -> None:
        self._cache = cache_dir
        self._project = project_dir
        self._commands = commands
        self._progress = progress
        self._agent_version = agent_version or checkout_version()

    def build(self, recipe: Recipe) -> BuiltImage:
        """The image of this recipe, from the cache where nothing has changed.

        :raises errors.ImageBuildFailed: the host has no mirror.
        :raises errors.CommandFailed: a step of the build failed; its output is in the message.
        """
        with locked(self._cache, self._progress):
            image, key = self._build(recipe)
        facts = json.loads(image.with_suffix('.json').read_text('utf-8'))
        return BuiltImage(
            name=recipe.name,
            path=image,
            facts=facts,
            digest=key,
            init=recipe.init,
            runs_containers=recipe.runs_containers,
        )

    def fetch(self, recipe: Recipe) -> None:
        """Have the packages of this recipe in the cache.

        :raises errors.ImageBuildFailed: the host has no mirror.
        :raises errors.CommandFailed: the mirror does not have the suite, or a package of it.
        """
        with locked(self._cache, self._progress):
            self._base(recipe, self._base_of(recipe))

    def _base_of(self, recipe: Recipe) -> Path:
        return self._cache / f'base-{recipe.suite}-{_base_key(recipe)}'

    def _build(self, recipe: Recipe) -> tuple[Path, str]:
        base_key = _base_key(recipe)
        wanted = self._environments(recipe)
        keys = [environment.key(recipe.python_version) for environment in wanted]
        product = self._product(recipe)
        key = digest_of(
            base_key,
            *keys,
            recipe.init,
            str(recipe.has_agent),
            product.digest(recipe.has_agent),
            digest_of_tree(_HERE / 'files'),
            *(archive.name for archive in recipe.preloaded),
        )
        image = self._cache / f'{recipe.name}-{key}.squashfs'
        if not image.exists() or not image.with_suffix('.json').exists():
            base = self._base(recipe, self._base_of(recipe))
            layers = [
                self._environment(recipe, environment, base, key)
                for environment, key in zip(wanted, keys, strict=True)
            ]
            if recipe.preloaded:
                layers.append(self._store(recipe, base_key))
            self._assemble(recipe, (*layers, base), image)
        return image, key

    def _store(self, recipe: Recipe, base_key: str) -> Path:
        """The store of preloaded container images as a layer."""
        target = self._cache / (
            f'image-store-{recipe.suite}-'
            f'{digest_of(base_key, *(archive.name for archive in recipe.preloaded))}'
        )
        if not target.exists():
            plain, _key = self._build(
                dataclasses.replace(
                    recipe, name=recipe.name.removesuffix('-preloaded'), preloaded=()
                )
            )
            self._progress(f'image {recipe.name}: loading container images')
            fresh = _emptied(target.with_suffix('.new'))
            preload.load(plain, recipe.preloaded, self._cache / 'preload', self._commands, fresh)
            fresh.rename(target)
        return target

    def _environments(self, recipe: Recipe) -> list[Environment]:
        if recipe.is_old:
            return []
        if recipe.is_stock:
            return [environments.troves(self._project)]
        ours = environments.ours(self._project)
        return [ours, environments.troves(self._project)] if recipe.runs_containers else [ours]

    def _product(self, recipe: Recipe) -> ProductFiles | OldAgentFiles | StockFiles:
        """The agent says which image it was built into, as packages of a distribution do; its code
        is this checkout's in all.
        """
        if recipe.is_old:
            return OldAgentFiles(_HERE / 'files', recipe.old_agent_python)
        if recipe.is_stock:
            return StockFiles(_HERE / 'files')
        return ProductFiles(
            self._project,
            _HERE / 'files',
            f'{self._agent_version}+{recipe.suite}',
            self._commands,
        )

    def _base(self, recipe: Recipe, target: Path) -> Path:
        if target.exists():
            return target
        self._progress(f'image {recipe.name}: Debian {recipe.suite}, fetching packages')
        fresh = _emptied(target.with_suffix('.new'))
        argv = [
            'mmdebstrap',
            '--verbose',
            '--variant=minbase',
            '--aptopt=APT::Install-Recommends "false"',
            '--dpkgopt=force-unsafe-io',
            *(f'--dpkgopt=path-exclude={path}' for path in _LEFT_OUT),
            *(f'--aptopt={option}' for option in apt.host_options(self._commands)),
            (
                '--customize-hook=rm -rf "$1"/var/lib/mysql/* "$1"/etc/ssh/ssh_host_* '
                '"$1"/etc/machine-id "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/cache/apt/* '
                '"$1"/var/lib/apt/lists/* "$1"/var/log/*.log "$1"/var/log/apt'
            ),
            f'--include={",".join(recipe.packages)}',
            recipe.suite,
            str(fresh),
            apt.mirror_line(apt.host_mirror(self._commands), recipe.suite),
        ]
        self._commands.follow(
            argv, PackageCount(f'image {recipe.name}: Debian {recipe.suite}', self._progress).line
        )
        fresh.rename(target)
        return target

    def _environment(self, recipe: Recipe, environment: Environment, base: Path, key: str) -> Path:
        """An agent's environment as a layer, compiled by the guest's own Python."""
        target = self._cache / f'{environment.cache_name}-python{recipe.python_version}-{key}'
        if target.exists():
            return target
        self._progress(
            f'image {recipe.name}: fetching {environment.title} for Python {recipe.python_version}'
        )
        fresh = _emptied(target.with_suffix('.new'))
        environment.write(fresh, recipe.python_version, self._commands)
        self._run_in(
            Stack((base,), self._scratch),
            fresh,
            f'/{environment.path}/bin/python',
            '-m',
            'compileall',
            '-q',
            '-j',
            '2',
            f'/{environment.path}/lib',
        )
        fresh.rename(target)
        return target

    def _assemble(self, recipe: Recipe, layers: tuple[Path, ...], image: Path) -> None:
        self._progress(f'image {recipe.name}: adding the agent of this checkout and packing')
        stack = Stack(layers, self._scratch)
        product = _emptied(self._cache / 'product.new')
        packages = environments.ours(self._project).site_packages(recipe.python_version)
        agent = self._product(recipe)
        agent.write(product, packages, has_agent=recipe.has_agent)
        kind = 'containers' if recipe.runs_containers else 'packages'
        self._run_in(stack, product, *agent.preparation(recipe.init, kind))
        built_at = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        facts = self._run_in(
            stack,
            product,
            '/usr/bin/python3',
            '/usr/lib/trove-lab/record-facts',
            agent.version if recipe.has_agent else '',
            built_at,
        )
        (product / agent.facts_file).parent.mkdir(parents=True, exist_ok=True)
        (product / agent.facts_file).write_text(facts, 'utf-8')
        fresh = self._packed(stack, product, image.with_suffix('.new'))
        image.with_suffix('.json').write_text(facts, 'utf-8')
        fresh.rename(image)
        shutil.rmtree(product)
        self._forget_old(recipe)

    def _packed(self, stack: Stack, product: Path, target: Path) -> Path:
        """All layers as one squashfs file."""
        target.unlink(missing_ok=True)
        compression = ('-comp', 'zstd', '-Xcompression-level', '3')
        argv = ['mksquashfs', str(stack.merged), str(target), *compression, '-noappend']
        stack.run(self._commands, product, [*argv, '-no-progress', '-quiet'])
        return target

    def _forget_old(self, recipe: Recipe) -> None:
        """Every change of the checkout makes an image; a few are kept for guests and checkouts that
        still use them.
        """
        images = [
            path
            for path in self._cache.glob('*.squashfs')
            if path.name.rpartition('-')[0] == recipe.name
        ]
        images.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for image in images[_KEPT_IMAGES:]:
            image.unlink()
            image.with_suffix('.json').unlink(missing_ok=True)

    @property
    def _scratch(self) -> Path:
        return self._cache / 'scratch'

    def _run_in(self, stack: Stack, upper: Path, *argv: str) -> str:
        """Run a program of the image in the image; what it changes lands in `upper`."""
        environment = [
            'env',
            '-i',
            'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
            'LANG=C.UTF-8',
            'HOME=/root',
        ]
        return stack.run(
            self._commands, upper, ['chroot', str(stack.merged), *environment, *argv]
        ).output


def _base_key(recipe: Recipe) -> str:
    return digest_of(recipe.suite, *sorted(recipe.packages), *_LEFT_OUT)


def checkout_version() -> str:
    """The version of the product as installed here; the agent in the image says the same."""
    try:
        return importlib.metadata.version('trove-upgrade')
    except importlib.metadata.PackageNotFoundError as missing:
        raise errors.ImageBuildFailed(
            'Cannot build guest images: the package trove-upgrade is not installed in this Python '
            'environment, so its version is unknown. Run `make venv` and use .venv.'
        ) from missing


def _emptied(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
