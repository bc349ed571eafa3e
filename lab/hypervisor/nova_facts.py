# SPDX-License-Identifier: Apache-2.0
"""Facts that Nova hands to a virt driver, turned into the specification of the lab's guests.
Imports nothing of Nova.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.servers import Network, Port, gateway_of

DEFAULT_VOLUME_GB = 2
#: Server metadata that names the volume's size in GB, over the ephemeral disk of the flavor.
VOLUME_SIZE_KEY = 'lab_volume_gb'


def ports_of(network_info: Iterable[Mapping[str, Any]]) -> list[tuple[Network, Port]]:
    """The server's ports with their networks: the first IPv4 address of each, as the lab's networks
    have one.
    """
    found = []
    for vif in network_info:
        for subnet in vif['network']['subnets']:
            network = ipaddress.ip_network(subnet['cidr'])
            if network.version != 4 or not subnet['ips']:
                continue
            gateway = (subnet.get('gateway') or {}).get('address')
            own = gateway_of(subnet['cidr'], gateway)
            found.append(
                (
                    Network(vif['network']['id'], own, network.prefixlen),
                    Port(
                        network_id=vif['network']['id'],
                        mac=vif['address'],
                        address=subnet['ips'][0]['address'],
                        prefix_length=network.prefixlen,
                        gateway=gateway,
                    ),
                )
            )
            break
    return found


def volume_bytes(ephemeral_gb: int, metadata: Mapping[str, str]) -> int:
    """Size of a new server's volume: its metadata, else the flavor's ephemeral disk, else 2 GB."""
    return int(metadata.get(VOLUME_SIZE_KEY) or ephemeral_gb or DEFAULT_VOLUME_GB) * GIB


def user_data_of(encoded: str | None) -> bytes:
    """User data as the guest shall see it; Nova keeps it in base64."""
    return base64.b64decode(encoded) if encoded else b''


def meta_data_of(instance: Any, image_id: str) -> dict[str, Any]:
    """Return what the guest is told of its server beside what NoCloud itself wants: also the key
    pair that the server was asked for with.
    """
    return {
        'openstack': {
            'uuid': instance.uuid,
            'name': instance.display_name,
            'meta': dict(instance.metadata),
            'image_id': image_id,
        },
        **({'public-keys': [instance.key_data.strip()]} if instance.key_data else {}),
    }


def init_of(system_metadata: Mapping[str, str]) -> str:
    """Return what the image's process 1 is.

    Nova's own view of an image drops properties that it does not know, but keeps all in the
    server's system metadata.
    """
    return system_metadata.get('image_lab_init') or 'tini'


def runs_containers(system_metadata: Mapping[str, str]) -> bool:
    """Return whether the image has a container engine, so that its guest needs what one does
    (spec.py).
    """
    return system_metadata.get('image_lab_docker') == 'true'


def wants_raw_volume(system_metadata: Mapping[str, str]) -> bool:
    """Return whether a new server's volume comes unformatted, as a cloud's does: the guest's own
    agent formats it.
    """
    return system_metadata.get('image_lab_volume') == 'raw'


def spec_of(
    instance: Any,
    *,
    image_id: str,
    image_path: Path,
    ports: tuple[Port, ...],
    injected_files: Iterable[tuple[str, bytes]] | None = None,
) -> GuestSpec:
    """The specification of a server's guest; the files come as Nova has decoded them."""
    return GuestSpec(
        guest_id=instance.uuid,
        hostname=instance.hostname or instance.uuid,
        image_path=image_path,
        ports=ports,
        volume_id=instance.uuid,
        user_data=user_data_of(instance.user_data),
        init=init_of(instance.system_metadata),
        runs_containers=runs_containers(instance.system_metadata),
        meta_data=meta_data_of(instance, image_id),
        injected_files=dict(injected_files or ()),
    )
