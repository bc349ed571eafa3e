# SPDX-License-Identifier: Apache-2.0
"""The demonstration of the bridge: three guests from before the upgrade feature, in two tenants'
networks with the same addresses and closed ports, brought to a new server by one run.
"""

import contextlib
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

from lab import errors, rest
from lab.bridge.instances import OldInstance
from lab.bridge.stage import BridgeStage, set_stage
from lab.cloud import Cloud
from lab.commands import HostCommands
from lab.demo import application, proof, snapshots, writer
from lab.images import provision
from lab.images.builder import checkout_version
from lab.layout import Layout
from lab.progress import Progress
from trove_upgrade import terminal

ROOT = pathlib.Path(__file__).resolve().parents[2]
SSH = 22
DROPPED_SECONDS = 1.0
#: What the bridge brings into a guest, and what its operators had there.
TRACES = ('/opt/trove-upgrade-bridge', '/etc/trove-upgrade-bridge', '/root/.ssh/authorized_keys')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Before:
    """An instance as it was, and the writes of its application meanwhile."""

    instance: OldInstance
    snapshot: proof.InstanceSnapshot
    is_closed: bool
    written: pathlib.Path


class BridgeDemo:
    """One run of the bridge on the old cloud, shown."""

    def __init__(
        self, stage: BridgeStage, progress: Progress, work_dir: pathlib.Path, bundle: pathlib.Path
    ) -> None:
        self._stage = stage
        self._progress = progress
        self._dir = work_dir
        self._bundle = bundle
        self._commands = HostCommands()
        self._nova = rest.Session.of(stage.stage.handle.users['admin'])

    def prove(self) -> bool:
        """Check, list, bring in, upgrade, look; return whether all of the proof holds."""
        self._dir.mkdir(parents=True, exist_ok=True)
        self._record_node()
        self._bridge('check', '--bundle', str(self._bundle), *self._way())
        self._bridge('inventory')
        with contextlib.ExitStack() as writers:
            with self._progress.phase('Looking at the old guests'):
                before = [self._before(one, writers) for one in self._stage.instances]
            self._run()
            with self._progress.phase('Waiting for their applications to write again'):
                for one in before:
                    application.wait_for_writes(one.written, application.SETTLE_WRITES)
        self._bridge('report', self._newest_run())
        holds = True
        for one in before:
            with self._progress.phase(f'Looking at {one.instance.name} after the upgrade'):
                table = self._table(one)
            self._progress.line(f'{one.instance.name}\n{proof.render(table)}')
            holds = holds and all(line.holds for line in table)
        self._bridge('audit')
        return holds

    def _run(self) -> None:
        target = self._stage.stage.target.name
        bundle = ('--bundle', str(self._bundle))
        self._bridge('run', '--all', '--upgrade-to', target, *bundle, *self._way())

    def _before(self, instance: OldInstance, writers: contextlib.ExitStack) -> Before:
        guest = self._stage.makers.guest(instance)
        provision.sql(
            guest,
            f'CREATE TABLE {snapshots.WRITTEN_TABLE} (number BIGINT PRIMARY KEY, written_at '
            'DATETIME(6) DEFAULT NOW(6));',
        )
        return Before(
            instance=instance,
            snapshot=self._snapshot(instance),
            is_closed=not self._passes(instance),
            written=writers.enter_context(application.writing(self._database(instance), self._dir)),
        )

    def _snapshot(self, instance: OldInstance) -> proof.InstanceSnapshot:
        guest = self._stage.makers.guest(instance)
        return snapshots.snapshot(
            guest, self._server(instance), snapshots.asker(guest), snapshots.WRITTEN_TABLE
        )

    def _server(self, instance: OldInstance) -> Mapping[str, object]:
        url = f'{self._stage.stage.handle.nova_url}/servers/{instance.server_id}'
        server: Mapping[str, object] = self._nova.request('GET', url)['server']
        return server

    def _table(self, before: Before) -> list[proof.Line]:
        stage, instance = self._stage.stage, before.instance
        guest = self._stage.makers.guest(instance)
        downtime = writer.measure(writer.read(before.written))
        lost = len(downtime.acknowledged - snapshots.acknowledged_rows(guest))
        return [
            *proof.lines(
                before.snapshot,
                self._snapshot(instance),
                stage.target.name,
                proof.Writes(downtime.seconds, len(downtime.acknowledged), lost),
                serves_after_reboot=None,
            ),
            self._port_line(before),
            self._traces_line(instance),
        ]

    def _port_line(self, before: Before) -> proof.Line:
        is_closed = not self._passes(before.instance)
        return proof.Line(
            what='port 22',
            before='closed' if before.is_closed else 'OPEN',
            after='closed' if is_closed else 'OPEN',
            holds=before.is_closed and is_closed,
        )

    def _traces_line(self, instance: OldInstance) -> proof.Line:
        guest = self._stage.makers.guest(instance)
        left = [
            path for path in TRACES if guest.exec(['test', '-e', path], check=False).returncode == 0
        ]
        return proof.Line(
            what='traces of handwork', before='', after=', '.join(left) or 'none', holds=not left
        )

    def _passes(self, instance: OldInstance) -> bool:
        """Return whether SSH lets a neighbour in that is not the bridge."""
        fabric = self._stage.stage.host.fabric
        with contextlib.suppress(TimeoutError):
            fabric.connect(
                instance.network.network_id, (instance.address, SSH), DROPPED_SECONDS
            ).close()
            return True
        return False

    def _database(self, instance: OldInstance) -> application.Database:
        database, table = snapshots.WRITTEN_TABLE.split('.')
        account = provision.LAB_CREDENTIALS.application
        return application.Database(
            instance_id=instance.id,
            entry=self._stage.stage.host.fabric.entry(instance.network.network_id),
            address=instance.address,
            user=account.name,
            password=account.password,
            database=database,
            table=table,
        )

    def _record_node(self) -> None:
        """Record the key of the network node, as an operator does from its console."""
        shown = self._commands.run(['ssh-keyscan', '-t', 'ed25519', self._stage.node_address])
        self._known_hosts.write_text(shown.output, 'utf-8')

    @property
    def _known_hosts(self) -> pathlib.Path:
        return self._dir / 'known_hosts'

    def _way(self) -> Sequence[str]:
        key = str(self._stage.key)
        return (
            *('--user', 'root', '--key-file', key),
            *('--node', f'root@{self._stage.node_address}', '--node-key-file', key),
            *('--known-hosts', str(self._known_hosts)),
        )

    def _command(self, *words: str) -> list[str]:
        program = pathlib.Path(sys.executable).parent / 'trove-upgrade-bridge'
        return [str(program), '--config-file', str(self._stage.stage.product.config_file), *words]

    def _bridge(self, *words: str) -> None:
        """Run a command of the bridge, and show what it prints as it comes.

        :raises CommandFailed: its exit code is not 0.
        """
        self._progress.line(f'$ trove-upgrade-bridge {" ".join(words)}')
        self._commands.follow(
            self._command(*words),
            lambda line: self._progress.line(f'  {terminal.printable(line)}'),
        )

    def _newest_run(self) -> str:
        found = json.loads(self._commands.run(self._command('status', '--json')).output)
        return str(found[0]['id'])


