# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.rpc.answer_wait import ALIVE_SECONDS, Wait
from trove_upgrade.tests.unit import base


class TestWait(base.TestCase):
    def test_an_agent_of_ours_is_missed_sooner_than_its_answer(self):
        for version in ('1.1', '1.2'):
            wait = Wait.of(version, 15.0)
            self.assertEqual((15.0, ALIVE_SECONDS), (wait.seconds, wait.sign_seconds))
            self.assertEqual(ALIVE_SECONDS, wait.waited(ALIVE_SECONDS + 0.1))
            self.assertEqual(15.0, wait.waited(15.1))

    def test_one_that_may_give_no_signs_is_waited_for_to_the_end(self):
        for version, seconds in (('1.0', 15.0), ('1.1', 5.0), ('1.2', 0.5)):
            wait = Wait.of(version, seconds)
            self.assertIsNone(wait.sign_seconds)
            self.assertEqual(seconds, wait.waited(seconds))
