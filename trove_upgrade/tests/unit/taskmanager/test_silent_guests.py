# SPDX-License-Identifier: Apache-2.0
"""Many guests that keep workers waiting, and one whose upgrade has nothing to do with them: in
simulated time, with the real runner and rows.
"""

import dataclasses
import itertools

from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.fair_queue import Job
from trove_upgrade.taskmanager.healing import Healer
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes, simulation

MANY = 24
#: A healthy row is looked at every second, and each run takes a hundredth.
SECONDS = 45
TURNS_ALONE = 45


def highest(_low, high):
    return high


class SilentGuestsCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.clock = self.stage.clock
        self.simulation = simulation.Simulation(self.clock, self.runs)
        self.healthy = self.begin('healthy-project')

    def runs(self, guests, run_clock):
        calls = dataclasses.replace(self.stage.calls, clock=run_clock)
        step = simulation.AskingStep(guests, calls)
        known = self.stage.runner()
        runner = dataclasses.replace(
            known,
            steps=dict.fromkeys(states.STEPS, step),
            clock=run_clock,
            step_runner=dataclasses.replace(known.step_runner, clock=run_clock, uniform=highest),
        )
        self.healer = Healer(
            upgrades=self.stage.repos.upgrades,
            guests=self.stage.repos.guests,
            agent=guests,
            calls=calls,
            timeout_seconds=100,
            uniform=highest,
        )
        return {'upgrade': runner.run, 'heal': self.healer.run}

    def begin(self, project, *seconds):
        """An upgrade that waits for a worker; `seconds` as Guests.take."""
        instance_id = self.stage.db.add_instance(project_id=project)
        if seconds:
            self.simulation.guests.take(instance_id, *seconds)
        row = self.stage.db.begin(instance_id)
        self.simulation.agenda.put(Job('upgrade', Turn(row.id, project)))
        return row

    def completed(self, project):
        """Its root disk is new again."""
        instance_id = self.stage.db.add_instance(project_id=project)
        self.simulation.guests.take(instance_id, None)
        row = self.stage.db.begin(instance_id)
        upgrades = self.stage.repos.upgrades
        ended = upgrades.end(
            upgrades.claim(row.id, 'tm', 60), states.UpgradeState.COMPLETED
        ).upgrade
        self.stage.repos.guests.record(
            Heartbeat(
                instance_id=instance_id,
                boot_id=fakes.NEW_BOOT,
                marker=ended.marker,
                restored=False,
                agent_version='1.0',
                server_version=None,
                server_state=ServerState.STOPPED,
            )
        )
        return ended

    def turns(self, row):
        return len(self.simulation.turns_of(row.id))


