# SPDX-License-Identifier: Apache-2.0
"""The counts of a run's overview are the same on each real server of databases."""

from trove_upgrade.domain.bridge_runs import MemberState, RunPlan, RunScope
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import Limits, Pace, StopRule, Wait
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

S = MemberState
LEASE = 300.0
PACE = Pace(canary=0, wave_size=4, stop=StopRule(count=9), limits=Limits(at_once=3))


class OnARealServer(real_database.RealDatabase):
    """The case; each server below runs it."""

    def test_counts_held_members_and_ends_are_those_of_the_rows(self):
        ids = [f'00000000-0000-4000-8000-0000000002{number:02}' for number in range(8)]
        members = [*map(listed, ids[:7]), listed(ids[7], Obstacle.NO_DRIVER)]
        runs, source = self.repos.bridge_runs, self.repos.bridge_overview
        run_id = runs.begin(members, RunScope.REACH, RunPlan(pace=PACE)).id
        began = source.look(run_id, None).now

        def claimed():
            return runs.claim(run_id, 'host-1', LEASE).member

        runs.end(claimed(), S.COMPLETED)
        runs.end(claimed().evolve(is_undoing=True, error_code='REACH_REFUSED'), S.FAILED)
        held = claimed()
        turned = runs.save(claimed().evolve(is_undoing=True))
        seen = source.look(run_id, began)
        self.assertEqual(
            {S.PENDING: 3, S.RUNNING: 2, S.COMPLETED: 1, S.FAILED: 1, S.LEFT_OUT: 1},
            dict(seen.states),
        )
        self.assertEqual({'REACH_REFUSED': 1}, dict(seen.failures))
        self.assertEqual((1, 1, 2), (seen.turned_back, seen.wave, seen.last_wave))
        self.assertEqual(
            [held.instance_id, turned.instance_id], [one.instance_id for one in seen.held]
        )
        self.assertEqual([S.COMPLETED, S.FAILED], [one.state for one in seen.ended])
        self.assertEqual({Wait.WAVE: 3}, dict(source.waits(run_id)))


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