def bundle_of_checkout() -> pathlib.Path:
    """Return the bundle that "make bundle" has made of this checkout.

    :raises LabError: it was not made.
    """
    found = sorted(
        (ROOT / 'dist').glob(f'trove-upgrade-guest-bundle-{checkout_version()}-*.tar.?z')
    )
    if not found:
        raise errors.LabError(
            'There is no bundle of this checkout in dist. Run "make demo-bridge", or "make bundle" '
            'first.',
            code='lab_no_bundle',
        )
    return found[-1]


def main(layout: Layout, cloud: Cloud, progress: Progress, *, rows: int, keep: bool) -> int:
    """`trove-upgrade-lab demo --bridge`: exit code 0 only if all of the proof holds and nothing is
    open.
    """
    started = time.monotonic()
    bundle = bundle_of_checkout()
    holds = False
    try:
        stage = set_stage(layout, cloud, progress, rows=rows)
        if stage.stands_in:
            progress.line(
                'THE GUESTS STAND IN: Debian bullseye could not be fetched, so that an old agent '
                'runs on a newer image.'
            )
        holds = BridgeDemo(stage, progress, layout.run_dir / 'demo', bundle).prove()
        if keep:
            progress.line('The cloud stays up. End it with: make demo-down')
    finally:
        if not keep:
            cloud.down(progress)
    told = 'All of it holds, nothing is open' if holds else 'NOT all of it holds'
    progress.line(f'{told}; {time.monotonic() - started:.0f} s in all.')
    return 0 if holds else 1