class TestSilentGuests(SilentGuestsCase):
    def test_alone_it_has_its_turns(self):
        self.simulation.run_for(SECONDS)
        self.assertEqual(TURNS_ALONE, self.turns(self.healthy))

    def test_beside_24_silent_guests_of_another_project_it_has_as_many(self):
        for _ in range(MANY):
            self.begin('silent-project', None)
        self.simulation.run_for(SECONDS)
        self.assertEqual(TURNS_ALONE, self.turns(self.healthy))

    def test_beside_24_slow_ones_that_answer_at_the_last_moment_too(self):
        for _ in range(MANY):
            self.begin('slow-project', 14.9)
        self.simulation.run_for(SECONDS)
        self.assertEqual(TURNS_ALONE, self.turns(self.healthy))

    def test_beside_24_that_answer_every_other_call_too(self):
        for _ in range(MANY):
            self.begin('moody-project', 0.0, None)
        self.simulation.run_for(SECONDS)
        self.assertEqual(TURNS_ALONE, self.turns(self.healthy))

    def test_beside_24_that_must_be_healed_and_do_not_answer_too(self):
        """Their heartbeats ask for it each second."""
        healed = [self.completed('silent-project') for _ in range(MANY)]
        for _ in range(SECONDS):
            for row in healed:
                self.simulation.agenda.put(Job('heal', Turn(row.id, row.project_id, is_slow=True)))
            self.simulation.run_for(1)
        self.assertEqual(TURNS_ALONE, self.turns(self.healthy))

    def test_one_that_must_be_healed_and_does_not_answer_rests(self):
        """Its heartbeats ask for it all the time."""
        ended = self.completed('silent-project')
        asked = self.simulation.guests.calls
        for _ in range(20):
            self.healer.run(ended.id)
        self.assertEqual(1, len(asked))
        self.clock.pass_time(31)
        for _ in range(20):
            self.healer.run(ended.id)
        self.assertEqual(2, len(asked))

    def test_a_nudge_shortens_no_rest_of_a_silent_guest(self):
        """Put in again while it ran, as its own heartbeats do."""
        silent = self.begin('silent-project', None)
        turn = Turn(silent.id, 'silent-project')
        for _ in range(SECONDS):
            self.simulation.run_for(1)
            self.simulation.agenda.put(Job('upgrade', turn))
        unanswered, pauses = self.simulation.turns_of(silent.id), []
        for one, following in itertools.pairwise(unanswered):
            pauses.append(following[0] - one[0] - one[2])
        self.assertTrue(all(pause > 0.9 for pause in pauses), pauses)

    def test_beside_silent_guests_of_24_projects_each_is_waited_for_once_and_then_it_has_its_turns(
        self,
    ):
        """Nothing is known of them at first: three times eight workers wait for 15 s."""
        for number in range(MANY):
            self.begin(f'silent-{number}', None)
        self.simulation.run_for(46)
        before = self.turns(self.healthy)
        self.assertGreaterEqual(before, 2, 'and a turn in between each time')
        self.simulation.run_for(SECONDS)
        self.assertGreaterEqual(self.turns(self.healthy) - before, TURNS_ALONE - 1)

    def test_a_silent_guest_is_asked_less_and_less_often(self):
        silent = self.begin('silent-project', None)
        self.simulation.run_for(300)
        moments = [
            moment for moment, asked in self.simulation.guests.calls if asked == silent.instance_id
        ]
        pauses = [
            round(later - earlier - simulation.CALL_SECONDS)
            for earlier, later in itertools.pairwise(moments)
        ]
        self.assertEqual([2, 4, 8, 16, 30, 30], pauses[:6])

    def test_what_is_known_of_it_moves_to_another_taskmanager_with_the_row(self):
        silent = self.begin('silent-project', None)
        self.simulation.run_for(30)
        self.assertEqual(2 * 2, self.stage.repos.upgrades.get(silent.id).stalls)
        self.stage.db.pass_time(3600)
        self.assertEqual(
            {silent.id: True, self.healthy.id: False},
            {turn.id: turn.is_slow for turn in self.stage.repos.upgrades.due(10)},
        )

    def test_its_answers_make_it_a_prompt_one_again(self):
        back = self.begin('project', None, *[0.0] * 30)
        self.simulation.run_for(25)
        self.assertEqual(0, self.stage.repos.upgrades.get(back.id).stalls)

    def test_a_retry_begins_without_what_was_known(self):
        silent = self.begin('silent-project', None)
        self.simulation.run_for(40)
        upgrades = self.stage.repos.upgrades
        upgrades.end(
            upgrades.claim(silent.id, 'tm', 60), states.UpgradeState.FAILED, cause='it was silent'
        )
        self.assertEqual(0, upgrades.retry(silent.id).stalls)


#: By name: of whom the error speaks that ends a call of 15 s while the guest itself is well.
OUTAGES = {
    'the broker, for a question': lambda method, call: exceptions.GuestNotAsked(
        instance_id=call.instance_id, method=method, timeout_seconds=simulation.CALL_SECONDS
    ),
    'the broker, for a message': lambda *_: exceptions.MessagingUnavailable(
        what='RPC', found='no broker'
    ),
    'Nova': lambda *_: exceptions.ComputeUnavailable(what='a server', found='timed out'),
}


