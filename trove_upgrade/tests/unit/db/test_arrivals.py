# SPDX-License-Identifier: Apache-2.0
"""Services of this release on the schema of the release below: what its own expand adds is not
there yet.
"""

import sqlalchemy as sa

from trove_upgrade.db import arrivals, errors, models
from trove_upgrade.db.migrations import recording
from trove_upgrade.db.migrations.chain import MAIN, release_of
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db import test_upgrades

BELOW = MAIN.releases()[-2]


class TestBegin(test_upgrades.TestBegin):
    version = BELOW


class TestLease(test_upgrades.TestLease):
    version = BELOW


class TestList(test_upgrades.TestList):
    version = BELOW


class TestJournal(test_upgrades.TestJournal):
    version = BELOW


class TestEnd(test_upgrades.TestEnd):
    version = BELOW


class TestRetry(test_upgrades.TestRetry):
    version = BELOW


class TestRollback(test_upgrades.TestRollback):
    version = BELOW


class TestModels(base.TestCase):
    def test_each_column_that_this_release_adds_to_a_table_of_the_one_below_has_a_value_that_counts_until_then(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        revisions = [one.revision for branch in MAIN.branches for one in MAIN.revisions(branch)]
        below = recording.schema_at(
            MAIN, [one for one in revisions if release_of(one) != MAIN.releases()[-1]]
        )
        added = {
            (name, column.name)
            for name, table in models.METADATA.tables.items()
            if name in below.tables
            for column in table.c
            if column.name not in below.tables[name].c
        }
        marked = {
            (name, column.name)
            for name, table in models.METADATA.tables.items()
            for column in table.c
            if models.UNTIL_EXPAND in column.info
        }
        self.assertEqual(added, marked)

    def test_a_column_that_may_not_be_null_is_read_as_its_server_default_until_then(self):
        for table in models.METADATA.tables.values():
            for column in (each for each in table.c if models.UNTIL_EXPAND in each.info):
                default = column.server_default.arg if column.server_default is not None else None
                value = column.info[models.UNTIL_EXPAND]
                self.assertEqual(
                    default, None if value is None else str(value), f'{table.name}.{column.name}'
                )


class TestArrival(base.TestCase):
    """The expand runs beside a service of this release that has been there before it."""

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(version=BELOW))
        self.upgrades = self.db.repositories.upgrades

    def expand(self):
        Runner(self.db.database.engine).expand()

    def claimed(self):
        return self.upgrades.claim(self.db.begin().id, 'host-1', 60)

    def test_what_is_learnt_before_is_lost_and_what_is_learnt_after_is_kept(self):
        held = self.upgrades.save(self.claimed().evolve(stalls=4))
        self.assertEqual(0, held.stalls)
        self.expand()
        self.assertEqual(0, self.upgrades.get(held.id).stalls)
        self.assertEqual(4, self.upgrades.save(held.evolve(stalls=4)).stalls)
        self.assertEqual(4, self.upgrades.list(limit=1).items[0].stalls)

    def test_its_turns_are_those_of_a_prompt_one_before_and_its_own_after(self):
        held = self.upgrades.save(self.claimed().evolve(stalls=4), release_for_seconds=0)
        self.assertEqual(
            ([False], False),
            ([turn.is_slow for turn in self.upgrades.due(5)], self.upgrades.turn(held.id).is_slow),
        )
        self.expand()
        self.upgrades.save(
            self.upgrades.claim(held.id, 'host-1', 60).evolve(stalls=4), release_for_seconds=0
        )
        self.assertEqual(
            ([True], True),
            ([turn.is_slow for turn in self.upgrades.due(5)], self.upgrades.turn(held.id).is_slow),
        )

    def test_a_retry_is_begun_before_and_after(self):
        again = self.upgrades.retry(self.failed(self.claimed()).id)
        self.expand()
        failed = self.failed(self.upgrades.claim(again.id, 'host-1', 60))
        self.assertEqual(
            (3, 0), (self.upgrades.retry(failed.id).attempt, self.upgrades.get(failed.id).stalls)
        )

    def failed(self, held):
        return self.upgrades.end(held, UpgradeState.FAILED, cause='c', error_code='E').upgrade

    def test_the_contract_of_borealis_comes_at_a_schema_that_was_never_expanded_for_this_release(
        self,
    ):
        half = self.useFixture(
            database.SampleDatabase(version='borealis_expand01, aurora_contract01')
        )
        upgrades = half.repositories.upgrades
        held = upgrades.save(upgrades.claim(half.begin().id, 'host-1', 60).evolve(stalls=4))
        self.assertEqual(0, held.stalls)
        Runner(half.database.engine).sync(BELOW)
        self.assertEqual(held, upgrades.get(held.id))
        Runner(half.database.engine).sync()
        self.assertEqual(4, upgrades.save(held.evolve(stalls=4)).stalls)

    def test_a_database_of_aurora_is_refused_until_it_has_been_expanded(self):
        old = self.useFixture(database.SampleDatabase(version='aurora'))
        for call in (
            old.begin,
            lambda: old.repositories.upgrades.due(1),
            lambda: old.repositories.upgrades.turn(database.INSTANCE),
            lambda: old.repositories.upgrades.list(limit=1),
        ):
            self.assertIn('db expand', self.assertRaises(errors.SchemaMissing, call).message)
        Runner(old.database.engine).expand()
        self.assertEqual([old.begin().id], [turn.id for turn in old.repositories.upgrades.due(1)])

    def test_a_table_that_is_not_there_lacks_nothing(self):
        none = sa.Table(
            'nothing', sa.MetaData(), sa.Column('some', sa.Integer(), info={models.UNTIL_EXPAND: 0})
        )
        with self.db.database.read() as connection:
            self.assertEqual(frozenset(), arrivals.missing(self.db.database, connection, none))

    def test_columns_are_looked_up_no_more_once_all_are_there(self):
        held = self.claimed()
        self.expand()
        self.upgrades.get(held.id)
        seen = []
        sa.event.listen(
            self.db.database.engine,
            'before_cursor_execute',
            lambda *arguments: seen.append(arguments[2]),
        )
        self.upgrades.get(held.id)
        self.assertEqual([], [statement for statement in seen if 'PRAGMA' in statement])
