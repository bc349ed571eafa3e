# SPDX-License-Identifier: Apache-2.0
"""Actions on upgrades that come at the same moment, on real servers: among themselves, and with the
taskmanager that works on the row.
"""

import collections
import itertools

from trove_upgrade.db import models
from trove_upgrade.domain import exceptions, holds, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.instances import Task
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit import database

S, Step = states.UpgradeState, states.Step
_TIMES = 12


class ActionsOnARealServer(real_database.RealDatabase):
    """The cases; each server below runs all of them."""

    def held(self):
        begun = self.db.begin(self.db.add_instance(), choices=holds.Choices(hold=True))
        return self.repos.holds.hold(self.repos.upgrades.claim(begun.id, 'tm', 60), 60)

    def task(self, row):
        return self.repos.instances.task(row.instance_id)

    def kinds(self, row):
        events = self.db.rows(models.upgrade_outbox)
        return collections.Counter(each.kind for each in events if each.upgrade_id == row.id)

    def codes(self, results):
        return {result.code for result in results if isinstance(result, Exception)}

    def test_of_many_that_abort_one_does_and_all_are_answered_alike(self):
        for make in (lambda: self.db.begin(self.db.add_instance()), self.held):
            row = make()
            results = self.together(
                16, lambda _number, row=row: self.repos.actions.take(Action.ABORT, row.id)
            )
            self.assertEqual(set(), self.codes(results))
            self.assertEqual({S.ABORTED}, {result.upgrade.state for result in results})
            self.assertEqual(1, self.kinds(row)['error'])
            self.assertIs(Task.NONE, self.task(row))

    def test_of_many_that_let_it_proceed_one_does_and_all_are_answered_alike(self):
        row = self.held()
        results = self.together(16, lambda _number: self.repos.actions.take(Action.PROCEED, row.id))
        self.assertEqual(set(), self.codes(results))
        self.assertEqual({S.RUNNING}, {result.upgrade.state for result in results})
        self.assertEqual(1, sum(result.is_new for result in results))
        self.assertIs(Task.UPGRADING, self.task(row))

    def test_an_abort_wins_over_those_that_let_it_proceed_at_the_same_moment(self):
        for _ in range(_TIMES):
            row = self.held()
            kinds = (Action.ABORT, Action.PROCEED) * 4
            results = self.together(
                8,
                lambda number, row=row, kinds=kinds: self.repos.actions.take(kinds[number], row.id),
            )
            now = self.repos.upgrades.get(row.id)
            self.assertLessEqual(self.codes(results), {'PROCEED_REFUSED'})
            # whichever came first: Nova has been asked for nothing
            self.assertIs(S.ABORTED, now.state)
            self.assertEqual(1, self.kinds(row)['error'])
            self.assertIs(Task.NONE, self.task(row))

    def claimed(self):
        return self.repos.upgrades.claim(self.db.begin(self.db.add_instance()).id, 'tm', 60)

    def told(self, held):
        """The taskmanager writes that the guest is told to stop its database."""
        told = held.evolve(step=Step.QUIESCE, progress=held.progress.told_to_stop(1))
        return self.repos.upgrades.save(told)

    def beside_an_abort(self, held, act):
        """Results of `act` of the taskmanager and of an abort at the same moment, and the row."""
        acts = (lambda: act(held), lambda: self.repos.actions.take(Action.ABORT, held.id))
        acted, aborted = self.together(2, lambda number: acts[number]())
        return acted, aborted, self.repos.upgrades.get(held.id)

    def marked(self, held):
        """The taskmanager makes the marker of a rebuild, and has not asked for it."""
        began = held.began(Step.REBUILD, held.created_at, 100)
        asked = began.evolve(rebuild_attempt=1, progress=began.progress.rebuild_asked(1, 1))
        return self.repos.upgrades.save(asked.nova_unasked())

    def announced(self, held):
        """The taskmanager writes that it asks Nova."""
        return self.repos.held_upgrades.announce_post(held, 10)

    def asked(self, held):
        """The taskmanager asks for a rebuild, as far as its rows."""
        return self.announced(self.marked(held))

    def test_of_an_abort_and_a_call_to_nova_one_is_refused(self):
        for _, is_marked in itertools.product(range(_TIMES), (False, True)):
            held = self.told(self.claimed())
            if is_marked:
                held = self.marked(held)
            act = self.announced if is_marked else self.asked
            announced, aborted, now = self.beside_an_abort(held, act)
            if isinstance(aborted, Exception):
                self.assertEqual('ABORT_REFUSED', aborted.code)
                self.assertNotIsInstance(announced, Exception)
                self.assertIsNotNone(now.progress.rebuild.post_until)
            else:
                self.assertIsInstance(announced, exceptions.LeaseLost)
                self.assertTrue(now.is_undoing)
                self.assertIsNone(now.progress.rebuild.post_until)
            self.assertIs(S.RUNNING, now.state)

    def test_of_an_abort_and_the_word_to_the_guest_the_later_one_knows_of_the_earlier(self):
        for _ in range(_TIMES):
            told, aborted, now = self.beside_an_abort(self.claimed(), self.told)
            self.assertNotIsInstance(aborted, Exception)
            if isinstance(told, Exception):
                self.assertEqual((S.ABORTED, Task.NONE), (now.state, self.task(now)))
            else:
                self.assertEqual((S.RUNNING, Task.UPGRADING), (now.state, self.task(now)))
                self.assertTrue(now.is_undoing)

    def test_of_an_abort_and_the_end_of_the_upgrade_one_end_is_written(self):
        def end(held):
            return self.repos.upgrades.end(held, S.ABORTED, cause='c', error_code='CHECK')

        for _ in range(_TIMES):
            *_, now = self.beside_an_abort(self.claimed(), end)
            self.assertIs(S.ABORTED, now.state)
            self.assertEqual(1, self.kinds(now)['error'])
            self.assertIs(Task.NONE, self.task(now))

    def test_of_an_abort_and_a_hold_the_abort_wins(self):
        def hold(held):
            return self.repos.holds.hold(held, 60)

        for _ in range(_TIMES):
            _, aborted, now = self.beside_an_abort(self.claimed(), hold)
            self.assertNotIsInstance(aborted, Exception)
            self.assertEqual((S.ABORTED, Task.NONE), (now.state, self.task(now)))
            self.assertEqual(1, self.kinds(now)['error'])

    def test_of_many_that_retry_all_are_answered_with_one_attempt(self):
        row = self.db.begin()
        held = self.repos.upgrades.claim(row.id, 'tm', 60)
        self.repos.upgrades.end(held, S.FAILED, cause='c', error_code='E')
        results = self.together(16, lambda _number: self.repos.actions.take(Action.RETRY, row.id))
        self.assertEqual(set(), self.codes(results))
        self.assertEqual({2}, {result.upgrade.attempt for result in results})
        self.assertEqual(1, sum(result.is_new for result in results))
        self.assertIs(Task.UPGRADING, self.repos.instances.task(database.INSTANCE))


class TestMariaDB(ActionsOnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(ActionsOnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
