# SPDX-License-Identifier: Apache-2.0
"""The lab's hypervisor as one object, put together from a layout or from the file that nova-compute
is given.

For callers::

    host = LabHost.open(layout.hypervisor_dir, broker=('127.0.0.1', 25672))
    host.guests.get(server_id).exec(['uname', '-a'])
    host.fabric.connect(network_id, (address, 3306))
    host.guests.clean_all()
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lab.commands import Commands, HostCommands
from lab.hypervisor import node
from lab.hypervisor.guest_store import GuestStore
from lab.hypervisor.network import NetworkFabric
from lab.hypervisor.volume import VolumeStore
from lab.layout import RUN_VARIABLE
from lab.servers import NetworkNode


@dataclasses.dataclass(frozen=True, kw_only=True)
class HypervisorSettings:
    """Settings that the lab writes to `<run dir>/hypervisor.json` before nova-compute starts."""

    run_dir: Path
    cache_dir: Path
    broker_host: str
    broker_port: int
    registry_port: int | None = None  #: of container images, on the broker's host
    security_groups: bool = False  #: Neutron's are enforced

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> HypervisorSettings:
        """The settings of the lab that the environment names."""
        fields = json.loads((Path(environ[RUN_VARIABLE]) / 'hypervisor.json').read_text('utf-8'))
        return cls(
            run_dir=Path(fields['run_dir']),
            cache_dir=Path(fields['cache_dir']),
            broker_host=fields['broker_host'],
            broker_port=int(fields['broker_port']),
            registry_port=fields.get('registry_port'),
            security_groups=fields.get('security_groups', False),
        )

    @property
    def registry(self) -> tuple[str, int] | None:
        """Address on which the registry of container images listens, None where the lab has
        none.
        """
        return None if self.registry_port is None else (self.broker_host, self.registry_port)

    @property
    def hypervisor_dir(self) -> Path:
        """Directory of all files of the guests; the same path as `Layout.hypervisor_dir`."""
        return self.run_dir / 'hypervisor'


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabHost:
    """Guests, networks and volumes of one lab."""

    directory: Path
    guests: GuestStore
    fabric: NetworkFabric
    volumes: VolumeStore
    commands: Commands

    @classmethod
    def open(
        cls,
        directory: Path,
        broker: tuple[str, int] | None = None,
        commands: Commands | None = None,
        registry: tuple[str, int] | None = None,
        *,
        security_groups: bool = False,
    ) -> LabHost:
        """The lab with its guests below `directory`.  Nothing is made; without a broker, networks
        have no forwarder.  With `security_groups`, ports wait for their rules.
        """
        commands = commands or HostCommands()
        fabric = NetworkFabric(
            directory / 'networks', commands, broker, registry, guarded=security_groups
        )
        volumes = VolumeStore(directory / 'volumes', commands)
        return cls(
            directory=directory,
            guests=GuestStore(directory / 'guests', fabric, volumes, commands),
            fabric=fabric,
            volumes=volumes,
            commands=commands,
        )

    def boot_node(self, name: str, image: Path, *, init: str, authorized_key: str) -> NetworkNode:
        """See `Hypervisor.boot_node`."""
        return node.boot(
            name,
            image,
            init,
            authorized_key,
            directory=self.directory,
            guests=self.guests,
            fabric=self.fabric,
            commands=self.commands,
        )
