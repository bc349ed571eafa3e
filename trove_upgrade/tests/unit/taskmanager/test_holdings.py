# SPDX-License-Identifier: Apache-2.0
"""Leases as a process knows them, on a real table whose clock is the test's own."""

import contextlib
import logging

import fixtures
from hypothesis import settings, stateful
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions, leases, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.taskmanager import holdings
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base, database

LEASE = 15


class HeldUp:
    """Leases of a database in which other transactions hold `rows`; None: all of them."""

    def __init__(self):
        self.rows, self.asked = None, []

    def renew(self, _owner, row_ids, _lease_seconds):
        self.asked.append(row_ids)
        rows = set(row_ids) if self.rows is None else self.rows & set(row_ids)
        return leases.Renewal(
            frozenset(row_ids) - rows, error=TimeoutError('locked') if rows else None
        )


class TestHoldings(base.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = FakeClock()
        self.db = self.useFixture(database.SampleDatabase())
        self.db.follow_clock(self.clock.now)
        self.repos = self.db.repositories
        self.upgrade_id = self.db.begin().id
        self.held = self.of('tm-1')

    def of(self, owner):
        return holdings.of_upgrades(self.repos.held_upgrades, self.clock, owner, LEASE)

    def claimed(self, held=None):
        return (held or self.held).claimed(self.upgrade_id, self.repos.upgrades.claim)

    def lease_seconds(self):
        return (
            self.repos.upgrades.get(self.upgrade_id).lease_until - self.clock.now()
        ).total_seconds()

    def test_an_act_is_let_through_until_the_lease_is_over(self):
        with self.claimed():
            self.clock.pass_time(LEASE - 0.5)
            self.held.require(self.upgrade_id)
            self.clock.pass_time(0.5)
            self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)

    def test_a_renewal_moves_the_end_ahead_for_as_long_as_the_run_may_take(self):
        with self.claimed():
            self.held.works(self.upgrade_id, 40)
            for _ in range(8):
                self.clock.pass_time(LEASE / 3)
                self.held.renew()
            self.held.require(self.upgrade_id)
            self.assertEqual(LEASE - LEASE / 3, self.lease_seconds())
            for _ in range(4):  # it hangs: another may have the row
                self.clock.pass_time(LEASE / 3)
                self.held.renew()
            self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)
            self.repos.upgrades.claim(self.upgrade_id, 'tm-2', LEASE)

    def test_a_row_that_was_taken_is_told_at_the_next_renewal(self):
        with self.claimed():
            self.held.works(self.upgrade_id, 1000)
            self.repos.held_upgrades.expire('tm-1')  # as if it were dead
            self.repos.upgrades.claim(self.upgrade_id, 'tm-2', LEASE)
            self.held.require(self.upgrade_id)
            self.held.renew()
            self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)
            self.assertRaises(exceptions.LeaseLost, self.held.works, self.upgrade_id, 10)

    def test_a_row_that_was_left_is_renewed_no_more(self):
        with contextlib.suppress(ZeroDivisionError), self.claimed():
            self.held.works(self.upgrade_id, 1000)
            raise ZeroDivisionError
        self.clock.pass_time(LEASE)
        self.held.renew()
        self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)
        with self.claimed(self.of('tm-2')) as taken:
            self.assertEqual(2, taken.generation)

    def log(self):
        return self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.WARNING))

    def test_a_lease_that_runs_out_under_its_work_is_one_line_of_the_log(self):
        log = self.log()
        self.held = holdings.of_upgrades(HeldUp(), self.clock, 'tm-1', LEASE)
        with contextlib.suppress(exceptions.LeaseLost), self.claimed():
            self.held.works(self.upgrade_id, 1000)
            for _ in range(4):
                self.assertEqual('', log.output)
                self.clock.pass_time(LEASE / 4)
                self.assertRaises(TimeoutError, self.held.renew)
            self.assertRaises(TimeoutError, self.held.renew)
            self.held.require(self.upgrade_id)
        [line] = log.output.splitlines()
        self.assertIn('LEASE_LOST', line)
        self.assertIn(self.upgrade_id, line)
        self.assertIn('lease_seconds', line)

    def test_a_row_that_another_has_taken_from_its_worker_is_one_line_of_the_log(self):
        log = self.log()
        with contextlib.suppress(exceptions.LeaseLost), self.claimed() as mine:
            self.held.works(self.upgrade_id, 1000)
            self.repos.held_upgrades.expire('tm-1')
            self.repos.upgrades.claim(self.upgrade_id, 'tm-2', LEASE)
            self.held.renew()
            self.assertEqual('', log.output)  # its worker may just be ending it
            self.repos.upgrades.save(mine)
        self.assertEqual(1, len(log.output.splitlines()), log.output)

    def test_one_that_a_user_has_aborted_is_no_warning(self):
        log = self.log()
        told = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.INFO))
        with contextlib.suppress(exceptions.LeaseLost), self.claimed() as mine:
            self.repos.actions.take(Action.ABORT, self.upgrade_id)
            self.repos.upgrades.save(mine)
        self.assertNotIn('LEASE_LOST', log.output + told.output)
        self.assertIn(f'ABORTED_ON_REQUEST: Upgrade {self.upgrade_id} was aborted', told.output)

    def test_a_row_that_its_worker_has_let_go_of_and_one_that_another_has_are_no_lines(self):
        log = self.log()
        with self.claimed() as mine:
            self.held.works(self.upgrade_id, 1000)
            self.repos.upgrades.save(mine, release_for_seconds=0)
            self.held.renew()
        with self.claimed():
            self.assertRaises(exceptions.LeaseLost, self.claimed(self.of('tm-2')).__enter__)
        self.assertEqual('', log.output)

    def test_rows_that_were_held_up_are_asked_for_after_the_others_and_each_alone(self):
        held_up = HeldUp()
        held = holdings.of_upgrades(held_up, self.clock, 'tm-1', LEASE)
        with contextlib.ExitStack() as rows:
            for name in ('a', 'b', 'c', 'd'):
                rows.enter_context(held.claimed(name, lambda *_: None))
                held.works(name, 1000)
            held_up.rows = {'b', 'd'}
            self.assertRaises(TimeoutError, held.renew)
            self.clock.pass_time(LEASE - 1)
            self.assertRaises(TimeoutError, held.renew)
            self.assertEqual(
                [['a', 'b', 'c', 'd'], ['a', 'c'], ['b'], ['d']],
                [sorted(row_ids) for row_ids in held_up.asked],
            )
            self.clock.pass_time(1)
            for name in ('a', 'c'):
                held.require(name)
            for name in ('b', 'd'):
                self.assertRaises(exceptions.LeaseLost, held.require, name)
            held_up.rows = set()  # no other has taken them: they are simply renewed
            held.renew()
            held.renew()
            self.assertEqual(['a', 'b', 'c', 'd'], sorted(held_up.asked[-1]))
            for name in ('a', 'b', 'c', 'd'):
                held.require(name)

    def test_one_that_was_never_claimed_is_not_held(self):
        self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)

    def test_a_claim_that_takes_long_counts_from_its_beginning(self):
        def slow(row_id, owner, lease_seconds):
            self.clock.pass_time(LEASE)
            return self.repos.upgrades.claim(row_id, owner, lease_seconds)

        with self.held.claimed(self.upgrade_id, slow):
            self.assertRaises(exceptions.LeaseLost, self.held.require, self.upgrade_id)


