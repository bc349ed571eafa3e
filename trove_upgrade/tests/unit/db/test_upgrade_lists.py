# SPDX-License-Identifier: Apache-2.0
"""Lists of upgrades are read without what a row's data holds: one of them can be longer than all
that is shown.
"""

import re
import tracemalloc

import sqlalchemy as sa

from trove_upgrade.db import upgrades
from trove_upgrade.domain import states
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage

MEBIBYTE = 2**20
NOTE = {'step': 'restore', 'code': 'X', 'message': 'Something was met.'}


class ListsTestCase(stage.ApiTestCase):
    def ended(self, **data):
        begun = self.db.begin(self.db.add_instance())
        held = self.repository.claim(begun.id, 'tm', 60)
        known = stored.adding(held, downtime_seconds=24.1, remarks=[NOTE]).progress
        held = held.evolve(progress=known.evolve(others=data))
        return self.repository.end(held, states.UpgradeState.COMPLETED).upgrade

    @property
    def repository(self):
        return self.db.repositories.upgrades

    def statements(self, work, db=None):
        seen = []
        engine = (db or self.db).database.engine
        sa.event.listen(
            engine, 'before_cursor_execute', lambda *arguments: seen.append(arguments[2])
        )
        work()
        return seen


class TestRows(ListsTestCase):
    def test_no_statement_of_a_list_names_the_data_in_either_form_of_the_history(self):
        for expanded in (True, False):
            db = self.useFixture(database.SampleDatabase(expanded=expanded))
            db.begin()
            seen = self.statements(
                lambda repository=db.repositories.upgrades: repository.list(limit=5), db
            )
            self.assertTrue(seen)
            self.assertEqual([], [each for each in seen if re.search(r'\bdata\b', each)])

    def test_the_rest_of_a_row_is_as_it_is_read_alone(self):
        ended = self.ended(more={'a': 1})
        [listed] = self.repository.list(limit=5).items
        self.assertEqual(ended.evolve(progress=stored.progress()), listed)
        self.assertEqual({'a': 1}, stored.entries_of(self.repository.get(ended.id))['more'])

    def test_data_is_read_of_rows_that_are_not_long(self):
        usual, long = self.ended(), self.ended(more='x' * upgrades.MOST_LISTED)
        self.assertEqual(
            {usual.id: usual.progress}, self.repository.progress_of([usual.id, long.id])
        )
        self.assertEqual({}, self.repository.progress_of([]))
        self.assertEqual([], self.statements(lambda: self.repository.progress_of([])))


class TestAnswers(ListsTestCase):
    def test_fifteen_rows_of_five_megabytes_cost_a_list_less_than_one(self):
        for _ in range(15):
            self.ended(more={'answer': 'x' * 5 * MEBIBYTE})
        self.ask('GET', '/upgrades')
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for path in ('/upgrades', '/upgrades?limit=3'):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            self.assertEqual(200, self.ask('GET', path).status_int)
            self.assertLess(tracemalloc.get_traced_memory()[1] - before, MEBIBYTE)

    def test_a_list_says_what_it_has_not_read_and_the_upgrade_itself_says_it(self):
        usual, long = self.ended(), self.ended(more='x' * upgrades.MOST_LISTED)
        listed = {each['id']: each for each in self.ask('GET', '/upgrades').json['upgrades']}
        for each, wanted in ((usual, (24.1, [], [NOTE])), (long, (None, None, None))):
            self.assertEqual(
                wanted,
                tuple(listed[each.id][key] for key in ('downtime_seconds', 'warnings', 'remarks')),
            )
            shown = self.ask('GET', f'/upgrades/{each.id}').json['upgrade']
            self.assertEqual((24.1, [NOTE]), (shown['downtime_seconds'], shown['remarks']))
        self.assertEqual('COMPLETED', listed[long.id]['state'])

    def test_an_instances_own_list_is_read_in_the_same_way(self):
        long = self.ended(more='x' * MEBIBYTE)
        [listed] = self.ask('GET', f'/instances/{long.instance_id}/upgrades').json['upgrades']
        self.assertIsNone(listed['remarks'])
        self.assertEqual(database.MARIADB_11_8, listed['target_version']['id'])
