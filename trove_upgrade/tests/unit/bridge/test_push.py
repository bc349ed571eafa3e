# SPDX-License-Identifier: Apache-2.0
"""Step `push` of a member: intents before effects, one key whatever happens, and all of it back."""

import dataclasses

from trove_upgrade.bridge.pusher import Pusher
from trove_upgrade.bridge.reach.errors import ConnectionLost
from trove_upgrade.bridge.steps.prove import AgentNotHeard
from trove_upgrade.bridge.steps.push import Push
from trove_upgrade.bridge.steps.removal import Removal
from trove_upgrade.domain.bridge_runs import MemberState, MemberStep
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.tests.unit.bridge.neutron import Dead
from trove_upgrade.tests.unit.bridge.shells import STAGING, Bundle, GuestShell
from trove_upgrade.tests.unit.bridge.test_runner import (
    FIRST,
    SECOND,
    Buried,
    RunnerTestCase,
    Stepped,
    run_next,
)

S, T = MemberState, MemberStep


class Keys:
    """Keys by instance and marker."""

    def __init__(self):
        self.minted = {}
        self.discarded = []
        self.on_minted = lambda: None

    def mint(self, instance_id, marker):
        key = self.minted.setdefault((instance_id, marker), GuestKey.new(instance_id))
        self.on_minted()
        return key

    def minted_for(self, instance_id, marker):
        return self.minted.get((instance_id, marker))

    def find(self, instance_id, key_id):
        return next((key for key in self.minted.values() if key.id == key_id), None)

    def discard(self, key):
        self.discarded.append(key.id)
        self.minted = {place: one for place, one in self.minted.items() if one != key}


class PushCase(RunnerTestCase):
    def setUp(self):
        super().setUp()
        self.shell = GuestShell()
        self.keys = Keys()
        self.agents = self.world.db.repositories.guests
        enter = self.guests.log_in

        def log_in(*arguments):
            enter(*arguments)
            self.shell.is_open = True
            self.guests.shells[-1] = self.shell
            return self.shell

        self.guests.log_in = log_in
        self.door = self.a_door()
        self.push = Push(
            door=self.door,
            pusher=Pusher(bundle=Bundle(), operators_text=''),
            keys=self.keys,
            manager_of=lambda instance_id: 'mariadb',
        )
        self.removal = Removal(door=self.door, keys=self.keys, agents=self.agents)
        self.steps = {
            step: dataclasses.replace(one, door=self.door) for step, one in self.steps.items()
        }
        self.steps[T.PUSH] = self.push

    def a_runner(self, owner='host-1'):
        return dataclasses.replace(super().a_runner(owner), remove=self.removal.remove)

    def hear(self, instance_id=FIRST):
        """The agent is heard in a guest."""
        self.agents.record(
            Heartbeat(
                instance_id=instance_id,
                boot_id='b',
                marker=None,
                restored=False,
                agent_version='1.2.3',
                server_version=None,
                server_state=ServerState.RUNNING,
            )
        )

    def commands(self):
        return [words[0] for words in self.shell.commands if words[0] != 'inspect']


