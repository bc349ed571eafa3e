# SPDX-License-Identifier: Apache-2.0
"""Floor of a container guest's outage, from an upgraded guest: its container is stopped, started
and upgraded once more by the engine's own commands, and Nova is asked how long its rebuild took.
"""

import datetime
from typing import Any

from benchmarks.outage import case, watching
from lab import errors, rest
from lab.trove import database
from lab.trove.instances import TroveInstance
from lab.trove.stage import TroveStage
from trove_upgrade.waiting import wait_until

SERVES_SECONDS = 120.0
_ENGINE_UPGRADE = (
    'exec mariadb-upgrade --silent --force --user=root --socket=/var/run/mysqld/mysqld.sock'
)
_COMMAND_SECONDS = 900.0


def measure(stage: TroveStage, instance: TroveInstance, boot_seconds: float) -> case.Floor:
    """Measure the parts in the guest, whose database is away for some seconds.

    :raises LabError: the database does not serve again, or Nova knows of no rebuild.
    """
    guest = stage.instances.guest(instance)
    stop = watching.seconds(lambda: guest.exec(['docker', 'stop', database.CONTAINER]))

    def start() -> None:
        guest.exec(['docker', 'start', database.CONTAINER])
        if not wait_until(lambda: database.serves(guest), SERVES_SECONDS, interval_seconds=0.05):
            raise errors.NotReady(
                f'The database of instance {instance.id} does not serve {SERVES_SECONDS:.0f} s '
                'after its container was started again.'
            )

    started = watching.seconds(start)
    password = database.root_password(guest)
    upgraded = watching.seconds(
        lambda: guest.exec(
            ['docker', 'exec', '-e', 'MYSQL_PWD', database.CONTAINER, 'sh', '-c', _ENGINE_UPGRADE],
            env={'MYSQL_PWD': password},
            timeout_seconds=_COMMAND_SECONDS,
        )
    )
    return case.Floor(
        stop=stop,
        rebuild=round(_rebuild_seconds(stage, instance) + boot_seconds, 2),
        start=started,
        engine_upgrade=upgraded,
    )


def _rebuild_seconds(stage: TroveStage, instance: TroveInstance) -> float:
    """Return how long Nova took from the request to the end of the newest rebuild, as its own list
    of actions has it.
    """
    session = rest.Session.of(stage.handle.users['admin'])
    address = f'{stage.handle.nova_url}/servers/{instance.server_id}/os-instance-actions'
    actions: list[dict[str, Any]] = session.request('GET', address)['instanceActions']
    for action in actions:
        if action['action'] == 'rebuild':
            found = session.request('GET', f'{address}/{action["request_id"]}')['instanceAction']
            ends = [_time(event['finish_time']) for event in found['events']]
            return (max(ends) - _time(action['start_time'])).total_seconds()
    raise errors.LabError(
        f'Nova lists no rebuild among the actions of server {instance.server_id}.',
        code='bench_no_rebuild',
    )


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
