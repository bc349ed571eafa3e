# SPDX-License-Identifier: Apache-2.0
"""The steps' way from a column into rows, on real servers: with services of aurora at work, and
while the contract runs.
"""

import concurrent.futures
import datetime
import itertools
import threading

import sqlalchemy as sa

from trove_upgrade.db import columns, engine, models, old_schema, repetition, repositories, rows
from trove_upgrade.db.migrations.data.borealis_steps import BorealisSteps
from trove_upgrade.db.migrations.data.runs import DataRuns
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.states import Step, UpgradeState
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.unit import database
from trove_upgrade.waiting import wait_until

_SECONDS = 60
_BEGAN = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)


class ExpandedDatabase(database.SampleDatabase):
    """The samples, in a database that our own migrations have brought to where both releases can
    work.
    """

    def __init__(self, url):
        super().__init__(url)
        self.other = engine.Database.from_url(
            url.replace('+psycopg2:', '+psycopg:')
        )  # which prepares its statements

    def _setUp(self):
        self.database = engine.Database.from_url(self._url, max_pool_size=20)
        self.addCleanup(self.database.dispose)
        self.addCleanup(self.other.dispose)
        self.repositories = repositories.Repositories.of(self.database)
        runner = Runner(self.database.engine)
        runner.upgrade_standalone()
        runner.expand()
        self._add_samples()

    def repositories_of_another_process(self):
        return repositories.Repositories.of(self.other)


class Aurora:
    """What a taskmanager of aurora writes: these statements, and no word of what has come since."""

    table = sa.table(
        'instance_upgrades',
        *(
            sa.column(name, kind)
            for name, kind in (
                ('id', sa.String()),
                ('state', sa.String()),
                ('generation', sa.Integer()),
                ('owner', sa.String()),
                ('lease_until', columns.UtcDateTime()),
                ('next_run_at', columns.UtcDateTime()),
                ('updated_at', columns.UtcDateTime()),
                ('steps', columns.JsonText()),
            )
        ),
    )

    def __init__(self, database_):
        self._database = database_

    @repetition.retry_on_deadlock
    def claim(self, upgrade_id):
        """Generation and steps; None where another service holds it."""
        row = self.table.c
        with self._database.write() as connection:
            taken = connection.execute(
                sa.update(self.table)
                .where(
                    row.id == upgrade_id,
                    row.state.in_(['PENDING', 'RUNNING']),
                    sa.or_(row.lease_until.is_(None), row.lease_until <= columns.now()),
                )
                .values(
                    owner='aurora',
                    lease_until=columns.ahead(60),
                    generation=row.generation + 1,
                    state='RUNNING',
                    updated_at=columns.now(),
                )
            )
            if not taken.rowcount:
                return None
            return connection.execute(
                sa.select(row.generation, row.steps).where(row.id == upgrade_id)
            ).one()

    @repetition.retry_on_deadlock
    def save(self, upgrade_id, generation, steps):
        row = self.table.c
        with self._database.write() as connection:
            written = connection.execute(
                sa.update(self.table)
                .where(row.id == upgrade_id, row.generation == generation, row.state == 'RUNNING')
                .values(
                    steps=steps,
                    owner=None,
                    lease_until=None,
                    next_run_at=columns.now(),
                    updated_at=columns.now(),
                )
            )
            if not written.rowcount:
                raise AssertionError(f'{upgrade_id} was taken from its owner')


