# SPDX-License-Identifier: Apache-2.0
"""The demonstration beside Trove: a real instance of real Trove, made and upgraded with the
unmodified client, and the proof.
"""

import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from lab import rest
from lab.clients import Clients
from lab.cloud import Cloud
from lab.demo import application, proof, snapshots, writer
from lab.demo.own_client import OwnClient
from lab.images import provision
from lab.layout import Layout
from lab.progress import Progress
from lab.trove import database
from lab.trove import stage as trove_stage
from lab.trove.instances import DATABASE, TroveInstance
from lab.trove.stage import TroveStage
from trove_upgrade.waiting import wait_until

INSTANCE_NAME = 'shop-database'
TICKS = f'{DATABASE}.ticks'
SETTLED_SECONDS = 120.0
#: What an operator has written into the guest by hand, as Trove's agent reads it: a file that a
#: stock rebuild loses.
HAND_MADE = '/etc/mysql/conf.d/90-instance.cnf'
#: Those that a running server takes: in force before the upgrade, too, without a restart.
SETTINGS = {
    name: value for name, value in provision.DEFAULT_SETTINGS.items() if name != 'bind_address'
}
_WATCH_SECONDS = 0.5


class Views:
    """Answers of Trove's own `show` while something goes on; a thread, because the upgrade is
    followed meanwhile.
    """

    def __init__(self, show: Callable[[], dict[str, Any]]) -> None:
        self._show = show
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='views', daemon=True)
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=30)

    def _watch(self) -> None:
        while not self._ended.is_set():
            status = str(self._show()['status'])
            if not self.seen or self.seen[-1] != status:
                self.seen.append(status)
            self._ended.wait(_WATCH_SECONDS)


