# SPDX-License-Identifier: Apache-2.0
"""Past upgrades that an estimate rests on."""

import datetime

from trove_upgrade.db.upgrade_history import UpgradeHistory
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base, database, stored


class HistoryTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.repos = self.db.repositories
        self.clock = FakeClock()
        self.db.follow_clock(self.clock.now)

    def ended(self, state=UpgradeState.COMPLETED, **data):
        begun = self.db.begin(self.db.add_instance())
        held = self.repos.upgrades.claim(begun.id, 'tm', 60)
        self.clock.pass_time(50)
        return self.repos.upgrades.end(stored.adding(held, **data), state).upgrade

    def downtimes(self, project, former):
        return sorted(past.downtime_seconds for past in self.repos.history.of(project, former))

    def test_those_that_completed_and_told_their_downtime_count(self):
        one = self.ended(downtime_seconds=12.5)
        self.ended(downtime_seconds=8.0)
        self.ended()
        for by_a_clock_that_was_set in (-3.0, 50.5, 315360000.5):
            self.ended(downtime_seconds=by_a_clock_that_was_set)
        self.ended(UpgradeState.FAILED, downtime_seconds=99.0)
        self.assertEqual([8.0, 12.5], self.downtimes(one.project_id, one.former_version_id))

    def test_what_was_asked_lately_is_remembered_for_a_while(self):
        clock = FakeClock()
        history = UpgradeHistory(self.db.database, clock.monotonic)
        one = self.ended(downtime_seconds=12.5)
        key = one.project_id, one.former_version_id
        self.assertEqual(1, len(history.recent(*key)))
        self.ended(downtime_seconds=8.0)
        clock.pass_time(29)
        self.assertEqual(1, len(history.recent(*key)))
        self.assertEqual([], history.recent('another', one.former_version_id))
        clock.pass_time(1)
        self.assertEqual(2, len(history.recent(*key)))

    def test_the_time_of_a_hold_is_not_that_of_an_upgrade(self):
        one = self.ended(downtime_seconds=12.5)
        since, over = one.created_at, one.created_at + datetime.timedelta(hours=2)
        held = {'held_since': since.isoformat(), 'hold_over_at': over.isoformat()}
        self.ended(downtime_seconds=12.5, **held)
        first, second = sorted(
            past.whole_seconds
            for past in self.repos.history.of(one.project_id, one.former_version_id)
        )
        self.assertAlmostEqual(-7200.0, first - second, delta=60)

    def test_neither_another_projects_nor_another_versions_count(self):
        one = self.ended(downtime_seconds=12.5)
        self.assertEqual([], self.downtimes('another', one.former_version_id))
        self.assertEqual([], self.downtimes(one.project_id, one.target_version_id))

    def test_each_has_its_target_and_the_size_of_its_volume(self):
        one = self.ended(downtime_seconds=12.5)
        (past,) = self.repos.history.of(one.project_id, one.former_version_id)
        size = self.repos.instances.get(one.instance_id).volume_size_gb
        self.assertIsNotNone(size)
        self.assertEqual(
            (one.target_version_id, size), (past.target_version_id, past.volume_size_gb)
        )
