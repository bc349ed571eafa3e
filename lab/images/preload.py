# SPDX-License-Identifier: Apache-2.0
"""Container images that a guest image has in its engine's store already, so that a new root disk
need not pull them.

A guest of the image itself loads them, so the store is one that its own engine has written:
`image_store` finds out where.  In the finished image it lies in `STORE`, below the name that its
directory has in /var/lib; the hypervisor puts it below the engine at a guest's first boot
(guest-images.sh): copies of the small files, and the layers straight from the image.  An operator's
image simply has it in place.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab import composition, errors
from lab.commands import Commands
from lab.images import image_store
from lab.servers import ENGINE_DIRECTORIES, STATE, Server
from trove_upgrade.waiting import wait_until

STORE = Path('usr/lib/trove-lab/docker-store')
#: Names of the images in it, a list in JSON: containerd's store has them in a database.
_NAMES = 'names.json'
_ENGINE_SECONDS, _LOAD_SECONDS = 60.0, 600.0


def load(
    image: Path, archives: Sequence[Path], work: Path, commands: Commands, layer: Path
) -> None:
    """Boot a guest of `image`, load these archives (of `docker save`'s form), and write its store
    below `layer`.

    `work` is a directory of an ordinary file system that is used by nothing else; it is gone
    afterwards.

    :raises image_store.StoreUnknown: the engine keeps its images in a way that cannot be copied.
    :raises errors.CommandFailed: the engine refused an archive.
    :raises errors.TimedOut: the engine did not start.
    """
    # Whatever a build that was cut off has left there.
    host = composition.hypervisor(work, commands)
    host.guests.clean_all()
    try:
        # The process in its name keeps two caches apart: network namespaces are the machine's.
        guest = host.guests.boot_image(f'preload-{os.getpid()}', image)
        _wait_engine(guest)
        for archive in archives:
            _load_one(guest, archive)
        store = _store_of(guest)
        listed = guest.exec(['docker', 'images', '--format', '{{.Repository}}:{{.Tag}}'])
        names = sorted(name for name in listed.output.split() if '<none>' not in name)
        for service in ('docker', 'containerd'):
            guest.exec(['service', service, 'stop'])
        guest.kill()
        _copy(store, guest, layer / STORE)
        (layer / STORE / _NAMES).write_text(json.dumps(names), 'utf-8')
    finally:
        host.guests.clean_all()
        shutil.rmtree(work, ignore_errors=True)


def _wait_engine(guest: Server) -> None:
    if not wait_until(
        lambda: guest.exec(['docker', 'version'], check=False).returncode == 0,
        _ENGINE_SECONDS,
        interval_seconds=0.1,
    ):
        raise errors.TimedOut(
            'the engine to answer', _ENGINE_SECONDS, 'See /var/log/docker.log in the guest.'
        )


def _load_one(guest: Server, archive: Path) -> None:
    place = STATE / 'docker' / 'archive.tar'
    guest.copy_in(archive, place)
    guest.exec(['docker', 'load', '--quiet', '--input', str(place)], timeout_seconds=_LOAD_SECONDS)
    guest.exec(['rm', str(place)])


def _store_of(guest: Server) -> image_store.ImageStore:
    info = json.loads(guest.exec(['docker', 'info', '--format', '{{json .}}']).output)
    store = image_store.of_engine(
        info, lambda path: guest.exec(['test', '-d', str(path)], check=False).returncode == 0
    )
    store.require_below(*(STATE / name for name in ENGINE_DIRECTORIES))
    return store


def _copy(store: image_store.ImageStore, guest: Server, target: Path) -> None:
    for path in store.paths:
        place = (target / path.relative_to(STATE)).parent
        place.mkdir(parents=True, exist_ok=True)
        guest.copy_out(path, place)
