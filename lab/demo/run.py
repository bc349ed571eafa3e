# SPDX-License-Identifier: Apache-2.0
"""The demonstration from the first package to the last line of the proof."""

import pathlib
import sys
import time

from lab import rest
from lab.clients import Clients
from lab.cloud import Cloud
from lab.demo import application, proof, snapshots, writer
from lab.demo.own_client import OwnClient
from lab.images import provision
from lab.instances import LabInstance
from lab.layout import Layout
from lab.progress import Progress
from lab.stage import Stage, set_stage
from trove_upgrade.waiting import wait_until

INSTANCE_NAME = 'shop-database'


class Demo:
    """Demonstration of one upgrade, from a new instance to the proof."""

    def __init__(
        self,
        stage: Stage,
        progress: Progress,
        work_dir: pathlib.Path,
        client: str = 'trove',
        instance_name: str = INSTANCE_NAME,
    ) -> None:
        self._stage = stage
        self._progress = progress
        self._dir = work_dir
        self._client = client
        self._clients = Clients(stage.handle.users['demo'])
        self._name = instance_name
        self._instance: LabInstance | None = None

    def clean(self) -> None:
        """Delete the demonstration's server, where there is one."""
        if self._instance is not None:
            self._stage.maker.delete(self._instance.server_id)

    def prove(self, rows: int) -> list[proof.Line]:
        """Create, upgrade, reboot; the proof."""
        stage = self._stage
        self._name = self._free_name()
        with self._progress.phase(
            f'Creating instance {self._name} on MariaDB {stage.former.name} with {rows} rows'
        ):
            self._instance = instance = stage.maker.create(self._name, stage.former, rows=rows)
            guest = stage.maker.guest(instance.server_id)
            provision.sql(
                guest,
                f'CREATE TABLE {snapshots.WRITTEN_TABLE} (number BIGINT PRIMARY KEY, written_at '
                'DATETIME(6) DEFAULT NOW(6));',
            )
        with self._progress.phase('Looking at it before the upgrade'):
            before = snapshots.take(stage.maker, instance)
        own = OwnClient(self._clients, self._progress.line)
        own.targets(instance.name)
        with application.writing(self._database(instance), self._dir) as written:
            self._upgrade(instance, own)
            application.wait_for_writes(written, application.SETTLE_WRITES)
        with self._progress.phase('Looking at it after the upgrade'):
            after = snapshots.take(stage.maker, instance)
            downtime = writer.measure(writer.read(written))
            lost = len(
                downtime.acknowledged
                - snapshots.acknowledged_rows(stage.maker.guest(instance.server_id))
            )
        with self._progress.phase('Rebooting the upgraded guest'):
            serves = self._reboot(instance)
        return proof.lines(
            before,
            after,
            stage.target.name,
            proof.Writes(downtime.seconds, len(downtime.acknowledged), lost),
            serves_after_reboot=serves,
        )

    def _free_name(self) -> str:
        """The name, or one with a number where a demo that was kept has taken it: clients refuse an
        ambiguous name.
        """
        stage, demo = self._stage, self._stage.handle.users['demo']
        url = f'{stage.handle.database_api_url}/{stage.maker.project_id(demo.project_name)}'
        found = rest.Session.of(demo).request('GET', f'{url}/instances')
        taken = {instance['name'] for instance in found['instances']}
        names = [self._name, *(f'{self._name}-{number}' for number in range(2, len(taken) + 2))]
        return next(name for name in names if name not in taken)

    def _upgrade(self, instance: LabInstance, own: OwnClient) -> None:
        stage = self._stage
        command = (
            ('trove', 'upgrade')
            if self._client == 'trove'
            else ('openstack', 'database', 'instance', 'upgrade')
        )
        self._progress.line(f'$ {" ".join(command)} {instance.name} {stage.target.name}')
        self._clients.run(*command, instance.name, stage.target.name)
        own.watch(instance.name, stage.layout.logs_dir)

    def _database(self, instance: LabInstance) -> application.Database:
        account, fabric = instance.credentials.application, self._stage.host.fabric
        return application.database_of(
            instance, fabric, account.name, account.password, snapshots.WRITTEN_TABLE
        )

    def _reboot(self, instance: LabInstance) -> bool:
        stage = self._stage
        guest = stage.maker.guest(instance.server_id)
        boot_id = guest.boot_id
        stage.maker.reboot(instance.server_id)

        def serves_again() -> bool:
            guest = stage.maker.guest(instance.server_id)
            return (
                guest.running
                and guest.boot_id != boot_id
                and guest.reachable
                and snapshots.answers(guest)
            )

        return wait_until(serves_again, application.SERVES_SECONDS, interval_seconds=0.3)


def main(
    layout: Layout,
    cloud: Cloud,
    progress: Progress,
    *,
    rows: int,
    keep: bool,
    client: str = 'trove',
) -> int:
    """`trove-upgrade-lab demo`: exit code 0 only if all of the proof holds."""
    started = time.monotonic()
    holds = False
    try:
        stage = set_stage(layout, cloud, progress)
        table = Demo(stage, progress, layout.run_dir / 'demo', client).prove(rows)
        progress.line(proof.render(table))
        holds = all(line.holds for line in table)
        if keep:
            exports = '\n'.join(
                f'export {name}={value}'
                for name, value in stage.handle.users['demo'].environ().items()
            )
            progress.line(
                f'The cloud stays up. In another terminal:\n{exports}\nexport '
                f'PATH={pathlib.Path(sys.executable).parent}:$PATH\n'
                f'trove list; trove show {INSTANCE_NAME}; openstack database instance show '
                f'{INSTANCE_NAME}; openstack database upgrade show {INSTANCE_NAME}\n'
                'For "openstack server show", which is the service project\'s: eval '
                '"$(trove-upgrade-lab env trove)"\n'
                'End it with: make demo-down'
            )
    finally:
        if not keep:
            cloud.down(progress)
    progress.line(
        f'{"All of it holds" if holds else "NOT all of it holds"}; '
        f'{time.monotonic() - started:.0f} s in all.'
    )
    return 0 if holds else 1
