# SPDX-License-Identifier: Apache-2.0
"""Creates instances through Trove with the unmodified client, and waits until Trove says that they
serve.
"""

import base64
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from lab import errors, rest
from lab.clients import Clients
from lab.handle import CloudHandle
from lab.servers import Hypervisor, Server
from lab.services import mariadb
from lab.trove.datastores import Registered
from lab.trove.side import TroveSide

CREATE_SECONDS = 300.0
DELETE_SECONDS = 120.0
POLL_SECONDS = 1.0
NO_TASK = '1'  #: instances.task_id of an instance on which no service works
DATABASE = 'app'
USER = 'app'
PASSWORD = 'app-password-of-the-lab'  # nosec B105 # the lab is a throwaway cloud on loopback


@dataclasses.dataclass(frozen=True, kw_only=True)
class TroveInstance:
    """An instance that Trove has made."""

    id: str
    name: str
    server_id: str
    address: str
    network_id: str
    database: str = DATABASE
    user: str = USER
    password: str = PASSWORD


class TroveInstances:
    """Makes and looks at instances as one user."""

    def __init__(
        self,
        handle: CloudHandle,
        side: TroveSide,
        host: Hypervisor,
        user: str = 'demo',
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._handle = handle
        self._side = side
        self._host = host
        self._sleep = sleep
        found = handle.users[user]
        self.clients = Clients(found, pathlib.Path(handle.programs_dir))
        self._session = rest.Session.of(found)
        admin = handle.users['admin']
        self._admin = rest.Session.of(admin)
        self.project_id, self._admin_project = (
            self._project(name) for name in (found.project_name, admin.project_name)
        )

    def _project(self, name: str) -> str:
        return str(
            self._admin.request('GET', f'{self._handle.auth_url}/projects?name={name}')['projects'][
                0
            ]['id']
        )

    @property
    def base_url(self) -> str:
        """Address of Trove's API in the user's project."""
        return f'{self._handle.database_api_url}/{self.project_id}'

    def create(
        self,
        name: str,
        version: Registered,
        *,
        flavor: str = 'trove.small',
        databases: Sequence[str] = (DATABASE,),
        users: Sequence[str] = (f'{USER}:{PASSWORD}',),
        timeout_seconds: float = CREATE_SECONDS,
    ) -> TroveInstance:
        """`openstack database instance create`, and wait until it is HEALTHY and Trove has let go
        of it.

        :raises NotReady: it did not get there in time, or ended in ERROR.
        :raises CommandFailed: the client ended with another code than 0.
        """
        return self.wait_healthy(
            self.begin(name, version, flavor=flavor, databases=databases, users=users),
            timeout_seconds,
        )

    def begin(
        self,
        name: str,
        version: Registered,
        *,
        flavor: str = 'trove.small',
        databases: Sequence[str] = (DATABASE,),
        users: Sequence[str] = (f'{USER}:{PASSWORD}',),
    ) -> str:
        """Ask for an instance; its id, while it is being built."""
        more = [
            *(('--databases', *databases) if databases else ()),
            *(('--users', *users) if users else ()),
        ]
        answer = self.clients.run(
            'openstack',
            'database',
            'instance',
            'create',
            name,
            '--flavor',
            self._side.flavors()[flavor],
            '--nic',
            f'net-id={self._handle.network_id}',
            '--datastore',
            version.datastore,
            '--datastore-version',
            version.name,
            *more,
            '-f',
            'json',
        )
        return str(json.loads(answer)['id'])

    def wait_healthy(
        self, instance_id: str, timeout_seconds: float = CREATE_SECONDS
    ) -> TroveInstance:
        """The instance, once it serves and no task of Trove's runs on it."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            row = self.row(instance_id)
            if row['task_id'] == NO_TASK:
                shown = self.show(instance_id)
                if shown.get('operating_status') == 'HEALTHY':
                    return self.instance(instance_id)
            if row['status'] == 'ERROR' or time.monotonic() > deadline:
                shown = self.show(instance_id)
                raise errors.NotReady(
                    f'Instance {instance_id} is not HEALTHY: status {shown["status"]}, '
                    f'{shown.get("operating_status")}, task {row["task_id"]}, '
                    f'{shown.get("fault")}. '
                    'See the logs of trove-taskmanager and nova-compute, and the '
                    "guest's /var/log/trove."
                )
            self._sleep(POLL_SECONDS)

    def instance(self, instance_id: str) -> TroveInstance:
        """Return what tests need of an instance with a server."""
        server_id = self.row(instance_id)['compute_instance_id']
        guest = self._host.guests.get(server_id)
        port = guest.ports[0]
        return TroveInstance(
            id=instance_id,
            name=guest.name,
            server_id=server_id,
            address=port.address,
            network_id=port.network_id,
        )

    def guest(self, instance: TroveInstance) -> Server:
        """The hypervisor's own view: to run programs in it."""
        return self._host.guests.get(instance.server_id)

    def show(self, instance_id: str) -> dict[str, Any]:
        """Return an instance as the user's API shows it."""
        found: dict[str, Any] = self._session.request(
            'GET', f'{self.base_url}/instances/{instance_id}'
        )['instance']
        return found

    def row(self, instance_id: str) -> dict[str, str]:
        """Read from Trove's database: task_id, datastore_version_id, compute_instance_id, and the
        guest's status as last reported.
        """
        columns = ('task_id', 'datastore_version_id', 'compute_instance_id', 'status')
        found = self._side.sql(
            'SELECT i.task_id, i.datastore_version_id, i.compute_instance_id, s.status_description '
            'FROM instances i LEFT JOIN service_statuses s ON s.instance_id = i.id '
            f"WHERE i.id = '{instance_id}';"
        )
        if not found:
            raise errors.LabError(
                f'Trove has no row of instance {instance_id}.', code='lab_no_instance'
            )
        return dict(zip(columns, found[0], strict=True))

    def user_data(self, server_id: str) -> dict[str, str]:
        """The files that cloud-init writes in this server, as Nova keeps them: path -> content."""
        rows = mariadb.execute(
            self._side.settings, f"SELECT user_data FROM nova.instances WHERE uuid = '{server_id}';"
        )
        cloud_config = yaml.safe_load(base64.b64decode(rows[0][0]))
        return {
            entry['path']: base64.b64decode(entry['content']).decode()
            for entry in cloud_config['write_files']
        }

    def delete(self, instance_id: str) -> None:
        """Delete it, whatever state it is in, and wait until it is gone.

        :raises NotReady: it is still there after two minutes.
        """
        address = f'{self._handle.database_api_url}/{self._admin_project}/instances/{instance_id}'
        # Trove deletes no instance that is being built
        self._admin.request('POST', f'{address}/action', {'reset_status': {}})
        self._admin.request('DELETE', address)
        deadline = time.monotonic() + DELETE_SECONDS
        while self._side.sql(
            f"SELECT 1 FROM instances WHERE id = '{instance_id}' AND deleted = 0;"
        ):
            if time.monotonic() > deadline:
                raise errors.NotReady(
                    f'Instance {instance_id} is still there {DELETE_SECONDS:.0f} s after its '
                    'deletion was asked for. See the log of trove-taskmanager.'
                )
            self._sleep(POLL_SECONDS)
