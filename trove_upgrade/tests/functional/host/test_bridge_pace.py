# SPDX-License-Identifier: Apache-2.0
"""Many hosts work on one run of the bridge at the same moment: none exceeds its limits."""

import collections
import itertools
import threading

from trove_upgrade.domain.bridge_runs import MemberState, RunPlan, RunScope, RunState
from trove_upgrade.domain.pace import Hosts, Limits, Pace, StopRule
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

LEASE = 300.0
MEMBERS, WORKERS = 40, 16
SAVES = 8  #: of each member, as its steps do
LIMITS = Limits(at_once=7, per_node=3, per_hypervisor=2)


class Present:
    """Members that are worked on at a moment, as their workers tell."""

    def __init__(self):
        self._lock = threading.Lock()
        self._now = {}
        self.most = collections.Counter()

    def begin(self, member):
        with self._lock:
            self._now[member.instance_id] = member.hosts
            hosts = self._now.values()
            counted = collections.Counter(
                itertools.chain(
                    ['in all'] * len(self._now),
                    (one.node for one in hosts),
                    (one.hypervisor for one in hosts),
                )
            )
            self.most |= counted

    def end(self, member):
        with self._lock:
            del self._now[member.instance_id]


class OnARealServer(real_database.RealDatabase):
    """The cases; each server below runs all of them."""

    def begun(self, **pace):
        members = [f'00000000-0000-4000-8000-0000000001{number:02}' for number in range(MEMBERS)]
        loaded = {
            one: Hosts(node=f'node-{number % 3}', hypervisor=f'hypervisor-{number % 8}')
            for number, one in enumerate(members)
        }
        plan = RunPlan(pace=Pace(limits=LIMITS, **pace), loaded=loaded)
        return self.repos.bridge_runs.begin(
            [listed(one) for one in members], RunScope.REACH, plan
        ).id

    def work(self, run_id, state_of):
        """All members to their ends, by many workers; what was worked on at one moment at most."""
        present, runs = Present(), self.repos.bridge_runs

        def worked(number):
            mine = []
            while True:
                claim = runs.claim(run_id, f'host-{number}', LEASE)
                if claim.member is None:
                    if not claim.is_to_ask_again:
                        return mine
                    continue
                present.begin(claim.member)
                mine.append(claim.member)
                for _ in range(SAVES):
                    runs.save(claim.member)
                present.end(claim.member)
                runs.end(claim.member, state_of(claim.member))

        return self.together(WORKERS, worked), present.most

    def test_limits_are_never_exceeded_and_each_member_is_one_hosts(self):
        run_id = self.begun(canary=3, wave_size=15)
        results, most = self.work(run_id, lambda member: MemberState.COMPLETED)
        worked = [member.instance_id for mine in results for member in mine]
        self.assertEqual((MEMBERS, MEMBERS), (len(worked), len(set(worked))))
        self.assertLessEqual(most['in all'], LIMITS.at_once)
        for name, count in most.items():
            if name.startswith('node'):
                self.assertLessEqual(count, LIMITS.per_node, name)
            elif name.startswith('hypervisor'):
                self.assertLessEqual(count, LIMITS.per_hypervisor, name)
        self.assertGreater(most['in all'], 1, 'they worked one after the other')
        self.assertEqual(RunState.ENDED, self.repos.bridge_runs.get(run_id).state)

    def test_a_run_that_stops_begins_none_after_the_failure_that_was_one_too_many(self):
        allowed = 4
        run_id = self.begun(canary=0, wave_size=0, stop=StopRule(count=allowed, percent=0))
        results, _ = self.work(run_id, lambda member: MemberState.FAILED)
        failed = sum(len(mine) for mine in results)
        self.assertGreater(failed, allowed)
        self.assertLessEqual(failed, allowed + LIMITS.at_once)
        run = self.repos.bridge_runs.get(run_id)
        self.assertEqual(RunState.STOPPED, run.state)
        self.assertEqual(MEMBERS - failed, run.members[MemberState.PENDING])


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