class TestPush(PushCase):
    def test_the_agent_is_brought_in_with_the_key_that_the_row_names(self):
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual(S.COMPLETED, member.state, member.cause)
        [key] = self.keys.minted.values()
        self.assertEqual((Bundle.sha256, key.id), (member.facts.bundle, member.facts.key_id))
        self.assertEqual(key.to_file(), self.shell.files[f'{STAGING}/guest.key'])
        message = next(run.message for run in member.steps if run.step == T.PUSH)
        self.assertIn('beside trove-guestagent (debian 11, sysv)', message)
        self.is_left()

    def test_the_row_names_bundle_and_key_before_the_first_change(self):
        run_id = self.begun()
        rows = []

        def note(what):
            [member] = self.runs.members(run_id)
            rows.append((member.facts.bundle, member.facts.key_id))

        self.shell.on_effect = note
        member = run_next(self.a_runner(), run_id)
        self.assertEqual({(Bundle.sha256, member.facts.key_id)}, set(rows))

    def test_a_guest_that_cannot_have_it_is_closed_and_nothing_is_removed(self):
        self.shell.facts['libc'] = '2.17'
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, 'BRIDGE_GUEST_LIBC_TOO_OLD'), (member.state, member.error_code))
        self.assertEqual(([], {}), (self.commands(), self.keys.minted))
        self.assertIsNone(member.facts.bundle)
        self.is_left()

    def test_a_push_that_fails_is_removed_and_its_key_is_forgotten(self):
        self.shell.answers['start'] = (1, '', 'it ended')
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, 'BRIDGE_AGENT_NOT_STARTED'), (member.state, member.error_code))
        self.assertEqual('remove', self.commands()[-1])
        self.assertEqual(({}, [member.facts.key_id]), (self.keys.minted, self.keys.discarded))
        self.is_left()

    def test_an_agent_that_was_heard_and_is_removed_is_forgotten_and_no_other(self):
        self.hear(SECOND)
        self.steps[T.PROVE] = Stepped(self.heard_and_refused)
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, 'remove'), (member.state, self.commands()[-1]))
        self.assertEqual(
            (None, '1.2.3'),
            (
                self.agents.heartbeat(FIRST),
                self.agents.heartbeat(SECOND).agent_version,
            ),
        )

    def heard_and_refused(self, member, visit, save):
        self.hear()
        raise AgentNotHeard(instance_id=FIRST, seconds=1, found='the database is STOPPED')

    def test_an_agent_that_could_not_be_removed_is_remembered(self):
        self.shell.answers.update(start=(1, '', 'it ended'), remove=(1, '', 'no way'))
        self.shell.on_effect = lambda what: self.hear() if what == 'start' else None
        run_next(self.a_runner(), self.begun())
        self.assertIsNotNone(self.agents.heartbeat(FIRST))

    def test_what_cannot_be_removed_keeps_its_key_and_is_told(self):
        self.shell.answers.update(start=(1, '', 'it ended'), remove=(1, '', 'no way'))
        member = run_next(self.a_runner(), self.begun())
        self.assertIn('no way', member.facts.not_removed)
        self.assertEqual([], self.keys.discarded)
        self.is_left()

    def test_a_connection_that_is_lost_is_a_failure_that_is_removed_over_a_new_one(self):
        def lose(what):
            if what == 'unpack':
                self.shell.on_effect = lambda what: None
                self.shell.close()
                raise ConnectionLost(address='a', port=22, route='r', found='gone')

        self.shell.on_effect = lose
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, 'REACH_LOST'), (member.state, member.error_code))
        self.assertEqual('remove', self.commands()[-1])


class TestKilledPush(PushCase):
    EFFECTS = ('prepare', 'verify', 'unpack', 'self-test', 'configure', 'start')

    def die(self):
        raise Dead

    def killed_before(self, effect):
        self.shell.on_effect = lambda what: self.die() if what == effect else None
        return self.killed()

    def killed(self):
        runner = dataclasses.replace(self.a_runner('killed'), door=Buried())
        run_id = self.begun()
        self.assertRaises(Dead, run_next, runner, run_id)
        self.shell.on_effect = lambda what: None
        self.keys.on_minted = lambda: None
        self.let_all_leases_end()
        return run_id

    def test_another_host_goes_on_with_the_same_key(self):
        for effect in (*self.EFFECTS, f'{STAGING}/guest.key'):
            with self.subTest(effect):
                run_id = self.killed_before(effect)
                [(_, key)] = [
                    one for one in self.keys.minted.items() if one[0] == (FIRST, f'bridge:{run_id}')
                ]
                member = run_next(self.a_runner('host-2'), run_id)
                self.assertEqual((S.COMPLETED, key.id), (member.state, member.facts.key_id))
                self.assertEqual(key.to_file(), self.shell.files[f'{STAGING}/guest.key'])

    def test_an_operators_end_removes_what_the_killed_one_had_begun(self):
        for effect in self.EFFECTS:
            with self.subTest(effect):
                run_id = self.killed_before(effect)
                self.runs.abort(run_id)
                member = run_next(self.a_runner('host-2'), run_id)
                self.assertEqual(S.ABORTED, member.state)
                self.assertEqual('remove', self.commands()[-1])
                self.assertEqual({}, self.keys.minted)

    def test_a_key_that_no_row_names_yet_is_forgotten_too(self):
        self.keys.mint(SECOND, 'bridge:another')
        self.keys.on_minted = self.die
        run_id = self.killed()
        [member] = self.runs.members(run_id)
        self.assertIsNone(member.facts.key_id)
        self.assertIn((FIRST, f'bridge:{run_id}'), self.keys.minted)
        self.runs.abort(run_id)
        run_next(self.a_runner('host-2'), run_id)
        self.assertEqual([(SECOND, 'bridge:another')], list(self.keys.minted))