class TestOutages(SilentGuestsCase):
    """Of the broker or of Nova: no guest is silent, and when it is over all go on."""

    OUTAGE_SECONDS = 400

    def outage(self, error):
        self.simulation.guests.outage = error
        self.simulation.run_for(self.OUTAGE_SECONDS)
        self.simulation.guests.outage = None
        return self.clock.monotonic()

    def test_no_row_counts_as_silent(self):
        for name, error in OUTAGES.items():
            with self.subTest(name):
                self.outage(error)
                self.assertEqual(0, self.stage.repos.upgrades.get(self.healthy.id).stalls)
                self.simulation.run_for(20)

    def test_it_goes_on_within_seconds(self):
        for name, error in OUTAGES.items():
            with self.subTest(name):
                over = self.outage(error)
                self.simulation.run_for(simulation.CALL_SECONDS + 30)
                asked = min(
                    moment
                    for moment, _, waited in self.simulation.turns_of(self.healthy.id)
                    if moment >= over and not waited
                )
                self.assertLessEqual(
                    asked - over,
                    simulation.CALL_SECONDS + 4.1,
                    'the call that was under way, and the pause after it',
                )

    def test_its_guest_may_speak_up_before_the_pause_is_over(self):
        """Its heartbeats come through the broker again."""
        for name, error in OUTAGES.items():
            with self.subTest(name):
                self.outage(error)
                self.assertIsNotNone(self.stage.repos.upgrades.turn(self.healthy.id))
                self.simulation.run_for(20)

    def test_a_guest_that_was_silent_before_stays_a_silent_one(self):
        silent = self.begin('silent-project', None)
        self.simulation.run_for(60)
        before = self.stage.repos.upgrades.get(silent.id).stalls
        self.outage(OUTAGES['Nova'])
        self.assertEqual(
            (True, before), (before > 0, self.stage.repos.upgrades.get(silent.id).stalls)
        )

    def test_one_that_must_be_healed_is_asked_again_within_seconds_too(self):
        healed = self.completed('project')
        self.simulation.guests.outage = OUTAGES['the broker, for a question']
        for _ in range(200):
            self.simulation.agenda.put(
                Job('heal', Turn(healed.id, healed.project_id, is_slow=True))
            )
            self.simulation.run_for(1)
        moments = [
            moment for moment, asked in self.simulation.guests.calls if asked == healed.instance_id
        ]
        pauses = [
            later - earlier - simulation.CALL_SECONDS
            for earlier, later in itertools.pairwise(moments)
        ]
        self.assertLessEqual(max(pauses), 6)


class TestNudgesOfSilentGuests(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.upgrades = self.stage.repos.upgrades
        self.row = self.stage.db.begin()

    def wait(self, stalls):
        held = self.upgrades.claim(self.row.id, 'tm', 60)
        self.upgrades.save(held.evolve(stalls=stalls), release_for_seconds=30)

    def test_one_that_rests_is_not_put_in_by_its_own_heartbeats(self):
        self.wait(6)
        self.assertIsNone(self.upgrades.turn(self.row.id))
        self.stage.db.pass_time(31)
        self.assertEqual(
            Turn(self.row.id, database.PROJECT, is_slow=True), self.upgrades.turn(self.row.id)
        )

    def test_one_that_answered_last_is_put_in_before_its_time(self):
        self.wait(0)
        self.assertEqual(Turn(self.row.id, database.PROJECT), self.upgrades.turn(self.row.id))


class TestDue(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())

    def test_a_limit_leaves_out_no_project(self):
        for _ in range(20):
            self.db.begin(self.db.add_instance(project_id='many'))
        late = self.db.begin(self.db.add_instance(project_id='one'))
        self.assertIn(late.id, [turn.id for turn in self.db.repositories.upgrades.due(2)])

    def test_nor_do_checks(self):
        checks, instances = self.db.repositories.checks, self.db.repositories.instances
        target = self.db.repositories.datastores.version_by_id(database.MARIADB_11_8)
        for _ in range(20):
            checks.begin(instances.get(self.db.add_instance(project_id='many')), target)
        late = checks.begin(instances.get(self.db.add_instance(project_id='one')), target)
        self.assertIn(late.id, [turn.id for turn in checks.due(2)])
