# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from trove_upgrade.db import errors
from trove_upgrade.db.migrations import gate
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.db.test_services import register_as_aurora

_RELEASES = ['aurora', 'borealis', 'cirrus']


class TestGate(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(sample=False))
        self.services = self.db.repositories.services

    def check(self, release='borealis'):
        gate.check(self.db.database.engine, release, _RELEASES)

    def refused(self, release='borealis'):
        return self.assertRaises(errors.OlderServices, self.check, release)

    def test_nobody_is_in_the_way_of_an_empty_list(self):
        self.check()

    def test_services_of_the_release_and_of_later_ones_are_not_in_the_way(self):
        self.services.register('host', 'api', '1.0', release='borealis')
        self.services.register('host', 'api', '1.0', release='cirrus')
        self.check()

    def test_a_service_of_an_earlier_release_is_named_with_what_to_do(self):
        register_as_aurora(
            self.db,
            host='control-1',
            binary='trove-upgrade-taskmanager',
            version='0.9',
            registration='r-1',
        )
        found = self.refused()
        self.assertEqual(6, found.exit_code)
        for part in (
            'r-1',
            'trove-upgrade-taskmanager aurora 0.9 on control-1',
            'alive',
            'last seen 0 s ago',
            'service forget ID',
        ):
            self.assertIn(part, found.message)

    def test_silence_is_not_death(self):
        register_as_aurora(self.db)
        self.db.pass_time(3 * 86400)
        self.assertIn('silent, last seen 3 d ago', self.refused().message)

    def test_all_of_them_are_named(self):
        for pid in (1, 2, 3):
            self.services.register('host', 'api', '1.0', release='aurora', pid=pid)
        message = self.refused().message
        self.assertEqual([True] * 3, [f'process {pid};' in message for pid in (1, 2, 3)])

    def test_what_a_later_release_needs_is_asked_of_this_one_too(self):
        self.services.register('host', 'api', '1.0', release='borealis')
        self.refused('cirrus')

    def test_a_release_that_nobody_knows_counts_as_older(self):
        self.services.register('host', 'api', '1.0', release='unheard-of')
        self.refused()

    def test_a_forgotten_one_is_not_in_the_way(self):
        register_as_aurora(self.db, registration='r-1')
        self.services.forget('r-1', force=True)
        self.check()

    def test_a_database_without_the_table_has_no_services(self):
        engine = sa.create_engine('sqlite://')
        self.addCleanup(engine.dispose)
        self.assertEqual([], gate.listed(engine))
        gate.check(engine, 'borealis', _RELEASES)

    def test_times_are_said_as_a_person_would(self):
        self.assertEqual(
            ['0 s', '119 s', '2 min', '2 h', '2 d'],
            [gate.ago(seconds) for seconds in (-0.3, 119, 120, 7200, 2 * 86400)],
        )
