# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.domain import exceptions
from trove_upgrade.taskmanager.recent_versions import KEPT_SECONDS, RecentVersions
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base, database


class TestRecentVersions(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.clock = FakeClock()
        self.recent = RecentVersions(repository=self.db.repositories.datastores, clock=self.clock)

    def image(self, version_id=database.MARIADB_11_8):
        return self.recent.version_by_id(version_id).image_id

    def test_what_was_read_a_moment_ago_is_not_read_again_and_then_it_is(self):
        self.assertEqual(database.IMAGE_11_8, self.image())
        self.db.update_version(database.MARIADB_11_8, image_id='newer')
        self.clock.pass_time(KEPT_SECONDS - 0.1)
        self.assertEqual(database.IMAGE_11_8, self.image())
        self.clock.pass_time(0.2)
        self.assertEqual('newer', self.image())

    def test_each_version_and_each_question_has_its_own_answer(self):
        self.db.repositories.datastores.save_target_facts(database.MARIADB_11_8, {'options': ['a']})
        for _ in range(2):
            self.assertEqual(database.IMAGE_10_11, self.image(database.MARIADB_10_11))
            self.assertEqual(database.IMAGE_11_8, self.image())
            self.assertEqual({'options': ['a']}, self.recent.target_facts(database.MARIADB_11_8))
            self.assertEqual({}, self.recent.target_facts(database.MARIADB_10_11))

    def test_a_version_that_was_not_there_is_looked_for_each_time(self):
        missing = '00000000-0000-4000-8000-00000000d1aa'
        self.assertRaises(exceptions.DatastoreVersionNotFound, self.image, missing)
        self.db.add_version(version_id=missing, name='11.8.9', image_id='i')
        self.assertEqual('i', self.image(missing))

    def test_what_a_tenant_changes_is_read_each_time(self):
        self.assertEqual([], list(self.recent.configured_parameters('a-group')))

    def test_what_was_asked_first_goes_first(self):
        for number in range(300):
            self.recent.target_facts(f'v{number}')
        self.assertEqual({}, self.recent.target_facts('v0'))
