# SPDX-License-Identifier: Apache-2.0
"""Creates instances as Trove would: a server of the service project, a database on its volume, a
row in the instances table.
"""

import base64
import contextlib
import dataclasses
import json
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pymysql

from lab import errors, rest
from lab.handle import CloudHandle
from lab.images import provision
from lab.product import Product
from lab.publishing import PublishedVersion
from lab.servers import Hypervisor, Server, gateway_of
from trove_upgrade.waiting import wait_until

#: Where the agent looks for its key: readable by root alone, beside the files that Trove's own
#: agent reads.
GUEST_KEY_FILE = '/etc/trove/trove-upgrade-guest.key'
BOOT_SECONDS = 180.0
HEARD_SECONDS = 60.0
POLL_SECONDS = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabInstance:
    """An instance that has just been made."""

    id: str
    name: str
    server_id: str
    address: str
    network_id: str
    credentials: provision.Credentials


class InstanceMaker:
    """Makes instances on one cloud."""

    def __init__(
        self,
        handle: CloudHandle,
        product: Product,
        host: Hypervisor,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._handle = handle
        self._product = product
        self._host = host
        self._sleep = sleep
        service = handle.service
        self._session = rest.Session.of(service)
        admin = handle.users['admin']
        self._admin = rest.Session.of(admin)

    def guest(self, server_id: str) -> Server:
        """The hypervisor's own view of a server: to run programs in it."""
        return self._host.guests.get(server_id)

    def create(
        self,
        name: str,
        version: PublishedVersion,
        *,
        rows: int = 0,
        project: str = 'demo',
        flavor: str = 'db.small',
        metadata: dict[str, str] | None = None,
        settings: dict[str, str] | None = None,
        agent_options: dict[str, str] | None = None,
        with_key: bool = True,
        injected: bool = False,
    ) -> LabInstance:
        """A server, its database with `rows` rows, and its registration.  Without `with_key` the
        guest never had a key of its own; `injected`: files in the place of user data, as of old.

        :raises NotReady: the server did not become ACTIVE in time.
        :raises CommandFailed: Nova, the guest or trove-upgrade-manage refused something.
        """
        instance_id = str(uuid.uuid4())
        server_id = self.boot(
            name,
            version.image_id,
            instance_id,
            flavor=flavor,
            metadata=metadata,
            agent_options=agent_options,
            datastore_version=version.name,
            project=project,
            injected=injected,
        )
        guest = self.guest(server_id)
        arguments = (server_id, *self._registration(instance_id, name, version, project))
        self._register(guest, arguments, with_key=with_key)
        credentials = _filled(guest, settings, rows)
        if with_key:
            self._wait_heard(instance_id)
        return _described(guest, instance_id, name, server_id, credentials)

    def _registration(
        self, instance_id: str, name: str, version: PublishedVersion, project: str
    ) -> tuple[str, ...]:
        """Options of trove-upgrade-manage instance register."""
        owner = ('--id', instance_id, '--name', name, '--project', self.project_id(project))
        datastore = ('--datastore', version.datastore, '--version', version.name)
        return (*owner, *datastore, '--volume-size', '2')

    def _register(self, guest: Server, arguments: tuple[str, ...], *, with_key: bool) -> None:
        """The key of a guest is made with its registration; an operator carries it into the guest,
        where the agent finds it by itself.
        """
        if not with_key:
            self._product.manage('instance', 'register', *arguments)
            return
        with tempfile.TemporaryDirectory() as folder:
            key = Path(folder, 'guest.key')
            self._product.manage('instance', 'register', *arguments, '--guest-key-file', str(key))
            guest.write_file(GUEST_KEY_FILE, key.read_text('utf-8'), mode='0600')

    def _wait_heard(self, instance_id: str) -> None:
        """Return once a taskmanager has heard the guest under its key: it speaks to the guest
        sealed from then on.

        :raises NotReady: none has in time.
        """
        address = urllib.parse.urlsplit(self._handle.database_url())
        connection = pymysql.connect(
            host=address.hostname or '',
            port=address.port or 0,
            user=address.username or '',
            password=address.password or '',
            database=address.path.strip('/'),
            autocommit=True,
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            heard = wait_until(
                lambda: cursor.execute(
                    'SELECT 1 FROM upgrade_guest_keys WHERE instance_id = %s AND proven_at IS NOT '
                    'NULL',
                    (instance_id,),
                ),
                HEARD_SECONDS,
                sleep=self._sleep,
                interval_seconds=POLL_SECONDS,
            )
        if not heard:
            raise errors.NotReady(
                f'No taskmanager has heard the guest of instance {instance_id} under its key. See '
                'the log of the taskmanager, and in the guest /var/log/trove.'
            )

    def boot(
        self,
        name: str,
        image_id: str,
        instance_id: str,
        *,
        flavor: str,
        datastore_version: str,
        project: str,
        metadata: dict[str, str] | None = None,
        agent_options: dict[str, str] | None = None,
        injected: bool = False,
    ) -> str:
        """Have Nova boot a server with the guest's two files in its user data, or `injected`; its
        id, once it is ACTIVE.
        """
        files = self._files(
            instance_id, datastore_version, self.project_id(project), agent_options or {}
        )
        given = {'personality': _personality(files)} if injected else {'user_data': _encoded(files)}
        body = {
            'server': {
                'name': name,
                'imageRef': image_id,
                'flavorRef': self._handle.flavors[flavor],
                'networks': [{'uuid': self._handle.network_id}],
                'metadata': metadata or {},
                **given,
            }
        }
        server_id = str(
            self._session.request('POST', f'{self._handle.nova_url}/servers', body)['server']['id']
        )
        self._wait_active(server_id, name)
        return server_id

    def _wait_active(self, server_id: str, name: str) -> None:
        def decided() -> dict[str, object] | None:
            server = self.server(server_id)
            return server if server['status'] in {'ACTIVE', 'ERROR'} else None

        found = wait_until(decided, BOOT_SECONDS, sleep=self._sleep, interval_seconds=POLL_SECONDS)
        server = found or self.server(server_id)
        if server['status'] != 'ACTIVE':
            raise errors.NotReady(
                f'Server {server_id} of instance {name} did not become ACTIVE: it is '
                f'{server["status"]}, {server.get("fault")}. See the logs of nova-compute.'
            )

    def server(self, server_id: str) -> dict[str, object]:
        """Nova's own JSON of a server."""
        found: dict[str, object] = self._session.request(
            'GET', f'{self._handle.nova_url}/servers/{server_id}'
        )['server']
        return found

    def reboot(self, server_id: str) -> None:
        """Have Nova reboot the server softly; returns when Nova has accepted it."""
        self._session.request(
            'POST',
            f'{self._handle.nova_url}/servers/{server_id}/action',
            {'reboot': {'type': 'SOFT'}},
        )

    def delete(self, server_id: str) -> None:
        """Delete the server; its row stays."""
        self._session.request('DELETE', f'{self._handle.nova_url}/servers/{server_id}')

    def project_id(self, project: str) -> str:
        """The id of a project."""
        found = self._admin.request('GET', f'{self._handle.auth_url}/projects?name={project}')[
            'projects'
        ]
        return str(found[0]['id'])

    def transport_url(self) -> str:
        """The broker as guests reach it: at their gateway."""
        gateway = gateway_of(self._handle.network_cidr, None)
        user, _, place = self._handle.transport_url.partition('@')
        return f'{user}@{gateway}:5672/{place.partition("/")[2]}'

    def _files(
        self,
        instance_id: str,
        datastore_version: str,
        project_id: str,
        agent_options: dict[str, str],
    ) -> dict[str, str]:
        """Return the guest's two files, as Trove's taskmanager writes them."""
        options = ''.join(f'{name} = {value}\n' for name, value in agent_options.items())
        return {
            '/etc/trove/conf.d/guest_info.conf': '[DEFAULT]\n'
            f'guest_id = {instance_id}\ndatastore_manager = '
            'mariadb\ndatastore_version = '
            f'{datastore_version}\ntenant_id = {project_id}\n',
            '/etc/trove/conf.d/trove-guestagent.conf': '[DEFAULT]\n'
            'transport_url = '
            f'{self.transport_url()}\nlog_file '
            '= '
            '/var/log/trove/trove-upgrade-guestagent.log\n'
            f'\n[trove_upgrade]\n{options}',
        }


def _filled(guest: Server, settings: dict[str, str] | None, rows: int) -> provision.Credentials:
    credentials = provision.provision_database(guest, settings)
    if rows:
        provision.seed_rows(guest, rows)
    return credentials


def _encoded(files: Mapping[str, str]) -> str:
    """Return cloud-config that writes these files, as Nova takes it."""
    entries = [
        {
            'path': path,
            'owner': 'root:root',
            'permissions': '0640',
            'encoding': 'b64',
            'content': base64.b64encode(text.encode()).decode(),
        }
        for path, text in files.items()
    ]
    config = '#cloud-config\n' + json.dumps({'write_files': entries}, indent=1) + '\n'
    return base64.b64encode(config.encode()).decode()


def _personality(files: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {'path': path, 'contents': base64.b64encode(text.encode()).decode()}
        for path, text in files.items()
    ]


def _described(
    guest: Server, instance_id: str, name: str, server_id: str, credentials: provision.Credentials
) -> LabInstance:
    port = guest.ports[0]
    return LabInstance(
        id=instance_id,
        name=name,
        server_id=server_id,
        address=port.address,
        network_id=port.network_id,
        credentials=credentials,
    )
