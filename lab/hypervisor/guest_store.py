# SPDX-License-Identifier: Apache-2.0
"""The guests of one lab: made, found, rebuilt, and all removed at its end.

For callers::

    store = GuestStore(layout.guests_dir, fabric, volumes, commands)
    guest = store.create(GuestSpec(guest_id, hostname='db1', image_path=..., ports=(port,),
                                   volume_id=..., user_data=b'...'))
    guest.boot()
    # kills everything, drops the root disk, boots the other image; volume and port stay
    store.rebuild(guest_id, new_spec)
    store.get(guest_id).destroy()
    store.clean_all()
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import errors
from lab.commands import Commands
from lab.hypervisor import seed
from lab.hypervisor.errors import CleanupIncomplete, GuestUnknown
from lab.hypervisor.guests import Guest
from lab.hypervisor.network import NetworkFabric
from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import VolumeStore
from lab.servers import Port


class GuestStore:
    """All guests of one lab."""

    def __init__(
        self, guests_dir: Path, fabric: NetworkFabric, volumes: VolumeStore, commands: Commands
    ) -> None:
        self._dir = guests_dir
        self._fabric = fabric
        self._volumes = volumes
        self._commands = commands

    def create(self, spec: GuestSpec) -> Guest:
        """A guest with an empty root disk, not booted yet.  One of that id must not run; what it
        left is dropped.
        """
        guest = self._guest(spec)
        guest.kill()
        guest.drop_root_disk()
        guest.home.mkdir(parents=True, exist_ok=True)
        (guest.home / 'console.log').unlink(missing_ok=True)
        # JSON is YAML, which is what cloud-init reads here.
        meta_data = json.dumps(seed.meta_data(spec, guest.volume), indent=1)
        seed.write(guest.home / 'upper', spec.user_data, meta_data)
        (guest.home / 'upper/etc').mkdir()
        (guest.home / 'upper/etc/hostname').write_text(f'{spec.hostname}\n', 'utf-8')
        if spec.runs_containers:
            (guest.home / 'upper/etc/resolv.conf').write_text(_resolver(spec.ports), 'utf-8')
        seed.inject(guest.home / 'upper', spec.injected_files)
        self._fabric.publish(spec.ports, spec.user_data, meta_data)
        fresh = guest.home / 'guest.json.new'
        fresh.write_text(spec.to_json(), 'utf-8')
        fresh.rename(guest.home / 'guest.json')
        return guest

    def rebuild(self, guest_id: str, spec: GuestSpec) -> Guest:
        """Kill a guest, drop its root disk and boot it from `spec`; volume and port stay."""
        self.get(guest_id).kill()
        guest = self.create(spec)
        guest.boot()
        return guest

    def boot_image(self, guest_id: str, image: Path) -> Guest:
        """Boot a guest of an image with a container engine, without network and volume."""
        guest = self.create(
            GuestSpec(guest_id=guest_id, hostname=guest_id, image_path=image, runs_containers=True)
        )
        guest.boot()
        return guest

    def get(self, guest_id: str) -> Guest:
        """The guest as recorded.

        :raises GuestUnknown: there is none of that id.
        """
        record = self._dir / guest_id / 'guest.json'
        if not record.exists():
            raise GuestUnknown(guest_id)
        return self._guest(GuestSpec.from_json(record.read_text('utf-8')))

    def all(self) -> list[Guest]:
        """Every guest of this lab, running or not."""
        return [self.get(record.parent.name) for record in sorted(self._dir.glob('*/guest.json'))]

    def clean_all(self) -> None:
        """End and remove everything: guests, their ports, volumes, networks.  Nothing of this lab
        is left.

        :raises CleanupIncomplete: something resisted; everything else is gone.
        """
        parts: list[tuple[str, Callable[[], None]]] = [
            (f'guest {guest.spec.guest_id}', guest.destroy) for guest in self.all()
        ]
        failures = _attempt(parts)
        parts = [
            (
                f'volume {volume.volume_id}',
                functools.partial(self._volumes.destroy, volume.volume_id),
            )
            for volume in self._volumes.all()
        ]
        failures += _attempt([*parts, ('the networks', self._fabric.remove_all)])
        if failures:
            raise CleanupIncomplete(failures)

    def _guest(self, spec: GuestSpec) -> Guest:
        return Guest(spec, self._dir / spec.guest_id, self._fabric, self._volumes, self._commands)


def _resolver(ports: Sequence[Port]) -> str:
    """A guest's resolv.conf: names are asked of the gateway of its first network, where the lab has
    a name server.
    """
    gateways = [port.gateway for port in ports if port.gateway]
    return f'nameserver {gateways[0]}\noptions timeout:1 attempts:1\n' if gateways else ''


def _attempt(parts: list[tuple[str, Callable[[], None]]]) -> list[str]:
    """Do all of these, whichever fails; the failures, in words."""
    failures = []
    for name, work in parts:
        try:
            work()
        except errors.LabError as error:
            failures.append(f'{name}: {error}')
    return failures
