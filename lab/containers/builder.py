# SPDX-License-Identifier: Apache-2.0
"""Builds container images without a container engine: mmdebstrap makes the first layer, Python the
others.

For callers::

    builder = ContainerBuilder(layout.images_cache, HostCommands(), progress=print)
    image = builder.build(recipes.MARIADB_11_8)
    image.version                    # '11.8.6', also its tag
    builder.archive(image)           # a file for `docker load`

The first layer (Debian's packages; a minute) is kept in the cache by a digest of what it is made
of; the second (our entrypoint, health check and settings) is made anew whenever one of its files
has changed, in no time.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab import errors
from lab.cache_lock import locked
from lab.commands import Commands
from lab.containers.image import (
    Image,
    Layer,
    configuration,
    digest_of_file,
    write_archive,
)
from lab.containers.recipes import Recipe, Variant
from lab.images import apt
from lab.images.counting import PackageCount
from lab.images.layers import digest_of

_FILES = Path(__file__).parent / 'files'
_LEFT_OUT = (
    '/usr/share/man/*',
    '/usr/share/doc/*',
    '/usr/share/locale/*',
    '/usr/share/info/*',
    '/usr/share/lintian/*',
    '/usr/share/bug/*',
    '/usr/share/mysql/*/errmsg.txt',
)
_EMPTIED = (
    'var/lib/mysql/*',
    'etc/machine-id',
    'etc/hostname',
    'etc/resolv.conf',
    'var/cache/apt/*',
    'var/cache/debconf/*',
    'var/lib/apt/lists/*',
    'var/log/*.log',
    'var/log/apt',
    'run/mysqld',
    'tmp/*',
)
#: Trove runs the database as a user whose number the image does not know.
_OPEN_TO_ALL = (
    'chmod 1777 "$1"/var/lib/mysql && mkdir -m 1777 "$1"/run/mysqld && chmod -R a+rX "$1"/etc/mysql'
)
_FAILING = b'#!/bin/sh\necho "$0: this image is broken on purpose" >&2\nexit 1\n'
_VERSION = re.compile(r'\b(\d+\.\d+\.\d+)-MariaDB')
_EXECUTABLE, _PLAIN = 0o755, 0o644


class ContainerBuilder:
    """Builds images and keeps their layers.  One build at a time per cache: others wait for it."""

    def __init__(
        self, images_cache: Path, commands: Commands, progress: Callable[[str], None]
    ) -> None:
        self._cache = images_cache / 'containers'
        self._commands = commands
        self._progress = progress

    def build(self, recipe: Recipe) -> Image:
        """The image of this recipe, from the cache where nothing has changed.

        :raises errors.ImageBuildFailed: the host has no mirror, or no server came out of the build.
        :raises errors.CommandFailed: a step of the build failed; its output is in the message.
        """
        with locked(self._cache, self._progress):
            base, version, architecture = self._base(recipe)
            layers = (base, self._files_layer(_files(recipe.variant)))
        version = recipe.fixed_version or version
        tags = (
            (version, recipe.family)
            if recipe.variant is Variant.GOOD
            else (version, f'{recipe.family}-{recipe.variant.value}')
        )
        return Image(
            repository=recipe.repository,
            tags=tags,
            version=version,
            layers=layers,
            config=configuration(architecture, layers, version),
        )

    def archive(self, image: Image, references: Sequence[str] = ()) -> Path:
        """A file that `docker load` takes; the image gets these names, or those without a
        registry.
        """
        references = list(references) or image.references()
        key = digest_of(image.config_digest, *references)
        target = self._cache / f'archive-{image.repository}-{image.version}-{key}.tar'
        with locked(self._cache, self._progress):
            if not target.exists():
                for old in self._cache.glob(f'archive-{image.repository}-{image.version}-*.tar'):
                    if not _holds(old, image):
                        old.unlink()
                write_archive(image, target, references)
        return target

    def _base(self, recipe: Recipe) -> tuple[Layer, str, str]:
        """The layer of packages, the server's version in it, and Debian's name of the
        architecture.
        """
        security = ('security',) if recipe.security else ()
        key = digest_of(
            recipe.suite, *sorted(recipe.packages), *_LEFT_OUT, *_EMPTIED, _OPEN_TO_ALL, *security
        )
        packed = self._cache / f'base-{recipe.suite}-{key}.tar.gz'
        record = packed.with_suffix('.json')
        if not packed.exists() or not record.exists():
            self._make_base(recipe, packed, record)
        facts = json.loads(record.read_text('utf-8'))
        version, architecture = facts.pop('version'), facts.pop('architecture')
        return Layer(path=packed, **facts), version, architecture

    def _make_base(self, recipe: Recipe, packed: Path, record: Path) -> None:
        title = f'container image {recipe.name}: Debian {recipe.suite}'
        self._progress(f'{title}, fetching packages')
        tree, found = self._cache / 'base.tar', self._cache / 'base.version'
        for leftover in (tree, Path(f'{tree}.gz'), found):
            leftover.unlink(missing_ok=True)
        argv = self._bootstrap(recipe, tree, found)
        self._commands.follow(argv, PackageCount(title, self._progress).line)
        version = _VERSION.search(found.read_text('utf-8'))
        if version is None:
            raise errors.ImageBuildFailed(
                f'Cannot name container image {recipe.name}: its server says '
                f'{found.read_text("utf-8")!r}, which has no version of MariaDB in it. Look at the '
                'recipe.'
            )
        self._progress(f'{title}, packing')
        diff_id = digest_of_file(tree)
        self._commands.run(['nice', 'gzip', '--no-name', '-3', str(tree)], timeout_seconds=600)
        fresh = Path(f'{tree}.gz')
        layer = Layer(
            path=fresh, digest=digest_of_file(fresh), diff_id=diff_id, size=fresh.stat().st_size
        )
        architecture = self._commands.run(['dpkg', '--print-architecture']).output.strip()
        record.write_text(
            json.dumps(
                layer.record() | {'version': version.group(1), 'architecture': architecture}
            ),
            'utf-8',
        )
        fresh.rename(packed)
        found.unlink()

    def _bootstrap(self, recipe: Recipe, tree: Path, found: Path) -> list[str]:
        """The command that makes a tree of the recipe's packages, and writes its server's version
        to `found`.
        """
        emptied = ' '.join(f'"$1"/{path}' for path in _EMPTIED)
        return [
            'mmdebstrap',
            '--verbose',
            '--variant=minbase',
            '--format=tar',
            '--skip=output/dev',
            '--aptopt=APT::Install-Recommends "false"',
            '--dpkgopt=force-unsafe-io',
            *(f'--dpkgopt=path-exclude={path}' for path in _LEFT_OUT),
            *(f'--aptopt={option}' for option in apt.host_options(self._commands)),
            f'--customize-hook=chroot "$1" /usr/sbin/mariadbd --no-defaults --version > {found}',
            f'--customize-hook=rm -rf {emptied}',
            f'--customize-hook={_OPEN_TO_ALL}',
            f'--include={",".join(recipe.packages)}',
            recipe.suite,
            str(tree),
            *self._sources(recipe),
        ]

    def _sources(self, recipe: Recipe) -> list[str]:
        found = [apt.mirror_line(apt.host_mirror(self._commands), recipe.suite)]
        security = apt.security_mirror(self._commands) if recipe.security else None
        return (
            [*found, apt.mirror_line(security, f'{recipe.suite}-security')] if security else found
        )

    def _files_layer(self, files: Mapping[str, tuple[int, bytes]]) -> Layer:
        plain = _tar_of(files)
        diff_id = hashlib.sha256(plain).hexdigest()
        path = self._cache / f'files-{diff_id[:16]}.tar'
        if not path.exists():
            fresh = path.with_suffix('.new')
            fresh.write_bytes(plain)
            self._commands.run(['gzip', '--no-name', '--force', '--keep', str(fresh)])
            Path(f'{fresh}.gz').rename(f'{path}.gz')
            fresh.rename(path)
        packed = Path(f'{path}.gz')
        return Layer(
            path=packed,
            digest=digest_of_file(packed),
            diff_id=f'sha256:{diff_id}',
            size=packed.stat().st_size,
        )


def _files(variant: Variant) -> dict[str, tuple[int, bytes]]:
    """Return what the second layer has: mode and content by path."""
    files = {
        f'usr/local/bin/{name}': (_EXECUTABLE, (_FILES / name).read_bytes())
        for name in ('docker-entrypoint.sh', 'healthcheck.sh')
    }
    files['etc/mysql/mariadb.conf.d/90-container.cnf'] = (
        _PLAIN,
        (_FILES / '90-container.cnf').read_bytes(),
    )
    if variant is Variant.BROKEN:
        files['usr/local/bin/docker-entrypoint.sh'] = (_EXECUTABLE, _FAILING)
    if variant is Variant.NO_SERVER:
        files['usr/sbin/mariadbd'] = (_EXECUTABLE, _FAILING)
    return files


def _tar_of(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Pack files so that equal ones always make equal bytes: owner and time are fixed."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode='w', format=tarfile.USTAR_FORMAT) as archive:
        # Engines make a directory that no entry names unreadable to all but root, also where a
        # layer below has it.
        for name in sorted(
            {str(parent) for path in files for parent in Path(path).parents} - {'.'}
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, _EXECUTABLE
            archive.addfile(member)
        for name in sorted(files):
            mode, content = files[name]
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def _holds(archive: Path, image: Image) -> bool:
    """Return whether this archive is of this image, under other names maybe."""
    with tarfile.open(archive) as opened:
        return (
            opened.next() is not None
            and image.config_digest.partition(':')[2] + '.json' in opened.getnames()
        )
