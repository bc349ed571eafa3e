# SPDX-License-Identifier: Apache-2.0
"""Guest agents that are killed while a taskmanager waits for their answer: real processes, one real
broker.
"""

from trove_upgrade.rpc import answer_wait
from trove_upgrade.tests.functional.rolling import world

_SHORT, _LONG = 'guest_call_timeout = 2', 'guest_call_timeout = 600'
_SILENT = 'did not answer'


class AgentKilledTest(world.WorldCase):
    join_seconds = 2 * answer_wait.ALIVE_SECONDS

    def setUp(self):
        super().setUp()
        self.assert_tool(0, 'db', 'expand')
        text = self.configuration.read_text(encoding='utf-8')
        self.assertIn(_SHORT, text)
        self.configuration.write_text(text.replace(_SHORT, _LONG), encoding='utf-8')
        self.start_cygnus()
        self.guest = self.create(world.FORMER_NEW_AGENT)
        # signs are asked of agents alone that have answered: the first call would wait to its end
        self.wait_until(
            lambda: self.repositories.guests.heard(self.guest.instance_id, 60),
            'the first heartbeat',
        )

    def begin_held(self, step):
        self.guest.hold(step)
        upgrade_id = self.upgrade(self.guest)
        self.wait_for_step(upgrade_id, step)
        self.wait_until(lambda: self.guest.has_reached(step), 'the work of the agent')
        return upgrade_id

    def word(self, upgrade_id):
        """What the step waits for."""
        return self.row(upgrade_id).steps[-1].message or ''

    def wait_until_missed(self, upgrade_id):
        self.wait_until(
            lambda: f'{_SILENT} ' in self.word(upgrade_id), 'the word that it gives no answer'
        )
        self.assertIn(f'within {answer_wait.ALIVE_SECONDS} s', self.word(upgrade_id))

    def assert_goes_on_after_a_kill(self, step, image_id):
        upgrade_id = self.begin_held(step)
        self.guest.process.kill()
        self.wait_until_missed(upgrade_id)
        self.guest.start_agent(self.cloud.image(image_id))
        self.guest.let_go(step)
        self.assert_completes(upgrade_id)

    def test_one_that_is_killed_while_it_stops_the_database_is_missed_and_asked_again(self):
        self.assert_goes_on_after_a_kill('quiesce', world.FORMER_NEW_AGENT)

    def test_one_that_is_killed_while_it_restores_is_missed_and_asked_again(self):
        self.assert_goes_on_after_a_kill('restore', world.WANTED)

    def test_one_that_works_for_longer_is_waited_for(self):
        upgrade_id = self.begin_held('quiesce')

        def has_answered():
            self.assertNotIn(_SILENT, self.word(upgrade_id))
            return self.row(upgrade_id).steps[-1].runs >= 2

        self.wait_until(has_answered, 'an answer after longer than a sign may take')
        self.guest.let_go('quiesce')
        self.assert_completes(upgrade_id)
