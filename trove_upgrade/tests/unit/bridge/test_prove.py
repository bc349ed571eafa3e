# SPDX-License-Identifier: Apache-2.0
"""An agent that was brought in is believed when it is heard under its key, and not before."""

from trove_upgrade.bridge.steps.prove import AgentNotHeard, Prove
from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain.bridge_runs import Member, MemberFacts, MemberState, MemberStep
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.tests.unit import base

KEY = 'key-1'


def word_under(key_id, server_state):
    """A heartbeat under this key."""
    return key_id, server_state


def a_member(key_id=KEY):
    return Member(
        run_id='r',
        instance_id='i',
        name='db',
        project_id='p',
        server_id='s',
        state=MemberState.RUNNING,
        step=MemberStep.PROVE,
        is_undoing=False,
        generation=1,
        facts=MemberFacts(bundle='sha', key_id=key_id),
    )


class TestProve(base.TestCase):
    def setUp(self):
        super().setUp()
        self.words = []  #: (key, server state) of each look; the last one stays
        self.time = 0.0
        self.saved = 0

    def word(self):
        return self.words[0] if self.words else None

    def heartbeat(self, instance_id):
        word = self.word()
        if word is None:
            return None
        return Heartbeat(
            instance_id=instance_id,
            boot_id='b',
            marker=None,
            restored=False,
            agent_version='1.2.3',
            server_version='10.5',
            server_state=word[1],
        )

    def heard_under(self, instance_id):
        word = self.word()
        return None if word is None else word[0]

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        if len(self.words) > 1:
            self.words.pop(0)

    def save(self, member):
        self.saved += 1
        return member

    def run_step(self, member=None):
        prove = Prove(heard=self, clock=self, pause=self, wait_seconds=60)
        return prove.run(member or a_member(), Visit(), self.save)

    def test_it_waits_until_the_agent_is_heard_under_its_key_with_a_database_that_runs(self):
        self.words = [
            None,
            word_under(None, ServerState.RUNNING),
            word_under('older', ServerState.RUNNING),
            word_under(KEY, ServerState.UNKNOWN),
            word_under(KEY, ServerState.RUNNING),
        ]
        done = self.run_step()
        self.assertIn('1.2.3', done.message)
        self.assertEqual(4, self.saved)

    def test_what_does_not_come_is_told_in_words(self):
        for word, told in (
            (None, 'no heartbeat of it came'),
            (word_under(None, ServerState.RUNNING), 'under the key'),
            (word_under('older', ServerState.RUNNING), 'under the key'),
            (word_under(KEY, ServerState.STOPPED), 'the database is stopped'),
        ):
            with self.subTest(told):
                self.words = [word] if word else []
                error = self.assertRaises(AgentNotHeard, self.run_step)
                self.assertIn(told, error.message)

    def test_of_the_removal_which_is_tried_afterwards_it_tells_nothing(self):
        error = self.assertRaises(AgentNotHeard, self.run_step)
        self.assertIn('started in instance i, and within 60 s', error.message)
        self.assertNotIn('remove', error.message)

    def test_a_member_without_a_key_proves_nothing(self):
        self.words = [word_under(None, ServerState.RUNNING)]
        self.assertRaises(AgentNotHeard, self.run_step, a_member(key_id=None))
