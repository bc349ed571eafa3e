# SPDX-License-Identifier: Apache-2.0
"""Who gets a worker: laws of the queue, without threads and time."""

import collections

from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager import composition
from trove_upgrade.taskmanager.fair_queue import FairQueue, Job, Shares
from trove_upgrade.tests.unit import base

SHARES = Shares.of_percent(8, slow=50, project=75, kinds={'check': 2})


def job(name, project='a', *, slow=False, kind='upgrade'):
    return Job(kind, Turn(name, project, is_slow=slow))


def taken(queue):
    """All that may run at once now."""
    jobs = []
    while (one := queue.take()) is not None:
        jobs.append(one)
    return jobs


class TestShares(base.TestCase):
    @given(st.integers(1, 256), st.integers(1, 100), st.integers(1, 100))
    def test_each_share_is_at_least_one_and_leaves_one_to_others_where_there_are_two(
        self, workers, slow, project
    ):
        shares = Shares.of_percent(workers, slow=slow, project=project)
        for share in (shares.slow, shares.project):
            self.assertTrue(1 <= share <= max(1, workers - 1))

    def test_they_are_what_the_operator_chose(self):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(args=[])
        self.assertEqual(
            Shares(workers=8, slow=4, project=6, kinds={'check': 2}), composition.shares(conf)
        )
        for name, value in (
            ('taskmanager_workers', 20),
            ('slow_workers_percent', 10),
            ('project_workers_percent', 100),
        ):
            conf.set_override(name, value, 'trove_upgrade')
        self.assertEqual(
            Shares(workers=20, slow=2, project=19, kinds={'check': 5}), composition.shares(conf)
        )

    def test_of_eight_workers_half_and_three_quarters(self):
        self.assertEqual((4, 6), (SHARES.slow, SHARES.project))


class TestFairQueue(base.TestCase):
    def setUp(self):
        super().setUp()
        self.queue = FairQueue(SHARES)

    def put(self, *jobs):
        for one in jobs:
            self.queue.put(one)

    def names(self):
        return [one.turn.id for one in taken(self.queue)]

    def test_a_thousand_rows_of_one_project_leave_workers_for_the_one_row_of_another(self):
        self.put(*(job(f'a{number}') for number in range(1000)))
        self.assertEqual([f'a{number}' for number in range(6)], self.names())
        self.put(job('b', 'b'))
        self.assertEqual(['b'], self.names())

    def test_projects_take_turns_and_the_one_with_the_fewest_workers_is_next(self):
        self.put(
            *(job(f'a{number}') for number in range(9)),
            *(job(f'b{number}', 'b') for number in range(2)),
            job('c', 'c'),
        )
        self.assertEqual(['a0', 'b0', 'c', 'a1', 'b1', 'a2', 'a3', 'a4'], self.names())

    def test_with_one_worker_projects_take_turns(self):
        queue = FairQueue(Shares.of_percent(1, slow=50, project=75))
        for one in (
            *(job(f'a{number}', slow=True) for number in range(3)),
            job('b0', 'b'),
            job('b1', 'b'),
        ):
            queue.put(one)
        order = []
        while (one := queue.take()) is not None:
            order.append(one.turn.id)
            queue.done(one)
        self.assertEqual(['a0', 'b0', 'a1', 'b1', 'a2'], order)

    def test_those_that_keep_workers_waiting_get_half_of_them_however_many_projects_they_are_of(
        self,
    ):
        self.put(*(job(f's{number}', f'project-{number}', slow=True) for number in range(24)))
        self.assertEqual(4, len(self.names()))
        self.put(*(job(f'h{number}', f'other-{number}') for number in range(24)))
        self.assertEqual(4, len(self.names()))

    def test_one_project_leaves_a_slow_worker_to_another_whose_guest_comes_back(self):
        self.put(
            *(job(f's{number}', slow=True) for number in range(24)), job('back', 'b', slow=True)
        )
        self.assertEqual(['s0', 'back', 's1', 's2'], self.names())
        self.put(job('healthy'))
        self.assertEqual(['healthy'], self.names(), 'and its own others go on')

    def test_one_project_leaves_a_check_to_another(self):
        self.put(*(job(f'c{number}', kind='check') for number in range(9)))
        self.assertEqual(['c0'], self.names())
        self.put(job('d', 'b', kind='check'))
        self.assertEqual(['d'], self.names())

    def test_what_runs_is_put_once_more_and_what_waits_is_not(self):
        self.put(job('a'), job('a'))
        [one] = taken(self.queue)
        self.put(job('a'), job('a', slow=True))
        self.assertIsNone(self.queue.take())
        self.assertEqual(job('a', slow=True), self.queue.done(one))
        self.assertIsNone(self.queue.take())

    @given(
        st.lists(
            st.tuples(
                st.sampled_from('abc'), st.booleans(), st.sampled_from(['upgrade', 'check', 'heal'])
            ),
            max_size=60,
        ),
        st.lists(st.integers(0, 7), max_size=200),
    )
    def test_no_order_of_ends_breaks_a_share_starves_a_job_or_runs_one_twice(self, wanted, ends):
        queue = FairQueue(SHARES)
        for number, (project, slow, kind) in enumerate(wanted):
            queue.put(job(f'j{number}', project, slow=slow, kind=kind))
        running, seen = taken(queue), []
        seen += running
        for end in (*ends, *[0] * len(wanted)):
            self.keeps_shares(running)
            if not running:
                break
            queue.done(running.pop(end % len(running)))
            more = taken(queue)
            running += more
            seen += more
        self.assertEqual(
            sorted(f'j{number}' for number in range(len(wanted))),
            sorted(one.turn.id for one in seen),
        )

    def keeps_shares(self, running):
        self.assertLessEqual(len(running), 8)
        self.assertLessEqual(sum(one.turn.is_slow for one in running), 4)
        self.assertLessEqual(sum(one.kind == 'check' for one in running), 2)
        for count in collections.Counter(one.turn.project_id for one in running).values():
            self.assertLessEqual(count, 6)
