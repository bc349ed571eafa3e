# SPDX-License-Identifier: Apache-2.0
"""Puts a fleet into an old cloud, and takes it out again: ports at Neutron, network namespaces,
rows of Trove's, and a region whose Nova shows the fleet's servers, too.
"""

import dataclasses
import pathlib
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lab import rest
from lab.bridge.stage import BridgeStage
from lab.bridge.tenants import DATABASE_GROUP, GATEWAY
from lab.servers import Port
from trove_upgrade.db import models, trove_tables
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.tests.fleet import guests as fleet_guests
from trove_upgrade.tests.fleet import process
from trove_upgrade.tests.fleet.guests import Fault, FleetGuest
from trove_upgrade.tests.fleet.nova_view import NovaView, ShownServer

REGION = 'Fleet'
_PORTS_AT_A_TIME = 50
_PREFIX_LENGTH = 24
_ENDED_SECONDS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class PluggedGuest:
    """A guest with its port."""

    guest: FleetGuest
    port_id: str
    mac: str


class FleetStage:
    """A fleet in an old cloud."""

    def __init__(
        self,
        stage: BridgeStage,
        repositories: Repositories,
        planned: Sequence[FleetGuest],
        directory: pathlib.Path,
    ) -> None:
        self._stage, self._repositories = stage, repositories
        self._planned, self._directory = planned, directory
        self._handle = stage.stage.handle
        self._admin = rest.Session.of(self._handle.users['admin'])
        self._neutron = f'{self._handle.neutron_url}/v2.0'
        self._plugged: list[PluggedGuest] = []
        self._view: NovaView | None = None
        self._process: subprocess.Popen[str] | None = None
        self.trace_file = directory / 'trace.jsonl'

    @property
    def region(self) -> str:
        """Region in which clients see the fleet."""
        return REGION

    def put_in(self, host_key: str) -> None:
        """Put the fleet in.  `host_key` is pinned where a guest will show another."""
        self._plugged = list(self._plug())
        self._register(host_key)
        self._show_region()
        self._start()

    def take_out(self) -> None:
        """Take all of it out, however far `put_in` has come."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=_ENDED_SECONDS)
        if self._view is not None:
            self._view.end()
        self._forget_region()
        forget_rows(
            self._repositories,
            [one.instance_id for one in self._planned],
            [one.server_id for one in self._planned],
        )
        for one in self._planned:
            self._stage.stage.host.fabric.detach(one.server_id)
        for port in self._ports_of({one.server_id for one in self._planned}):
            self._admin.request('DELETE', f'{self._neutron}/ports/{port["id"]}')

    def left(self) -> list[str]:
        """Return in words what of the fleet is still in the cloud."""
        ids = [one.instance_id for one in self._planned]
        instances = trove_tables.instances
        query = sa.select(instances.c.id).where(instances.c.id.in_(ids))
        with self._repositories.database.read() as connection:
            rows = connection.execute(query).scalars().all()
        ports = self._ports_of({one.server_id for one in self._planned})
        regions = self._admin.request('GET', f'{self._handle.auth_url}/regions')['regions']
        return [
            *(f'row {one}' for one in rows),
            *(f'port {one["id"]}' for one in ports),
            *(f'region {one["id"]}' for one in regions if one['id'] == REGION),
        ]

    # ports and namespaces

    def _plug(self) -> Iterator[PluggedGuest]:
        groups = self._groups()
        for at in range(0, len(self._planned), _PORTS_AT_A_TIME):
            batch = self._planned[at : at + _PORTS_AT_A_TIME]
            wanted = [
                {
                    'network_id': guest.place.network_id,
                    'project_id': guest.place.project_id,
                    'device_id': guest.server_id,
                    'device_owner': 'compute:nova',
                    'name': guest.name,
                    'security_groups': [groups[guest.place.project_id]],
                }
                for guest in batch
            ]
            made = self._admin.request('POST', f'{self._neutron}/ports', {'ports': wanted})
            by_server = {port['device_id']: port for port in made['ports']}
            for guest in batch:
                yield self._attached(guest, by_server[guest.server_id])

    def _attached(self, guest: FleetGuest, port: Mapping[str, Any]) -> PluggedGuest:
        address = str(port['fixed_ips'][0]['ip_address'])
        namespace = self._stage.stage.host.fabric.attach(
            guest.server_id,
            [
                Port(
                    network_id=guest.place.network_id,
                    mac=str(port['mac_address']),
                    address=address,
                    prefix_length=_PREFIX_LENGTH,
                    gateway=GATEWAY,
                )
            ],
        )
        return PluggedGuest(
            guest=dataclasses.replace(guest, address=address, namespace=f'/run/netns/{namespace}'),
            port_id=str(port['id']),
            mac=str(port['mac_address']),
        )

    def _groups(self) -> dict[str, str]:
        """Return each project's group for what clients of a database need."""
        url = f'{self._neutron}/security-groups?name={DATABASE_GROUP}'
        found = self._admin.request('GET', url)['security_groups']
        return {group['project_id']: group['id'] for group in found}

    def _ports_of(self, server_ids: set[str]) -> list[Mapping[str, Any]]:
        ports = self._admin.request('GET', f'{self._neutron}/ports?fields=id&fields=device_id')
        return [port for port in ports['ports'] if port['device_id'] in server_ids]

    # rows

    def _register(self, host_key: str) -> None:
        instances = self._repositories.instances
        versions = {
            version.name: version
            for version in (
                instances.get(one.id, with_details=False).version for one in self._stage.instances
            )
        }
        for guest in self._planned:
            instances.register(
                versions[guest.version],
                instance_id=guest.instance_id,
                server_id=guest.server_id,
                name=guest.name,
                project_id=guest.place.project_id,
                image_id=None,
                volume_size_gb=2,
            )
            if guest.fault is Fault.OTHER_HOST_KEY:
                self._repositories.host_keys.pin(guest.server_id, host_key)

    # Nova

    def _show_region(self) -> None:
        """Make a region of the same services, but for Nova."""
        nova = urllib.parse.urlsplit(self._handle.nova_url)
        self._view = NovaView(nova.port, [_shown(one) for one in self._plugged])
        self._view.serve()
        keystone = self._handle.auth_url
        self._admin.request('POST', f'{keystone}/regions', {'region': {'id': REGION}})
        own = f'{keystone}/endpoints?region_id={self._handle.service.region_name}'
        for endpoint in self._admin.request('GET', own)['endpoints']:
            url = str(endpoint['url'])
            if url.startswith((self._handle.nova_url, self._handle.nova_proxy_url)):
                url = f'http://127.0.0.1:{self._view.port}{nova.path}'
            wanted = {
                'interface': endpoint['interface'],
                'service_id': endpoint['service_id'],
                'region_id': REGION,
                'url': url,
            }
            self._admin.request('POST', f'{keystone}/endpoints', {'endpoint': wanted})

    def _forget_region(self) -> None:
        keystone = self._handle.auth_url
        found = self._admin.request('GET', f'{keystone}/endpoints?region_id={REGION}')
        for endpoint in found['endpoints']:
            self._admin.request('DELETE', f'{keystone}/endpoints/{endpoint["id"]}')
        regions = self._admin.request('GET', f'{keystone}/regions')['regions']
        if REGION in {region['id'] for region in regions}:
            self._admin.request('DELETE', f'{keystone}/regions/{REGION}')

    # the guests' process

    def _start(self) -> None:
        """Start it, and return once all guests listen."""
        file = self._directory / 'guests.json'
        fleet_guests.save([one.guest for one in self._plugged], file)
        options = {
            '--guests': file,
            '--authorized-key': self._stage.key.with_suffix('.pub'),
            '--trace': self.trace_file,
            '--config-file': self._stage.stage.product.config_file,
        }
        words = [str(word) for pair in options.items() for word in pair]
        self._process = subprocess.Popen(
            [sys.executable, '-m', process.__name__, *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline().strip() != process.READY:
            raise RuntimeError('the guests of the fleet do not listen: see the output above')


def _shown(one: PluggedGuest) -> ShownServer:
    guest = one.guest
    return ShownServer(
        id=guest.server_id,
        name=guest.name,
        project_id=guest.place.project_id,
        hypervisor=guest.hypervisor,
        mac=one.mac,
        address=guest.address,
    )


def forget_rows(
    repositories: Repositories, instance_ids: Sequence[str], server_ids: Sequence[str]
) -> None:
    """Delete the rows of instances and of their guests; members of the bridge's runs stay."""
    instances, statuses = trove_tables.instances, trove_tables.service_statuses
    host_keys = models.upgrade_bridge_host_keys
    with repositories.database.write() as connection:
        for column in (
            models.upgrade_guest_keys.c.instance_id,
            models.upgrade_guests.c.instance_id,
            statuses.c.instance_id,
            instances.c.id,
        ):
            connection.execute(sa.delete(column.table).where(column.in_(instance_ids)))
        connection.execute(sa.delete(host_keys).where(host_keys.c.server_id.in_(server_ids)))
