# SPDX-License-Identifier: Apache-2.0
"""Taskmanagers that die or stand still at any moment, and the one that goes on: on a real
repository, with one clock for the database and for all of them.
"""

import dataclasses
import itertools

from trove_upgrade.db import models, trove_tables
from trove_upgrade.domain import exceptions, states
from trove_upgrade.taskmanager import holdings
from trove_upgrade.taskmanager.checks import CheckRunner
from trove_upgrade.taskmanager.recovery import Recovery
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.guestagent.fakes import Killed, Tripwire
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step = states.UpgradeState, states.Step
FIRST, SECOND = 'host-1/1.2.0123abcd-00000001', 'host-2/3.4.0123abcd-00000002'
LEASE, LOOK, POST = 15, 2, 12
_TABLES = (
    models.instance_upgrades,
    models.upgrade_outbox,
    models.upgrade_checks,
    trove_tables.instances,
    trove_tables.service_statuses,
)


class Pausewire(Tripwire):
    """Stands still before or after one of the calls, while `meanwhile` happens."""

    def __init__(self, pause_at=None, after=False, meanwhile=None):
        super().__init__(pause_at, after)
        self.meanwhile = meanwhile

    def around(self, effect):
        self.count += 1
        paused = self.count == self.kill_at
        if paused and not self.after:
            self.meanwhile()
        try:
            return effect()
        finally:
            if paused and self.after:
                self.meanwhile()


class TakeoverCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.new_stage()

    def new_stage(self):
        self.stage = self.useFixture(fakes.Stage())
        self.repos, self.clock = self.stage.repos, self.stage.clock
        self.stage.db.follow_clock(self.clock.now)
        self.upgrade_id = self.stage.db.begin().id

    def runner(self, wire):
        """The first taskmanager, whose every call that changes something goes through `wire`."""
        runner = self.stage.runner(FIRST)
        held = wire.wrap(self.repos.held_upgrades, 'announce_post', 'tell')
        upgrades = wire.wrap(runner.upgrades, 'claim', 'save', 'end')
        steps, undo = {**runner.steps}, runner.undo
        for step in (Step.QUIESCE, Step.REBUILD, Step.RESTORE, Step.VERIFY):
            agent = wire.wrap(steps[step].agent, 'pre_upgrade', 'post_upgrade', 'verify_upgrade')
            steps[step] = dataclasses.replace(steps[step], agent=agent)
        steps[Step.REBUILD] = dataclasses.replace(
            steps[Step.REBUILD],
            held=held,
            nova=self.nova_of(wire),
            instances=wire.wrap(self.repos.instances, 'holder'),
        )
        endings = dataclasses.replace(runner.endings, held=held, upgrades=upgrades)
        return dataclasses.replace(
            runner, upgrades=upgrades, endings=endings, steps=steps, undo=undo
        )

    def nova_of(self, wire):
        return wire.wrap(self.stage.nova, 'rebuild')

    def beat_if_booting(self):
        row = self.repos.upgrades.get(self.upgrade_id)
        if row.step is Step.BOOT and row.state is S.RUNNING:
            self.stage.heartbeat(row)
        return row

    def to_the_end(self, runner, seconds=60):
        """As a scheduler does it: what is due is run, and a look is taken every LOOK seconds."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            if self.repos.upgrades.due(1):
                runner.run(self.upgrade_id)
            row = self.beat_if_booting()
            if row.ended_at is not None:
                return row
            self.clock.pass_time(LOOK)
        raise AssertionError(f'it does not end: {row}')

    def calls_of_a_whole_upgrade(self, wire):
        self.to_the_end(self.runner(wire))
        self.new_stage()
        return wire.count

    def moments(self, wire):
        """Each call of a whole upgrade that changes something, before it and after it."""
        count = self.calls_of_a_whole_upgrade(wire)
        self.assertGreater(count, 20)
        return itertools.product(range(1, count + 1), (False, True))

    def assert_completed_once(self, row):
        self.assertEqual((S.COMPLETED, None), (row.state, row.cause))
        self.assertEqual([f'{row.id}:1'], [call[2] for call in self.stage.nova.rebuilds])
        self.assertEqual(
            ['start', 'open', 'end', 'finish'],
            [
                event.kind
                for event in sorted(
                    self.stage.db.rows(models.upgrade_outbox), key=lambda event: event.position
                )
            ],
        )
        found = self.repos.instances.get(database.INSTANCE)
        self.assertEqual(
            (database.MARIADB_11_8, 'healthy'), (found.version.id, found.service_status)
        )


class TestDeath(TakeoverCase):
    def killed(self, kill_at, *, after):
        """Run the first taskmanager until it is killed; it may end before that."""
        try:
            self.to_the_end(self.runner(Tripwire(kill_at, after)))
        except Killed:
            return True
        return False

    def test_another_host_goes_on_within_thirty_seconds_whatever_the_first_one_was_doing(self):
        for number, after in self.moments(Tripwire()):
            with self.subTest(killed_at=number, after=after):
                self.new_stage()
                self.assertTrue(self.killed(number, after=after))
                before = self.clock.monotonic()
                self.assert_completed_once(self.to_the_end(self.stage.runner(SECOND)))
                self.assertLess(self.clock.monotonic() - before, 30)

    def test_the_next_on_the_same_host_goes_on_at_its_first_look(self):
        for number, after in self.moments(Tripwire()):
            with self.subTest(killed_at=number, after=after):
                self.new_stage()
                self.assertTrue(self.killed(number, after=after))
                before = self.clock.monotonic()
                allowed = POST if self.may_a_post_arrive() else 0
                self.look(dead={FIRST})
                self.assert_completed_once(self.to_the_end(self.stage.runner(SECOND)))
                self.assertLessEqual(self.clock.monotonic() - before, allowed + 3 * LOOK)

    def may_a_post_arrive(self):
        """One that was announced and has not arrived: the only thing that is waited for."""
        row = self.repos.upgrades.get(self.upgrade_id)
        return row.progress.rebuild.post_until is not None and not self.stage.nova.rebuilds

    def look(self, dead):
        Recovery(
            upgrades=self.repos.upgrades,
            checks=self.repos.checks,
            put_upgrade=lambda turn: None,
            put_check=lambda turn: None,
            held=(self.repos.held_upgrades, self.repos.held_checks),
            has_ended=dead.__contains__,
        ).run_once()

    def test_a_lease_of_one_whose_end_is_not_certain_is_waited_for(self):
        self.assertTrue(self.killed(5, after=True))
        self.look(dead={SECOND})
        self.assertEqual([], self.repos.upgrades.due(1))
        self.clock.pass_time(LEASE)
        self.assertEqual(1, len(self.repos.upgrades.due(1)))

    def test_a_post_that_has_arrived_is_found_at_once_and_one_that_has_not_is_waited_for(self):
        for arrived in (True, False):
            with self.subTest(arrived=arrived):
                self.new_stage()
                self.assertTrue(self.killed(self.call_to_nova, after=arrived))
                self.look(dead={FIRST})
                self.stage.runner(SECOND).run(self.upgrade_id)
                row = self.repos.upgrades.get(self.upgrade_id)
                self.assertEqual(1 if arrived else 0, len(self.stage.nova.rebuilds))
                self.assertIs(Step.BOOT if arrived else Step.REBUILD, row.step)
                if not arrived:
                    self.assertIn('may still arrive', row.steps[-1].message)
                    self.clock.pass_time(POST - 1)
                    self.stage.runner(SECOND).run(self.upgrade_id)
                    self.assertEqual([], self.stage.nova.rebuilds)
                    self.clock.pass_time(1)
                    self.stage.runner(SECOND).run(self.upgrade_id)
                    self.assertEqual(1, len(self.stage.nova.rebuilds))

    def test_a_post_that_arrives_while_it_is_waited_for_is_found(self):
        self.assertTrue(self.killed(self.call_to_nova, after=False))
        self.look(dead={FIRST})
        self.stage.runner(SECOND).run(self.upgrade_id)
        row = self.repos.upgrades.get(self.upgrade_id)
        self.stage.nova.rebuild(
            self.stage.nova.state, database.IMAGE_11_8, row.marker, fakes.USER_DATA
        )
        self.clock.pass_time(1)
        self.stage.runner(SECOND).run(self.upgrade_id)
        self.assertIs(Step.BOOT, self.repos.upgrades.get(self.upgrade_id).step)
        self.assert_completed_once(self.to_the_end(self.stage.runner(SECOND)))

    @property
    def call_to_nova(self):
        """The number of the one call that asks Nova, among those that a wire counts."""
        numbers, stage = [], self.stage
        self.new_stage()
        wire = Tripwire()
        runner = self.runner(wire)
        real = runner.steps[Step.REBUILD].nova

        class Counted:
            def __getattr__(self, name):
                if name == 'rebuild':
                    numbers.append(wire.count + 1)
                return getattr(real, name)

        rebuild = dataclasses.replace(runner.steps[Step.REBUILD], nova=Counted())
        steps = {**runner.steps, Step.REBUILD: rebuild}
        self.to_the_end(dataclasses.replace(runner, steps=steps))
        self.stage = stage
        self.repos, self.clock = stage.repos, stage.clock
        [upgrade] = stage.db.rows(models.instance_upgrades)
        self.upgrade_id = upgrade.id
        return numbers[0]


class TestPause(TakeoverCase):
    """A process that stands still for longer than its lease, as by SIGSTOP, and comes back."""

    def nova_of(self, wire):
        return self.stage.nova  # the last thing before it is a read of the instance's task

    def everything(self):
        rows = {table.name: self.stage.db.rows(table) for table in _TABLES}
        return rows, list(self.stage.guest.calls), list(self.stage.nova.rebuilds)

    def test_it_changes_nothing_wherever_it_stood_still(self):
        for number, after in self.moments(Pausewire()):
            with self.subTest(paused_at=number, after=after):
                self.new_stage()
                seen = []

                def meanwhile(seen=seen):
                    self.clock.pass_time(LEASE + POST)
                    self.assert_completed_once(self.to_the_end(self.stage.runner(SECOND)))
                    seen.append(self.everything())

                wire = Pausewire(number, after, meanwhile)
                try:
                    self.to_the_end(self.runner(wire))
                except exceptions.IllegalMove as error:  # a fault of ours
                    raise AssertionError(error.message) from error
                self.assertEqual(1, len(seen))
                self.assertEqual(seen[0], self.everything())


class TestChecks(TakeoverCase):
    def setUp(self):
        super().setUp()
        repos = self.repos
        self.check_id = repos.checks.begin(
            repos.instances.get(database.OTHER_INSTANCE),
            repos.datastores.version_by_id(database.MARIADB_11_8),
        ).id

    def check_runner(self, owner, pause=lambda seconds: None):
        return CheckRunner(
            checks=self.repos.checks,
            preflight=self.stage.preflight,
            calls=self.stage.calls,
            pause=pause,
            holdings=holdings.of_checks(self.repos.held_checks, self.clock, owner, LEASE),
            timeout_seconds=60,
            guests=self.repos.guests,
        )

    def test_one_that_was_left_by_a_death_is_made_by_another_after_one_lease(self):
        self.repos.checks.claim(self.check_id, FIRST, LEASE)
        self.check_runner(SECOND).run(self.check_id)
        self.assertEqual('RUNNING', self.found().state)
        self.clock.pass_time(LEASE)
        self.check_runner(SECOND).run(self.check_id)
        self.assertEqual('COMPLETED', self.found().state)

    def test_one_that_stood_still_keeps_the_report_of_the_one_that_went_on(self):
        first = self.check_runner(FIRST)
        meant = []

        def meanwhile():
            self.clock.pass_time(LEASE)
            self.check_runner(SECOND).run(self.check_id)
            meant.append(self.found())

        self.stage.guest.before('check_upgrade', meanwhile)
        first.run(self.check_id)
        self.assertEqual('COMPLETED', meant[0].state)
        self.assertEqual(meant[0], self.found())

    def found(self):
        return self.repos.checks.get(self.check_id, database.OTHER_INSTANCE)
