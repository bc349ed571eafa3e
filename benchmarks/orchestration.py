# SPDX-License-Identifier: Apache-2.0
"""Time of an upgrade beyond what Nova and the guest need, and its statements, without a cloud: from
its row's beginning to COMPLETED, less their work.

The taskmanager, its MariaDB and its broker are real and this benchmark's own; Nova and the guests
are the stand-ins of `trove.stand_in`, which take known times.
"""

import collections
import contextlib
import logging
import pathlib
import statistics
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from benchmarks.trove import stand_in
from trove_upgrade import conf as our_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import engine
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain import states
from trove_upgrade.tests.functional import no_keystone
from trove_upgrade.tests.functional.host import databases, private_broker, real_database
from trove_upgrade.waiting import wait_until

UPGRADES = 24
REQUIRED_SECONDS = 0.2
ENDS_SECONDS = 120.0
_WORKER = 'worker-'  #: names of the threads that run steps
_CONFIGURATION = (
    """[DEFAULT]
transport_url = {broker}
[database]
connection = {database}
"""
    + no_keystone.SERVICE_CREDENTIALS
)


class Statements:
    """Counts what the workers' threads send to the database, in the whole process."""

    def __init__(self, counted: sa.Engine, kinds: collections.Counter[str]) -> None:
        self._kinds = kinds
        sa.event.listen(counted, 'commit', lambda _connection: self._add('COMMIT'))
        sa.event.listen(counted, 'before_cursor_execute', self._run)

    def _run(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self._add(statement.split(None, 1)[0])

    def _add(self, kind: str) -> None:
        if threading.current_thread().name.startswith(_WORKER):
            self._kinds[kind] += 1


class Bench:
    """A taskmanager that works on upgrades of instances that no cloud has."""

    def __init__(self, folder: pathlib.Path, database_url: str, broker_url: str) -> None:
        from trove_upgrade.rpc.taskmanager import TaskManagerAPI

        file = folder / 'trove-upgrade.conf'
        file.write_text(_CONFIGURATION.format(broker=broker_url, database=database_url))
        self._conf = cfg.ConfigOpts()
        our_conf.register_opts(self._conf)
        database_conf.register_connection_opts(self._conf)
        self._conf(args=[], default_config_files=[str(file)])
        database = engine.Database.from_url(database_url)
        Runner(database.engine).sync(standalone=True)
        self._db: Any = real_database.MigratedDatabase(database)
        self._db.setUp()
        self._work_file = folder / 'work'
        self._world = stand_in.World(self._work_file)
        self._client = TaskManagerAPI.from_conf(self._conf)
        self.counted: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def taskmanager(self) -> Iterator[None]:
        """It works as long as the context lasts."""
        from trove_upgrade.taskmanager import service

        def wrap(outside: Any) -> Any:
            Statements(outside.repos.database.engine, self.counted)
            return stand_in.wrapped(self._conf, self._world, outside)

        running = service.compose(self._conf, wrap)
        running.start()
        try:
            yield
        finally:
            running.stop()

    def upgrade(self) -> float:
        """Upgrade one more instance; return the seconds that neither Nova nor the guest worked."""
        from trove_upgrade.rpc import serializer

        name = f'bench-{len(self._world.instances)}'
        begun = self._db.begin(self._db.add_instance(name=name, server_id=name))
        self._client.upgrade(serializer.service_context(), begun)

        def ended() -> Any:
            row = self._db.repositories.upgrades.get(begun.id)
            return row if row.ended_at else None

        row = wait_until(ended, ENDS_SECONDS, interval_seconds=0.1)
        if not row or row.state is not states.UpgradeState.COMPLETED:
            raise RuntimeError(f'Upgrade {begun.id} did not complete: {row}')
        whole = (row.ended_at - row.created_at).total_seconds()
        return float(whole - self._world.work(begun.id))


def measure() -> dict[str, Any]:
    """Upgrades one after the other; the first, which connects, does not count."""
    logging.getLogger('trove_upgrade').setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server, broker = databases.MariaDB(), private_broker.Broker()
        for fixture in (server, broker):
            fixture.setUp()
            stack.callback(fixture.cleanUp)
        bench = Bench(folder, server.create(), broker.url)
        with bench.taskmanager():
            bench.upgrade()
            bench.counted.clear()
            beyond = sorted(bench.upgrade() for _ in range(UPGRADES))
            asked = {kind: count / UPGRADES for kind, count in bench.counted.items()}
    middle, statements = statistics.median(beyond), sum(asked.values())
    print(
        f'orchestration of {len(beyond)} upgrades: median {middle:.3f} s, least {beyond[0]:.3f} s, '
        f'most {beyond[-1]:.3f} s beyond the work of Nova and the guest (required: at most '
        f'{REQUIRED_SECONDS} s); {statements:.1f} statements each',
        flush=True,
    )
    return {
        'median_seconds': middle,
        'seconds': beyond,
        'statements': asked,
        'holds': middle <= REQUIRED_SECONDS,
    }
