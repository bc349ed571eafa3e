# SPDX-License-Identifier: Apache-2.0
"""The registry that guests pull the database's container images from: Debian's, on loopback, and
led to by each network's gateway.

For callers::

    registry.configure(settings)
    registry.provide(settings, tell)  # builds the images where they are not in the cache
    supervisor.start(registry.process(settings))  # ready: registry.ready(settings)

A filled storage directory is kept in the cache, and linked into the run directory: a registry never
changes a blob, so the cache stays as it is whatever is pushed into a running cloud.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lab import errors, services
from lab.cache_lock import locked
from lab.commands import HostCommands
from lab.containers import recipes
from lab.containers.builder import ContainerBuilder
from lab.containers.image import Image
from lab.containers.registry_client import RegistryClient
from lab.images.layers import digest_of
from lab.settings import HOST, Settings
from lab.supervisor import Command
from trove_upgrade.waiting import wait_until

NAME = 'registry'
PROGRAM = 'docker-registry'
READY_SECONDS = 30.0
_BLOB = 'data'


def configure(settings: Settings) -> None:
    """Write the registry's configuration file."""
    etc = settings.etc(NAME)
    etc.mkdir(parents=True, exist_ok=True)
    config_file(settings).write_text(configuration(settings.state(NAME), settings.ports.registry))


def config_file(settings: Settings) -> pathlib.Path:
    """Return the path of the registry's configuration."""
    return settings.etc(NAME) / 'config.yml'


def configuration(storage: pathlib.Path, port: int) -> str:
    """JSON is YAML.  Addresses that it names are relative: guests see another one than we do.

    Source: "Configuring a registry" of the distribution project.
    """
    return json.dumps(
        {
            'version': 0.1,
            'log': {'level': 'warn', 'accesslog': {'disabled': True}},
            'storage': {
                'filesystem': {'rootdirectory': str(storage)},
                'delete': {'enabled': True},
                'cache': {'blobdescriptor': 'inmemory'},
                'maintenance': {'uploadpurging': {'enabled': False}},
            },
            'http': {'addr': f'{HOST}:{port}', 'relativeurls': True, 'secret': 'of-the-lab-alone'},
        },
        indent=2,
    )  # nosec B105 # the lab is a throwaway cloud on loopback


def process(settings: Settings) -> Command:
    """Return the registry as one of the cloud's processes."""
    return Command(
        name=NAME,
        stage=services.STAGE_STORES,
        stop_seconds=2.0,
        env=settings.env(),
        argv=(PROGRAM, 'serve', str(config_file(settings))),
    )


def ready(settings: Settings) -> bool:
    """Tell whether the registry answers."""
    return client(settings).ready()


def client(settings: Settings) -> RegistryClient:
    """Make a client of the running cloud's registry."""
    return RegistryClient(settings.url(settings.ports.registry))


def provide(settings: Settings, tell: Callable[[str], None]) -> list[Image]:
    """Fill its storage with the lab's images; to be called before it starts.  A storage that is
    filled stays as it is.

    :raises LabError: an image could not be built.
    """
    images = build(settings.layout.images_cache, tell)
    target = settings.state(NAME)
    if not (target / 'docker').exists():
        link(prepared(settings.layout.images_cache, images, tell), target)
    return images


def build(images_cache: pathlib.Path, tell: Callable[[str], None]) -> list[Image]:
    """All images of the lab, from the cache where it has them."""
    builder = ContainerBuilder(images_cache, HostCommands(), tell)
    return [builder.build(recipe) for recipe in (*recipes.GOOD, *recipes.SPOILT)]


def prepared(
    images_cache: pathlib.Path, images: Sequence[Image], tell: Callable[[str], None]
) -> pathlib.Path:
    """A storage directory with these images, made once by a registry that runs for this alone."""
    cache = images_cache / 'containers'
    key = digest_of(*(f'{image.digest} {" ".join(image.references())}' for image in images))
    target = cache / f'registry-{key}'
    with locked(cache, tell, 'registry.lock'):
        if not target.exists():
            tell('container images: filling the registry (once)')
            fresh = cache / 'registry.new'
            shutil.rmtree(fresh, ignore_errors=True)
            with serving(fresh) as pusher:
                for image in images:
                    pusher.push(image)
            for old in cache.glob('registry-*'):
                shutil.rmtree(old)
            fresh.rename(target)
    return target


def link(source: pathlib.Path, target: pathlib.Path) -> None:
    """Make a storage directory like `source`: blobs are linked, or copied to another file system;
    the small rest is copied.
    """

    def transfer(one: str, other: str) -> None:
        if pathlib.Path(one).name == _BLOB:
            try:
                os.link(one, other)
            except OSError:
                shutil.copy2(one, other)
        else:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=transfer, dirs_exist_ok=True)


@contextmanager
def serving(storage: pathlib.Path) -> Iterator[RegistryClient]:
    """A registry on a free port of loopback for as long as the context lasts; `storage` is made
    where it is missing.
    """
    storage.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    file, log_file = storage / 'config.yml', storage / 'registry.log'
    file.write_text(configuration(storage, port))
    with (
        log_file.open('wb') as log,
        subprocess.Popen(
            (PROGRAM, 'serve', str(file)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={'PATH': os.defpath},
        ) as server,
    ):
        try:
            found = RegistryClient(f'http://{HOST}:{port}')
            if not wait_until(
                lambda: server.poll() is not None or found.ready(),
                READY_SECONDS,
                interval_seconds=0.02,
            ):
                raise errors.TimedOut(
                    'the registry of container images', READY_SECONDS, f'See {log_file}.'
                )
            yield found
        finally:
            server.terminate()
    file.unlink()
    log_file.unlink()