class OnARealServer(databases.OneServer):
    """The cases; each server below runs all of them."""

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(ExpandedDatabase(self.server.create()))
        self.repos = self.db.repositories

    def assert_rows_and_column_agree(self):
        found = {upgrade_id: [] for upgrade_id in self.histories()}
        for row in sorted(
            self.db.rows(models.instance_upgrade_steps),
            key=lambda row: (row.upgrade_id, row.position),
        ):
            self.assertEqual(len(found[row.upgrade_id]), row.position)
            found[row.upgrade_id].append(row.message)
        self.assertEqual(self.histories(), found)

    def histories(self):
        with self.db.database.read() as connection:
            return {
                row.id: [entry['message'] for entry in row.steps]
                for row in connection.execute(sa.select(models.expanded_instance_upgrades))
            }

    def test_two_releases_and_the_migration_write_the_same_upgrades_and_nothing_is_lost(self):
        ids = [self.db.begin(self.db.add_instance()).id for _ in range(6)]
        aurora, other = Aurora(self.db.database), self.db.repositories_of_another_process()
        written = {upgrade_id: [] for upgrade_id in ids}
        done = threading.Event()

        def of_the_release_before(number):
            for turn, upgrade_id in enumerate(itertools.islice(itertools.cycle(ids), 60)):
                taken = aurora.claim(upgrade_id)
                if taken is not None:
                    message = f'aurora {number} {turn}'
                    entry = {
                        'step': 'verify',
                        'attempt': 1,
                        'started_at': _BEGAN.isoformat(),
                        'ended_at': None,
                        'runs': turn,
                        'message': message,
                    }
                    written[upgrade_id].append(message)
                    aurora.save(upgrade_id, taken.generation, [*taken.steps, entry])

        def of_this_release(number):
            for turn, upgrade_id in enumerate(itertools.islice(itertools.cycle(ids), 60)):
                try:
                    held = other.upgrades.claim(upgrade_id, f'borealis {number}', 60)
                except exceptions.LeaseLost:
                    continue
                run = StepRun(
                    step=Step.VERIFY,
                    attempt=1,
                    started_at=_BEGAN,
                    runs=turn,
                    message=f'borealis {number} {turn}',
                )
                written[upgrade_id].append(run.message)
                other.upgrades.save(held.evolve(steps=(*held.steps, run)), release_for_seconds=0)

        def migrate():
            batches = 0
            while not done.is_set():
                DataRuns(self.db.database.engine).run(BorealisSteps(), batch_size=4)
                batches += 1
            return batches

        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            migration = pool.submit(migrate)
            try:
                for each in [
                    pool.submit(work, number)
                    for number in range(2)
                    for work in (of_the_release_before, of_this_release)
                ]:
                    each.result(_SECONDS)
            finally:
                done.set()
            self.assertGreater(migration.result(_SECONDS), 1)
        releases = {
            message.partition(' ')[0] for messages in written.values() for message in messages
        }
        self.assertEqual({'aurora', 'borealis'}, releases)
        DataRuns(self.db.database.engine).run(BorealisSteps())
        self.assertEqual(written, self.histories())
        self.assert_rows_and_column_agree()
        Runner(self.db.database.engine).contract()
        self.assertEqual(
            written,
            {
                upgrade_id: [run.message for run in self.repos.upgrades.get(upgrade_id).steps]
                for upgrade_id in ids
            },
        )

    def test_a_row_that_the_migration_holds_is_written_after_it(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        with self.db.database.write() as connection:
            connection.execute(sa.update(models.expanded_instance_upgrades).values(steps_at=None))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with self.db.database.write() as connection:
                self.assertEqual(1, BorealisSteps().run_batch(connection, '', 10).done)
                run = StepRun(step=Step.PRECHECK, attempt=1, started_at=_BEGAN, message='late')
                saved = pool.submit(
                    self.db.repositories_of_another_process().upgrades.save,
                    held.evolve(steps=(run,)),
                )
                self.assertRaises(concurrent.futures.TimeoutError, saved.result, 0.3)
            self.assertEqual((run,), saved.result(_SECONDS).steps)
        self.assert_rows_and_column_agree()

    def test_no_request_fails_while_the_contract_runs(self):
        ids = [self.db.begin(self.db.add_instance()).id for _ in range(4)]
        processes = (self.repos, self.db.repositories_of_another_process())
        contracted, counts = threading.Event(), [0] * 4
        new = [self.db.add_instance() for _ in range(4)]

        def serve(number):
            repos = processes[number % 2]
            held = repos.upgrades.claim(ids[number], f'worker {number}', 600)
            written, after = [], 0
            while after < 5:
                after += contracted.is_set()
                run = StepRun(
                    step=Step.VERIFY,
                    attempt=1,
                    started_at=_BEGAN,
                    runs=len(written),
                    message=f'{number} {len(written)}',
                )
                written = [*written, run][-20:]
                held = repos.upgrades.save(held.evolve(steps=tuple(written)))
                repos.held_upgrades.renew(held.owner, [held.id], 600)
                with repos.database.one_connection():
                    self.assertEqual(tuple(written), repos.upgrades.get(held.id).steps)
                    self.assertEqual(
                        written,
                        list(
                            next(
                                one
                                for one in repos.upgrades.list(limit=50).items
                                if one.id == held.id
                            ).steps
                        ),
                    )
                if after == 3:
                    target = repos.datastores.version_by_id(database.MARIADB_11_8)
                    repos.upgrades.begin(
                        repos.instances.get(new[number]),
                        target,
                        target_image_id='i',
                        request_id=None,
                        user_id=None,
                    )
                counts[number] += 1
            return repos.upgrades.end(held, UpgradeState.COMPLETED).upgrade, tuple(written)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            served = [pool.submit(serve, number) for number in range(4)]
            try:
                self.wait_until(lambda: min(counts) >= 5 or any(each.done() for each in served))
                Runner(self.db.database.engine).contract()
            finally:
                contracted.set()
            for each in served:
                ended, written = each.result(_SECONDS)
                self.assertEqual(written, ended.steps)
                self.assertEqual(ended, self.repos.upgrades.get(ended.id))
        self.assertEqual(8, len(self.db.rows(models.instance_upgrades)))

    def wait_until(self, condition):
        self.assertTrue(wait_until(condition, _SECONDS, interval_seconds=0.01))

    def test_each_driver_error_of_a_column_that_has_gone_is_known(self):
        for statement in (
            'SELECT steps FROM {}',
            "UPDATE {} SET steps = 'x'",
            "INSERT INTO {} (id, steps) VALUES ('1', '[]')",
        ):
            for connected in (self.db.database, self.db.other):
                with connected.read() as connection:
                    error = self.assertRaises(  # noqa: B017 - of any class
                        Exception, connection.exec_driver_sql, statement.format('upgrade_guests')
                    )
                self.assertTrue(old_schema.is_of_old_columns(error), error)
        with self.db.database.read() as connection:
            error = self.assertRaises(  # noqa: B017 - of any class
                Exception, connection.exec_driver_sql, 'SELECT 1 FROM nothing_of_this_name'
            )
            self.assertFalse(old_schema.is_of_old_columns(error))

    def test_half_of_the_contract_is_enough_to_go_on_and_it_can_be_run_again(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        with self.db.database.write() as connection:
            connection.exec_driver_sql('ALTER TABLE instance_upgrades DROP COLUMN steps')
        run = StepRun(step=Step.PRECHECK, attempt=1, started_at=_BEGAN)
        self.assertEqual((run,), self.repos.upgrades.save(held.evolve(steps=(run,))).steps)
        with self.db.database.read() as connection:
            self.assertEqual('Rows', type(rows.form(self.db.database, connection)).__name__)


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
