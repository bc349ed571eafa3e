# SPDX-License-Identifier: Apache-2.0
"""An action at every moment of a taskmanager's work: before and after each call that changes
something, on a real repository.
"""

import dataclasses

from trove_upgrade.db import models
from trove_upgrade.domain import exceptions, holds, instances, refusals, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.taskmanager import fakes, test_takeover
from trove_upgrade.tests.unit.taskmanager.test_takeover import SECOND, Pausewire

S, Step, Task = states.UpgradeState, states.Step, instances.Task


class RaceCase(test_takeover.TakeoverCase):
    def while_it_works(self, action, number, *, after):
        """Run an upgrade during which the action is taken once; its row in the end, and what the
        action came to.
        """
        self.new_stage()
        came_to = []

        def meanwhile():
            try:
                came_to.append(self.repos.actions.take(action, self.upgrade_id))
            except exceptions.TroveUpgradeError as error:
                came_to.append(error)

        first = self.runner(Pausewire(number, after, meanwhile))
        try:
            row = self.to_the_end(first)
        except exceptions.IllegalMove as error:  # a fault of ours
            raise AssertionError(error.message) from error
        if not came_to:  # the runner met its end before that moment
            meanwhile()
        return row, came_to[0]

    def kinds(self):
        rows = self.stage.db.rows(models.upgrade_outbox)
        return [event.kind for event in sorted(rows, key=lambda event: event.position)]

    def task(self):
        return self.repos.instances.get(database.INSTANCE).task


class TestAbort(RaceCase):
    def test_it_ends_the_upgrade_or_comes_too_late_and_never_both(self):
        seen = set()
        for number, after in self.moments(Pausewire()):
            with self.subTest(paused_at=number, after=after):
                row, result = self.while_it_works(Action.ABORT, number, after=after)
                if isinstance(result, refusals.AbortRefused):
                    self.assert_completed_once(row)
                else:
                    self.assertNotIsInstance(result, Exception)
                    self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
                    self.assertEqual([], self.stage.nova.rebuilds)
                    self.assertEqual(['start', 'error'], self.kinds())
                told = bool(self.stage.guest.asked('pre_upgrade'))
                undone = bool(self.stage.guest.asked('abort_upgrade'))
                if row.state is S.ABORTED and told:
                    self.assertTrue(undone)
                self.assertIs(Task.NONE, self.task())
                seen.add((row.state, told))
        self.assertEqual({(S.ABORTED, False), (S.ABORTED, True), (S.COMPLETED, True)}, seen)


class TestHold(RaceCase):
    def new_stage(self):
        self.stage = self.useFixture(fakes.Stage())
        self.repos, self.clock = self.stage.repos, self.stage.clock
        self.stage.db.follow_clock(self.clock.now)
        self.upgrade_id = self.stage.db.begin(choices=holds.Choices(hold=True)).id

    def runner(self, wire):
        runner = super().runner(wire)
        return dataclasses.replace(runner, held=wire.wrap(runner.held, 'hold'))

    def until_it_waits(self, runner):
        """As a scheduler does it, until the upgrade is held or has ended."""
        for _ in range(60):
            if self.repos.upgrades.due(1):
                runner.run(self.upgrade_id)
            row = self.repos.upgrades.get(self.upgrade_id)
            if row.state is S.HELD or row.ended_at is not None:
                return row
            self.clock.pass_time(test_takeover.LOOK)
        raise AssertionError(f'it neither waits nor ends: {row}')

    def held_moments(self):
        wire = Pausewire()
        self.until_it_waits(self.runner(wire))
        self.assertGreater(wire.count, 2)
        return [(number, after) for number in range(1, wire.count + 1) for after in (False, True)]

    def test_an_abort_while_it_is_prepared_ends_it_untouched(self):
        for number, after in self.held_moments():
            with self.subTest(paused_at=number, after=after):
                self.new_stage()
                taken = []

                def meanwhile(taken=taken):
                    taken.append(self.repos.actions.take(Action.ABORT, self.upgrade_id))

                row = self.until_it_waits(self.runner(Pausewire(number, after, meanwhile)))
                self.assertEqual(1, len(taken))
                self.assertEqual((S.ABORTED, 'ABORTED_ON_REQUEST'), (row.state, row.error_code))
                self.assertEqual([], self.stage.guest.asked('pre_upgrade'))
                self.assertIs(Task.NONE, self.task())
                self.assertEqual(1, self.kinds().count('error'))

    def test_another_taskmanager_that_takes_it_over_holds_it_once(self):
        for number, after in self.held_moments():
            with self.subTest(paused_at=number, after=after):
                self.new_stage()

                def meanwhile():
                    self.clock.pass_time(test_takeover.LEASE)
                    self.until_it_waits(self.stage.runner(SECOND))

                row = self.until_it_waits(self.runner(Pausewire(number, after, meanwhile)))
                self.assertEqual((S.HELD, None), (row.state, row.owner))
                self.assertIs(Task.NONE, self.task())
                self.assertEqual(['start', 'held'], self.kinds())
