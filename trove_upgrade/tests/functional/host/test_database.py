# SPDX-License-Identifier: Apache-2.0
"""What only real servers can show: who wins when many want the same, and that the schema is the
same on each.
"""

import collections
import contextlib

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns, engine, models, trove_tables
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.db.migrations.test_runner import differences


class OnARealServer(real_database.RealDatabase):
    """The cases; each server below runs all of them."""

    def test_the_migrated_schema_is_what_the_models_say(self):
        with self.db.database.read() as connection:
            self.assertEqual([], differences(connection))

    def test_a_first_run_that_died_between_two_statements_is_carried_on(self):
        died = engine.Database.from_url(self.server.create())
        self.addCleanup(died.dispose)
        Runner(died.engine).sync('aurora', standalone=True)
        with died.write() as connection:
            connection.execute(sa.text('DELETE FROM alembic_version_trove_upgrade'))
            models.upgrade_checks.drop(connection)
            due = next(
                index for index in models.instance_upgrades.indexes if 'next_run_at' in index.name
            )
            connection.execute(sa.schema.DropIndex(due))
        Runner(died.engine).sync(standalone=True)
        with died.read() as connection:
            self.assertEqual([], differences(connection))

    def test_of_50_that_begin_at_once_exactly_one_wins(self):
        repos = self.repos
        found = repos.instances.get(database.INSTANCE)
        target = repos.datastores.version_by_id(database.MARIADB_11_8)
        results = self.together(
            50,
            lambda number: repos.upgrades.begin(
                found,
                target,
                target_image_id=target.image_id,
                request_id=f'req-{number}',
                user_id=None,
            ),
        )
        refused = [one for one in results if isinstance(one, exceptions.InstanceBusy)]
        self.assertEqual((49, 50), (len(refused), len(results)))
        self.assertIn('its upgrade', refused[0].message)
        self.assertEqual(1, len(self.db.rows(models.instance_upgrades)))
        self.assertEqual(['start'], [row.kind for row in self.db.rows(models.upgrade_outbox)])

    def test_the_key_alone_lets_one_of_50_win_where_the_task_is_reset_all_the_while(self):
        repos = self.repos
        target = repos.datastores.version_by_id(database.MARIADB_11_8)

        def begin(number):
            self.db.update_instance(task_id=int(Task.NONE))
            return repos.upgrades.begin(
                repos.instances.get(database.INSTANCE),
                target,
                target_image_id='i',
                request_id=None,
                user_id=None,
            )

        results = self.together(50, begin)
        self.assertEqual(1, sum(not isinstance(result, Exception) for result in results))
        self.assertEqual(1, len(self.db.rows(models.instance_upgrades)))

    def test_16_workers_claim_each_row_once(self):
        wanted = {self.db.begin(self.db.add_instance()).id for _ in range(100)}
        claimed = collections.Counter()

        def work(number):
            mine = []
            while turns := self.repos.upgrades.due(20):
                for upgrade_id in [turn.id for turn in turns]:
                    try:
                        mine.append(self.repos.upgrades.claim(upgrade_id, f'worker-{number}', 300))
                    except exceptions.LeaseLost:
                        continue
            return mine

        for mine in self.together(16, work):
            claimed.update(one.id for one in mine)
            self.assertEqual({1}, {one.generation for one in mine} or {1})
        self.assertEqual(dict.fromkeys(wanted, 1), dict(claimed))

    def test_of_many_that_take_over_a_dead_owners_row_one_wins_and_the_owner_writes_nothing(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'dead', 60)
        self.db.pass_time(61)
        results = self.together(
            16, lambda number: self.repos.upgrades.claim(held.id, f'worker-{number}', 60)
        )
        self.assertEqual(
            {'Upgrade': 1, 'LeaseLost': 15},
            collections.Counter(type(result).__name__ for result in results),
        )
        self.assertRaises(
            exceptions.LeaseLost, self.repos.upgrades.end, held, UpgradeState.COMPLETED
        )
        self.assertIs(Task.UPGRADING, self.repos.instances.task(database.INSTANCE))

    def test_leases_are_renewed_beside_workers_that_save_and_end_their_rows(self):
        held = {}
        for number in range(40):
            owner = f'host-{number % 4}/1.2.0123abcd-00000001'
            begun = self.db.begin(self.db.add_instance())
            held.setdefault(owner, []).append(self.repos.upgrades.claim(begun.id, owner, 30))
        owners = sorted(held)
        self.assertEqual(set(owners), self.repos.held_upgrades.owners())
        kept = {row.id for rows in held.values() for row in rows[1:]}

        def work(number):
            owner = owners[number % 4]
            ids = [row.id for row in held[owner]]
            if number < 4:  # the keeper of each
                return [self.repos.held_upgrades.renew(owner, ids, 30) for _ in range(30)]
            if number < 8:  # and its worker
                for row in held[owner][1:]:
                    self.repos.held_upgrades.tell(row, 'upgrading')
                    self.repos.held_upgrades.announce_post(row, 10)
                    self.repos.upgrades.save(row)
                self.repos.upgrades.end(held[owner][0], UpgradeState.ABORTED)
            return []

        for renewed in self.together(8, work):
            self.assertIsInstance(renewed, list, renewed)
            for renewal in renewed:
                self.assertLessEqual(len(renewal.renewed - kept), 1)
                self.assertEqual(set(), renewal.lost & kept)
        for owner in owners:
            ids = [row.id for row in held[owner]]
            self.assertEqual(
                set(ids) & kept, self.repos.held_upgrades.renew(owner, ids, 30).renewed
            )
        self.assertEqual(9, self.repos.held_upgrades.expire(owners[0]))
        free = {turn.id for turn in self.repos.upgrades.due(99)}
        self.assertEqual({row.id for row in held[owners[0]]} & kept, free)

    def test_of_many_that_end_the_same_row_one_does_and_one_event_is_written(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        states = [
            UpgradeState.COMPLETED,
            UpgradeState.FAILED,
            UpgradeState.ABORTED,
            UpgradeState.ROLLED_BACK,
        ] * 4
        results = self.together(
            16,
            lambda number: (
                self.repos.upgrades.end(held, states[number], cause='c', error_code='E').upgrade
            ),
        )
        self.assertEqual(
            {'Upgrade': 1, 'LeaseLost': 15},
            collections.Counter(type(result).__name__ for result in results),
        )
        ends = [
            row.kind for row in self.db.rows(models.upgrade_outbox) if row.kind in {'end', 'error'}
        ]
        self.assertEqual(1, len(ends))

    def test_an_end_leaves_an_instance_alone_that_somebody_has_changed(self):
        held = self.repos.upgrades.claim(self.db.begin().id, 'me', 60)
        self.db.update_instance(task_id=int(Task.DELETING))
        ended = self.repos.upgrades.end(held, UpgradeState.COMPLETED).upgrade
        self.assertEqual((UpgradeState.FAILED, 'INSTANCE_CHANGED'), (ended.state, ended.error_code))
        self.assertIs(Task.DELETING, self.repos.instances.task(database.INSTANCE))

    def test_of_many_retries_one_wins_and_its_attempt_completes(self):
        failed = self.repos.upgrades.end(
            self.repos.upgrades.claim(self.db.begin().id, 'me', 60),
            UpgradeState.FAILED,
            cause='\0\udcff' + '\U0001f4a5' * 70_000,
            error_code='E',
        ).upgrade
        self.assertEqual(255, len(self.repos.instances.get(database.INSTANCE).fault.message))
        results = self.together(16, lambda number: self.repos.upgrades.retry(failed.id))
        self.assertEqual(1, sum(not isinstance(result, Exception) for result in results))
        held = self.repos.upgrades.claim(failed.id, 'me', 60)
        self.assertEqual((2, 2), (held.attempt, held.generation))
        self.repos.upgrades.end(held, UpgradeState.COMPLETED)
        found = self.repos.instances.get(database.INSTANCE)
        self.assertEqual(
            (Task.NONE, database.MARIADB_11_8, None), (found.task, found.version.id, found.fault)
        )

    def test_many_first_heartbeats_of_one_guest_leave_one_row(self):
        self.together(
            16,
            lambda number: self.repos.guests.record(
                Heartbeat(
                    instance_id=database.INSTANCE,
                    boot_id=f'boot-{number}',
                    marker=None,
                    restored=False,
                    agent_version='1',
                    server_version=None,
                    server_state=ServerState.RUNNING,
                )
            ),
        )
        self.assertEqual(1, len(self.db.rows(models.upgrade_guests)))

    def test_a_look_at_a_table_leaves_the_errors_of_its_connection_as_they_were(self):
        values = {'instance_id': database.INSTANCE}
        for look in (
            lambda _connection: None,
            lambda connection: self.db.database.columns(connection, 'upgrade_guests'),
        ):
            self.db.database.forget_columns()
            with contextlib.suppress(LookupError), self.db.database.write() as connection:
                look(connection)
                connection.execute(sa.insert(models.upgrade_guests).values(**values))
                self.assertRaises(
                    db_exc.DBDuplicateEntry,
                    connection.execute,
                    sa.insert(models.upgrade_guests).values(**values),
                )
                raise LookupError

    def test_events_of_an_upgrade_come_in_order_and_never_again(self):
        self.repos.upgrades.end(
            self.repos.upgrades.claim(self.db.begin().id, 'me', 60), UpgradeState.COMPLETED
        )
        seen = []
        while events := self.repos.outbox.pending(10):
            for event in events:
                seen.append(event.kind)
                self.repos.outbox.sent(event.id)
        self.assertEqual(['end', 'finish', 'start'], sorted(seen))
        self.assertLess(seen.index('start'), seen.index('end'))

    def test_a_project_of_600_instances_is_one_page(self):
        rows = [
            {
                'id': f'{number:08d}-0000-4000-8000-000000000000',
                'name': f'n{number}',
                'tenant_id': 'big',
                'task_id': 1,
                'deleted': False,
                'datastore_version_id': database.MARIADB_10_11,
                'created': database.CREATED,
                'updated': database.CREATED,
            }
            for number in range(600)
        ]
        with self.db.database.write() as connection:
            connection.execute(sa.insert(trove_tables.instances), rows)
        page = self.repos.instances.list('big', limit=1000)
        self.assertEqual((600, None), (len(page.items), page.next_marker))

    def test_the_databases_clock_goes_ahead_and_back_by_fractions(self):
        with self.db.database.read() as connection:
            now, ahead, back = connection.execute(
                sa.select(columns.now(), columns.ahead(90.25), columns.ahead(-1.5))
            ).one()
        self.assertAlmostEqual(90.25, (ahead - now).total_seconds(), delta=0.1)
        self.assertAlmostEqual(-1.5, (back - now).total_seconds(), delta=0.1)

    def test_transactions_see_what_others_have_committed_meanwhile(self):
        with self.db.database.read() as connection:
            query = sa.select(trove_tables.instances.c.task_id).where(
                trove_tables.instances.c.id == database.INSTANCE
            )
            self.assertEqual(int(Task.NONE), connection.execute(query).scalar_one())
            self.db.update_instance(task_id=int(Task.RESIZING))
            self.assertEqual(int(Task.RESIZING), connection.execute(query).scalar_one())

    def test_long_journals_fit(self):
        facts = {
            f'x{number}': 'ü' * 4000 for number in range(15)
        }  # more than 64 KiB, within what is kept of a guest
        held = stored.adding(
            self.repos.upgrades.claim(self.db.begin().id, 'me', 60), upgrade_info=facts
        )
        self.assertEqual(stored.entries_of(held), stored.entries_of(self.repos.upgrades.save(held)))


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
