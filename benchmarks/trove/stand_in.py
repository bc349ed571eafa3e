# SPDX-License-Identifier: Apache-2.0
"""A taskmanager of ours whose Nova and guests are stand-ins that take known times: what is left is
orchestration.

Everything else is real: Trove's configuration and rows, our tables, the broker that nudges and
heartbeats come by, the polls.  A guest's call joins its job for a while, as a real agent's does,
and a rebuilt guest casts its heartbeat.  Each line of the file is {"upgrade": id, "work": seconds}:
how long Nova and the guest have worked on it, one after the other.

    python -m benchmarks.trove.stand_in --work-file /path/work --config-file /path/trove.conf
"""

import argparse
import base64
import dataclasses
import json
import os
import pathlib
import random
import sys
import threading
import time
import uuid
from typing import Any

from trove_upgrade import signals

LIFE_SECONDS = 900.0
JOIN_SECONDS = 2.0  #: how long a call waits for its job: guest_join_seconds
#: seconds that each takes, chosen anew for each upgrade between the two, so that it does not fall
#: in step with a poll
WORK = {
    'check_upgrade': (0.1, 0.3),
    'pre_upgrade': (0.3, 0.9),
    'rebuild': (1.0, 2.0),
    'boot': (0.1, 0.4),
    'post_upgrade': (2.0, 4.0),
    'verify_upgrade': (0.1, 0.3),
}
FORMER_BOOT, NEW_BOOT = 'boot-former', 'boot-new'
_GUEST_INFO = base64.b64encode(
    b'[DEFAULT]\nguest_id = i\ndatastore_manager = mariadb\ndatastore_version = 10.11\n'
).decode()
_USER_DATA = (
    '#cloud-config\nwrite_files:\n- path: /etc/trove/conf.d/guest_info.conf\n'
    f'  encoding: b64\n  content: {_GUEST_INFO}\n'
).encode()


class World:
    """Times of each upgrade: of its parts, and of its beginning."""

    def __init__(self, work_file: pathlib.Path) -> None:
        self._lock = threading.Lock()
        self._chance = random.Random(26)
        self._durations: dict[str, dict[str, float]] = {}
        self._began: dict[tuple[str, str], float] = {}
        self._file = work_file
        self.instances: dict[str, str] = {}  #: by upgrade
        self.markers: dict[str, str] = {}  #: by server: of its last rebuild

    def left(self, upgrade_id: str, part: str) -> float:
        """Seconds until this part is done; it begins with the first question."""
        with self._lock:
            if upgrade_id not in self._durations:
                self._durations[upgrade_id] = {
                    name: self._chance.uniform(*bounds) for name, bounds in WORK.items()
                }
            began = self._began.setdefault((upgrade_id, part), time.monotonic())
            return began + self._durations[upgrade_id][part] - time.monotonic()

    def duration(self, upgrade_id: str, part: str) -> float:
        """Seconds that it takes."""
        return self._durations[upgrade_id][part]

    def work(self, upgrade_id: str) -> float:
        """Seconds that all parts take, one after the other."""
        return sum(self._durations[upgrade_id].values())

    def write(self, upgrade_id: str) -> None:
        """Its work is done."""
        with self._lock, self._file.open('a') as sink:
            sink.write(json.dumps({'upgrade': upgrade_id, 'work': self.work(upgrade_id)}) + '\n')


class StandInNova:
    """Implements ports.Compute, ports.Images and ServerChanges."""

    def __init__(self, world: World, beat: Any) -> None:
        self._world = world
        self._beat = beat

    def server(self, server_id: str) -> Any:
        """ACTIVE, with what it was given; busy while it is rebuilt."""
        from trove_upgrade.domain import compute

        marker = self._world.markers.get(server_id)
        busy = marker is not None and self._world.left(marker.partition(':')[0], 'rebuild') > 0
        return compute.Server(
            id=server_id,
            name='stand-in',
            status='REBUILD' if busy else 'ACTIVE',
            task_state='rebuilding' if busy else None,
            image_id=str(uuid.UUID(int=1)),
            locked=False,
            metadata={compute.MARKER_KEY: marker} if marker else {},
            user_data=_USER_DATA,
            fault=None,
            flavor_ram_mb=4096,
            flavor_disk_gb=40,
            host='stand-in',
            nic_count=1,
        )

    def recent(self) -> Any:
        """Return each server that was rebuilt: implements ServerChanges."""
        from trove_upgrade.domain import server_changes

        found = {server_id: self.server(server_id) for server_id in list(self._world.markers)}
        return {
            server_id: server_changes.Glance(one.status, one.task_state, one.metadata)
            for server_id, one in found.items()
        }

    def server_with_user_data(self, server_id: str) -> Any:
        """Return the answer of `server`, which has user data in it already."""
        return self.server(server_id)

    def flavor_id(self, server_id: str) -> None:
        """Name no flavor: no step of the benchmark needs one."""

    def max_microversion(self) -> tuple[int, int]:
        """Return the newest that the product knows."""
        return 2, 93

    def describe(self, server_id: str) -> Any:
        """Return a description in which no check finds a fault."""
        from trove_upgrade.domain import compute

        return compute.ServerDescription(
            server=self.server(server_id),
            compute_up=True,
            max_microversion=(2, 93),
            metadata_quota=128,
        )

    def rebuild(
        self,
        server: Any,
        image_id: str,  # noqa: ARG002 - the port's form
        marker: str,
        user_data: bytes | None,  # noqa: ARG002 - the port's form
        *,
        ends_at: float,  # noqa: ARG002 - the port's form
    ) -> None:
        """Accepted at once; the guest speaks when it is rebuilt and booted."""
        upgrade_id = marker.partition(':')[0]
        self._world.markers[server.id] = marker
        seconds = self._world.left(upgrade_id, 'rebuild') + self._world.duration(upgrade_id, 'boot')
        timer = threading.Timer(seconds, self._beat, (self._world.instances[upgrade_id], marker))
        timer.daemon = True
        timer.start()

    def rebuild_result(self, server: Any) -> Any:
        """Of the last rebuild."""
        from trove_upgrade.domain import compute

        return compute.RebuildResult.RUNNING if server.task_state else compute.RebuildResult.SUCCESS

    def image(self, image_id: str) -> Any:
        """Return an image that fits each server."""
        from trove_upgrade.domain import compute

        return compute.Image(
            id=image_id,
            name='stand-in',
            status='active',
            min_disk_gb=1,
            min_ram_mb=256,
            size_bytes=1 << 20,
        )

    def newest(self, tags: Any) -> Any:  # noqa: ARG002 - the port's form
        """Return another image that fits each server."""
        return self.image(str(uuid.UUID(int=2)))


