# SPDX-License-Identifier: Apache-2.0
"""An instance of real Trove for as long as something is measured on it."""
import contextlib
import time
from collections.abc import Iterator

from trove_upgrade.lab import errors, rest
from trove_upgrade.lab.trove.instances import TroveInstance
from trove_upgrade.lab.trove.stage import TroveStage

GONE_SECONDS = 120.0


@contextlib.contextmanager
def created(stage: TroveStage, name: str) -> Iterator[TroveInstance]:
    """HEALTHY, of the former version; removed afterwards, whatever has become of it."""
    instance_id = stage.instances.begin(name, stage.former)
    try:
        yield stage.instances.wait_healthy(instance_id)
    finally:
        _remove(stage, instance_id)


def _remove(stage: TroveStage, instance_id: str) -> None:
    """Through Trove as far as it gets: in a cloud without Cinder it deletes the server and the port, then asks Cinder for volumes and fails.

    :raises NotReady: the server is still there.
    """
    admin = stage.handle.users['admin']
    session = rest.Session(admin.auth_url, admin.username, admin.password, admin.project_name)
    project = session.request('GET', f'{stage.handle.auth_url}/projects?name={admin.project_name}')['projects'][0]['id']
    server_id = stage.instances.row(instance_id)['compute_instance_id']
    address = f'{stage.side.url}/v1.0/{project}/instances/{instance_id}'
    session.request('POST', f'{address}/action', {'reset_status': {}})    # Trove deletes none that something works on
    session.request('DELETE', address)
    deadline = time.monotonic() + GONE_SECONDS
    while any(guest.spec.guest_id == server_id for guest in stage.host.guests.all()):
        if time.monotonic() > deadline:
            raise errors.NotReady(f'Server {server_id} of instance {instance_id} is still there {GONE_SECONDS:.0f} s after its deletion was asked for. '
                                  'See the log of trove-taskmanager.')
        time.sleep(0.5)
    stage.side.sql(f"UPDATE instances SET deleted = 1, deleted_at = NOW() WHERE id = '{instance_id}';")
