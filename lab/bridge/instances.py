# SPDX-License-Identifier: Apache-2.0
"""Instances as old clouds have them: a server in the tenant's own project, whose files Nova has
injected, without user data, and a row in the tables without a key.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid

from lab import errors, rest
from lab.bridge import old_guests
from lab.bridge.old_guests import OldGuest
from lab.bridge.tenants import DATABASE_GROUP, DEFAULT_GROUP, GATEWAY, TenantNetwork
from lab.handle import CloudHandle
from lab.images import provision
from lab.product import Product
from lab.publishing import PublishedVersion
from lab.servers import Hypervisor, Server
from trove_upgrade.waiting import wait_until

BOOT_SECONDS = 180.0
POLL_SECONDS = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldInstance:
    """An instance whose agent is from before the upgrade feature."""

    id: str
    name: str
    server_id: str
    address: str
    network: TenantNetwork
    init: str  #: `tini` (sysv scripts) or `systemd`


class OldInstances:
    """Makes them on one cloud."""

    def __init__(
        self, handle: CloudHandle, product: Product, host: Hypervisor, authorized_key: str
    ) -> None:
        self._handle = handle
        self._product = product
        self._host = host
        self._authorized_key = authorized_key

    def guest(self, instance: OldInstance) -> Server:
        """The hypervisor's own view: to run programs in it, whatever its groups close."""
        return self._host.guests.get(instance.server_id)

    def create(
        self, name: str, version: PublishedVersion, network: TenantNetwork, *, rows: int = 0
    ) -> OldInstance:
        """A server, its database with `rows` rows, and its registration.

        :raises NotReady: the server did not become ACTIVE in time.
        :raises CommandFailed: Nova, the guest or trove-upgrade-manage refused something.
        """
        instance_id = str(uuid.uuid4())
        session = rest.Session.of(self._handle.users[network.user])
        server_id = self._boot(session, name, version, network, instance_id)
        guest = self._host.guests.get(server_id)
        old_guests.provision(guest)
        if rows:
            provision.seed_rows(guest, rows)
        owner = ('--id', instance_id, '--name', name, '--project', network.project_id)
        datastore = ('--datastore', version.datastore, '--version', version.name)
        self._product.manage(
            'instance', 'register', server_id, *owner, *datastore, '--volume-size', '2'
        )
        return OldInstance(
            id=instance_id,
            name=name,
            server_id=server_id,
            address=guest.ports[0].address,
            network=network,
            init=guest.init,
        )

    def _boot(
        self,
        session: rest.Session,
        name: str,
        version: PublishedVersion,
        network: TenantNetwork,
        instance_id: str,
    ) -> str:
        """The server's id, once it is ACTIVE."""
        servers = f'{self._handle.nova_url}/servers'
        body = self._body(name, version, network, instance_id)
        server_id = str(session.request('POST', servers, body)['server']['id'])

        def decided() -> dict[str, object] | None:
            found: dict[str, object] = session.request('GET', f'{servers}/{server_id}')['server']
            return found if found['status'] in {'ACTIVE', 'ERROR'} else None

        server = wait_until(decided, BOOT_SECONDS, interval_seconds=POLL_SECONDS)
        if not server or server['status'] != 'ACTIVE':
            raise errors.NotReady(
                f'Server {server_id} of instance {name} did not become ACTIVE: {server}. See the '
                'logs of nova-compute.'
            )
        return server_id

    def _body(
        self, name: str, version: PublishedVersion, network: TenantNetwork, instance_id: str
    ) -> dict[str, object]:
        """The request as clients sent it before Nova's microversion 2.57."""
        files = old_guests.injected_files(
            OldGuest(
                instance_id=instance_id,
                project_id=network.project_id,
                transport_url=guest_transport_url(self._handle),
                authorized_key=self._authorized_key,
            )
        )
        return {
            'server': {
                'name': name,
                'imageRef': version.image_id,
                'flavorRef': self._handle.flavors['db.small'],
                'networks': [{'uuid': network.network_id}],
                'security_groups': [{'name': DEFAULT_GROUP}, {'name': DATABASE_GROUP}],
                'personality': [
                    {'path': path, 'contents': base64.b64encode(content).decode()}
                    for path, content in files.items()
                ],
            }
        }


def guest_transport_url(handle: CloudHandle) -> str:
    """The broker as guests of every tenant reach it: at their own gateway."""
    user, _, place = handle.transport_url.partition('@')
    return f'{user}@{GATEWAY}:5672/{place.partition("/")[2]}'
