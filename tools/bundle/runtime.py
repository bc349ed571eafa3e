# SPDX-License-Identifier: Apache-2.0
"""Python for a bundle: compiled once for each source package, root and way of compiling."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lab.commands import Commands
from lab.images import apt
from lab.images.counting import PackageCount
from lab.images.layers import Stack, digest_of
from tools.bundle import source
from tools.bundle.recipe import COMPILE, Recipe

#: A slow machine at the lowest priority.
_COMPILE_SECONDS = 7200
_SOURCE, _TARGET = Path('build/source'), Path('build/python-runtime')
#: Programs of a root see nothing of this process's environment.
_ENVIRONMENT = ('env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8')


class RuntimeMaker:
    """Makes the root and compiles in it; both are kept in `cache`."""

    def __init__(
        self,
        recipe: Recipe,
        cache: Path,
        commands: Commands,
        progress: Callable[[str], None],
    ) -> None:
        self._recipe = recipe
        self._cache = cache
        self._commands = commands
        self._progress = progress

    def root(self) -> Path:
        """Return the root with a compiler.

        :raises errors.CommandFailed: Debian's packages cannot be fetched.
        """
        recipe = self._recipe
        target = self._cache / f'root-{recipe.suite}-{digest_of(*sorted(recipe.packages))}'
        if target.exists():
            return target
        title = f'bundle: a root of Debian {recipe.suite}'
        self._progress(f'{title}, fetching packages')
        fresh = emptied(target.with_name(f'{target.name}.new'))
        self._commands.follow(
            [
                'mmdebstrap',
                '--verbose',
                '--variant=minbase',
                '--aptopt=APT::Install-Recommends "false"',
                '--dpkgopt=force-unsafe-io',
                *(f'--aptopt={option}' for option in apt.host_options(self._commands)),
                f'--include={",".join(recipe.packages)}',
                recipe.suite,
                str(fresh),
                apt.mirror_line(apt.host_mirror(self._commands), recipe.suite),
            ],
            PackageCount(title, self._progress).line,
        )
        fresh.rename(target)
        return target

    def source(self) -> Path:
        """Return the directory of the source package; one that is in the cache stays.

        :raises errors.CommandFailed: it cannot be fetched.
        """
        recipe = self._recipe
        target = self._cache / f'source-{recipe.source_package}-{recipe.source_suite}'
        if not target.exists():
            self._progress(f'bundle: fetching the source of {recipe.source_package}')
            fresh = target.with_name(f'{target.name}.new')
            source.fetch(recipe, fresh, self._commands, self._progress)
            fresh.rename(target)
        return target

    def forget_source(self) -> None:
        """Make the next `source` fetch it again: there may be a newer one."""
        for path in self._cache.glob('source-*'):
            shutil.rmtree(path)

    def key(self) -> str:
        """Return what changes when another Python would come out.

        :raises errors.CommandFailed: as `source`.
        """
        return digest_of(
            source.digest(self.source()),
            self._recipe.suite,
            *sorted(self._recipe.packages),
            COMPILE.read_text('utf-8'),
        )

    def runtime(self) -> Path:
        """Return the directory of the compiled Python.

        :raises errors.CommandFailed: it cannot be compiled; the end of the log is in the message.
        """
        packages = self.source()
        target = self._cache / f'python-{self.key()}'
        if target.exists():
            return target
        root = self.root()
        self._progress(
            f'bundle: compiling Python {source.version(packages)} on Debian {self._recipe.suite}, '
            'some minutes'
        )
        layer = emptied(self._cache / 'compile.new')
        shutil.copytree(packages, layer / _SOURCE)
        shutil.copyfile(COMPILE, layer / 'build' / COMPILE.name)
        Stack((root,), self._cache / 'scratch').run(
            self._commands,
            layer,
            [
                # On a machine that does something else, too.
                *('nice', '-n', '19', 'chroot', str(self._cache / 'scratch' / 'merged')),
                *_ENVIRONMENT,
                *('/bin/sh', f'/build/{COMPILE.name}', f'/{_SOURCE}', f'/{_TARGET}'),
            ],
            timeout_seconds=_COMPILE_SECONDS,
        )
        (layer / _TARGET).rename(target)
        shutil.rmtree(layer)
        return target

    def run(self, upper: Path, *argv: str, timeout_seconds: float = 900) -> str:
        """Run a program in the root, with `upper` over it, and return its output.

        :raises errors.CommandFailed: it ended with an error.
        """
        stack = Stack((self.root(),), self._cache / 'scratch')
        return stack.run(
            self._commands,
            upper,
            ['chroot', str(stack.merged), *_ENVIRONMENT, *argv],
            timeout_seconds=timeout_seconds,
        ).output


def emptied(path: Path) -> Path:
    """Return the path as an empty directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