class StandInGuest:
    """Guests that answer each call of ports.Guest by the world's clock."""

    def __init__(self, world: World, report: Any) -> None:
        self._world = world
        self._report = report

    def __getattr__(self, method: str) -> Any:
        return lambda call: self._answer(method, call)

    def _answer(self, method: str, call: Any) -> Any:
        from trove_upgrade.domain import guests

        self._world.instances[call.upgrade_id] = call.instance_id
        left = self._world.left(call.upgrade_id, method) if method in WORK else 0.0
        time.sleep(max(0.0, min(left, JOIN_SECONDS)))
        done = left <= JOIN_SECONDS
        number = call.target.server_version
        after = method in {'post_upgrade', 'verify_upgrade', 'finish_upgrade'}
        if done and method == 'verify_upgrade':
            self._report(call.instance_id)
            self._world.write(call.upgrade_id)
        result: dict[str, dict[str, Any]] = {
            'check_upgrade': {
                'checks': [{'name': 'guest_space', 'outcome': 'ok', 'message': 'enough'}]
            },
            'pre_upgrade': {'upgrade_info': {'stash': 'stash-bench'}},
            'verify_upgrade': {'server_version': number},
        }
        return guests.GuestAnswer(
            state=guests.JobState.DONE if done else guests.JobState.RUNNING,
            message=f'{method} of a stand-in',
            boot_id=NEW_BOOT if after else FORMER_BOOT,
            agent_version='stand-in',
            server_version=number,
            server_state=guests.ServerState.RUNNING
            if method == 'check_upgrade'
            else guests.ServerState.STOPPED,
            serving=True,
            server_started_on_data=after,
            result=result.get(method, {}) if done else {},
        )


def _report_to(outside: Any) -> Any:
    import sqlalchemy as sa

    def report(instance_id: str) -> None:
        """Write as the conductor does when Trove's agent in the guest says that it is healthy."""
        with outside.repos.database.write() as connection:
            connection.execute(
                sa.text(
                    "UPDATE service_statuses SET status_description = 'healthy', "
                    'updated_at = UTC_TIMESTAMP() WHERE instance_id = :id'
                ),
                {'id': instance_id},
            )

    return report


def wrapped(conf: Any, world: World, outside: Any) -> Any:
    """Return the ports of a taskmanager with stand-ins for Nova, Glance and the guests."""
    from trove_upgrade.domain import guests
    from trove_upgrade.rpc import serializer
    from trove_upgrade.rpc.taskmanager import TaskManagerAPI
    from trove_upgrade.sealing import envelope, messages
    from trove_upgrade.sealing.keys import MessageDirection

    client = TaskManagerAPI.from_conf(conf)

    def beat(instance_id: str, marker: str) -> None:
        heartbeat = guests.Heartbeat(
            instance_id=instance_id,
            boot_id=NEW_BOOT,
            marker=marker,
            restored=False,
            agent_version='stand-in',
            server_version=None,
            server_state=guests.ServerState.STOPPED,
        )
        key = outside.repos.guest_keys.minted_for(instance_id, marker)
        if key is None:
            client.heartbeat(serializer.service_context(), heartbeat)
            return
        report = messages.Report(messages.new_session(os.urandom), 1, heartbeat.to_wire())
        client.sealed(
            serializer.service_context(),
            envelope.seal(key, MessageDirection.TO_TASKMANAGER, report.to_bytes()),
        )

    nova = StandInNova(world, beat)
    return dataclasses.replace(
        outside,
        nova=nova,
        images=nova,
        changes=nova,
        agent=StandInGuest(world, _report_to(outside)),
    )


def main() -> int:
    """Until a signal, or the end of its life."""
    signals.end_at_once('stand_in', service=True)
    from trove_upgrade.wsgi import threads

    threads.choose()
    from oslo_config import cfg
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade.taskmanager import service

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-file', type=pathlib.Path, required=True)
    chosen, rest = parser.parse_known_args()
    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    conf(args=rest, project='trove-upgrade', prog=service.BINARY)
    log.setup(conf, 'trove-upgrade')
    world = World(chosen.work_file)
    told = signals.told()
    running = service.compose(conf, lambda outside: wrapped(conf, world, outside))
    running.start()
    told.wait(LIFE_SECONDS)
    running.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())