class TroveDemo:
    """One upgrade beside Trove, shown."""

    def __init__(
        self,
        stage: TroveStage,
        progress: Progress,
        work_dir: pathlib.Path,
        name: str = INSTANCE_NAME,
    ) -> None:
        self._stage = stage
        self._progress = progress
        self._dir = work_dir
        self._name = name
        service = stage.handle.service
        self._nova = rest.Session.of(service)
        self._own = OwnClient(Clients(stage.handle.users['demo']), progress.line)

    def prove(self, rows: int) -> list[proof.Line]:
        """Create, fill, upgrade, reboot; the proof."""
        stage = self._stage
        with self._progress.phase(
            f'openstack database instance create {self._name}, MariaDB {stage.former.name}'
        ):
            instance = stage.instances.create(self._name, stage.former)
        with self._progress.phase(f'Filling it with {rows} rows, and a file by hand'):
            self._fill(instance, rows)
            before = self._snapshot(instance)
        self._own.targets(self._name)
        with (
            application.writing(self.database(instance), self._dir) as written,
            Views(lambda: stage.instances.show(instance.id)) as views,
        ):
            self._upgrade(instance)
            application.wait_for_writes(written, application.SETTLE_WRITES)
        with self._progress.phase('Looking at it after the upgrade'):
            shown = self._settled(instance)
            after = self._snapshot(instance)
            downtime = writer.measure(writer.read(written))
            lost = len(downtime.acknowledged - snapshots.numbers(self._ask(instance), TICKS))
        with self._progress.phase('Rebooting the upgraded guest'):
            serves = self._reboot(instance)
        table = proof.lines(
            before,
            after,
            stage.target.number,
            proof.Writes(downtime.seconds, len(downtime.acknowledged), lost),
            serves_after_reboot=serves,
        )
        return [*table, *self._views(instance, shown, views.seen)]

    def database(self, instance: TroveInstance) -> application.Database:
        """Return the database as the customer's application reaches it."""
        return application.database_of(
            instance, self._stage.host.fabric, instance.user, instance.password, TICKS
        )

    def _ask(self, instance: TroveInstance) -> snapshots.Ask:
        return database.asker(self._stage.instances.guest(instance))

    def _fill(self, instance: TroveInstance, rows: int) -> None:
        guest = self._stage.instances.guest(instance)
        guest.write_file(HAND_MADE, provision.settings_file(SETTINGS))
        settings = ''.join(f'SET GLOBAL {name} = {value};\n' for name, value in SETTINGS.items())
        self._ask(instance)(database.rows_sql(DATABASE, rows, TICKS) + settings)

    def _snapshot(self, instance: TroveInstance) -> proof.InstanceSnapshot:
        server = self._nova.request(
            'GET', f'{self._stage.handle.nova_url}/servers/{instance.server_id}'
        )['server']
        return snapshots.snapshot(
            self._stage.instances.guest(instance),
            server,
            self._ask(instance),
            TICKS,
            tuple(SETTINGS),
        )

    def _upgrade(self, instance: TroveInstance) -> None:
        stage = self._stage
        self._progress.line(f'$ trove upgrade {self._name} {stage.target.name}')
        stage.instances.clients.run('trove', 'upgrade', instance.id, stage.target.name)
        self._own.watch(self._name, stage.layout.logs_dir)

    def _settled(self, instance: TroveInstance) -> dict[str, Any]:
        """Return what Trove shows once its own agent has reported, or at the end of the patience
        for that.
        """
        instances = self._stage.instances

        def healthy() -> dict[str, Any] | None:
            shown = instances.show(instance.id)
            return shown if shown.get('operating_status') == 'HEALTHY' else None

        settled = wait_until(healthy, SETTLED_SECONDS, interval_seconds=_WATCH_SECONDS)
        return settled or instances.show(instance.id)

    def _views(
        self, instance: TroveInstance, shown: dict[str, Any], seen: list[str]
    ) -> list[proof.Line]:
        """Return Trove's own words about the upgrade, as lines of the proof."""
        users = self._stage.instances.clients.run(
            'openstack', 'database', 'user', 'list', instance.id, '-f', 'value'
        )
        found, wanted = f'{shown["status"]} {shown.get("operating_status")}', 'ACTIVE HEALTHY'
        version = str(shown['datastore']['version'])
        return [
            proof.Line(
                what='Trove meanwhile',
                before='',
                after=', '.join(seen),
                holds='UPGRADE' in seen and not {'ERROR', 'UNKNOWN', 'SHUTDOWN'} & set(seen),
            ),
            proof.Line(what='Trove afterwards', before=wanted, after=found, holds=found == wanted),
            proof.Line(
                what='version in Trove',
                before=self._stage.former.name,
                after=version,
                holds=version == self._stage.target.name,
            ),
            proof.Line(
                what='users over Trove',
                before=instance.user,
                after=', '.join(users.split()),
                holds=instance.user in users.split(),
            ),
        ]

    def _reboot(self, instance: TroveInstance) -> bool:
        instances = self._stage.instances
        boot_id = instances.guest(instance).boot_id
        self._nova.request(
            'POST',
            f'{self._stage.handle.nova_url}/servers/{instance.server_id}/action',
            {'reboot': {'type': 'SOFT'}},
        )

        def serves_again() -> bool:
            guest = instances.guest(instance)
            return (
                guest.running
                and guest.boot_id != boot_id
                and guest.reachable
                and database.serves(guest)
            )

        return wait_until(serves_again, application.SERVES_SECONDS, interval_seconds=0.3)


def main(layout: Layout, cloud: Cloud, progress: Progress, *, rows: int, keep: bool) -> int:
    """`trove-upgrade-lab demo --trove`: exit code 0 only if all of the proof holds."""
    started = time.monotonic()
    holds = False
    try:
        cloud.up(progress)
        stage = trove_stage.start(layout, cloud, progress, with_product=True)
        table = TroveDemo(stage, progress, layout.run_dir / 'demo').prove(rows)
        progress.line(proof.render(table))
        holds = all(line.holds for line in table)
        if keep:
            progress.line(
                'The cloud stays up. In another terminal: eval "$(trove-upgrade-lab env)"; trove '
                'list. End it with: make demo-down'
            )
    finally:
        if not keep:
            cloud.down(progress)
    progress.line(
        f'{"All of it holds" if holds else "NOT all of it holds"}; '
        f'{time.monotonic() - started:.0f} s in all.'
    )
    return 0 if holds else 1
