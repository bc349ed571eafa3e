# SPDX-License-Identifier: Apache-2.0
"""Container images that a guest image has in its engine's store already, so that a new root disk need not pull them.

A guest of the image itself loads them, so the store is one that its own engine has written.  In the finished image it lies
in `STORE`; the hypervisor puts it below the engine at a guest's first boot (start-guest.sh): copies of the small files, and
the layers straight from the image.  An operator's image simply has it in /var/lib/docker.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from trove_upgrade.lab.hypervisor.commands import Commands, wait_until
from trove_upgrade.lab.hypervisor.guests import Guest, GuestSpec
from trove_upgrade.lab.hypervisor.host import LabHost

STORE = Path('usr/lib/trove-lab/docker-store')
#: What of an engine's directory is images, and not containers, networks or scratch.
_PARTS = ('image', 'overlay2')
_ENGINE_SECONDS, _LOAD_SECONDS = 60.0, 600.0


def load(image: Path, archives: Sequence[Path], work: Path, commands: Commands, layer: Path) -> None:
    """Boot a guest of `image`, load these archives (of `docker save`'s form), and write its store below `layer`.

    `work` is a directory of an ordinary file system that nobody else uses; it is gone afterwards.

    :raises errors.CommandFailed: the engine refused an archive.
    :raises errors.TimedOut: the engine did not start.
    """
    # Whatever a build that was cut off has left there.
    LabHost.open(work, commands=commands).guests.clean_all()
    host = LabHost.open(work, commands=commands)
    # The process in its name keeps two caches apart: network namespaces are the machine's.
    guest = host.guests.create(GuestSpec(f'preload-{os.getpid()}', 'preload', image, runs_containers=True))
    try:
        guest.boot()
        wait_until(lambda: guest.exec(['docker', 'version'], check=False).returncode == 0, 'the engine to answer',
                   seconds=_ENGINE_SECONDS, interval_seconds=0.1, hint='See /var/log/docker.log in the guest.')
        for archive in archives:
            _load_one(guest, archive)
        guest.exec(['service', 'docker', 'stop'])
        guest.kill()
        for part in _PARTS:
            (layer / STORE).mkdir(parents=True, exist_ok=True)
            commands.run(['cp', '-a', str(guest.home / 'docker' / part), str(layer / STORE)], timeout_seconds=_LOAD_SECONDS)
    finally:
        host.guests.clean_all()
        shutil.rmtree(work, ignore_errors=True)


def _load_one(guest: Guest, archive: Path) -> None:
    """The engine's directory is the one place that host and guest share."""
    shared = guest.home / 'docker' / 'archive.tar'
    shutil.copyfile(archive, shared)
    guest.exec(['docker', 'load', '--quiet', '--input', '/var/lib/docker/archive.tar'], timeout_seconds=_LOAD_SECONDS)
    shared.unlink()