class TwoHolders(stateful.RuleBasedStateMachine):
    """Two taskmanagers, either of which may stand still at any moment for any time: at most one of
    them can act, and only that one's writes are taken.
    """

    names = st.sampled_from(['tm-1', 'tm-2'])

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.db = database.SampleDatabase()
        self.db.setUp()
        self.db.follow_clock(self.clock.now)
        self.repos = self.db.repositories
        self.upgrade_id = self.db.begin().id
        self.held = {
            name: holdings.of_upgrades(self.repos.held_upgrades, self.clock, name, LEASE)
            for name in ('tm-1', 'tm-2')
        }
        self.rows, self.stacks = {}, {}

    def teardown(self):
        self.db.cleanUp()

    @stateful.rule(seconds=st.integers(min_value=1, max_value=40))
    def time_passes_while_both_stand_still(self, seconds):
        self.clock.pass_time(seconds)

    @stateful.rule(name=names)
    def one_looks_for_work(self, name):
        self.leave(name)
        stack = contextlib.ExitStack()
        with contextlib.suppress(exceptions.LeaseLost):
            claim = self.held[name].claimed(self.upgrade_id, self.repos.upgrades.claim)
            self.rows[name] = stack.enter_context(claim)
            self.stacks[name] = stack

    @stateful.rule(name=names)
    def one_dies_in_its_run(self, name):
        self.leave(name)

    @stateful.rule(name=names, seconds=st.integers(min_value=1, max_value=40))
    def one_begins_a_run(self, name, seconds):
        with contextlib.suppress(exceptions.LeaseLost):
            self.held[name].works(self.upgrade_id, seconds)

    @stateful.rule(name=names)
    def the_keeper_of_one_renews(self, name):
        self.held[name].renew()

    @stateful.rule(name=names)
    def one_saves(self, name):
        row = self.rows.get(name)
        if row is None:
            return
        newest = self.repos.upgrades.get(self.upgrade_id).generation
        try:
            self.repos.upgrades.save(row)
        except exceptions.LeaseLost:
            assert row.generation < newest
        else:
            assert row.generation == newest

    @stateful.invariant()
    def only_the_holder_of_the_row_can_act(self):
        acting = [name for name in self.held if self.can_act(name)]
        assert len(acting) <= 1, acting
        for name in acting:
            row = self.repos.upgrades.get(self.upgrade_id)
            assert (row.owner, row.state) == (name, states.UpgradeState.RUNNING)
            assert row.generation == self.rows[name].generation
            assert row.lease_until > self.clock.now()

    def can_act(self, name):
        try:
            self.held[name].require(self.upgrade_id)
        except exceptions.LeaseLost:
            return False
        return True

    def leave(self, name):
        self.rows.pop(name, None)
        if name in self.stacks:
            self.stacks.pop(name).close()


class TestTwoHolders(TwoHolders.TestCase):
    settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
