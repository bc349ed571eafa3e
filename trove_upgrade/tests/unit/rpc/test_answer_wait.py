# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.rpc.answer_wait import ALIVE_SECONDS, Speakers, Wait
from trove_upgrade.tests.unit import base


class TestWait(base.TestCase):
    def test_an_agent_of_ours_is_missed_sooner_than_its_answer(self):
        wait = Wait.of(15.0, has_signs=True)
        self.assertEqual((15.0, ALIVE_SECONDS), (wait.seconds, wait.sign_seconds))
        self.assertEqual(ALIVE_SECONDS, wait.waited(ALIVE_SECONDS + 0.1))
        self.assertEqual(15.0, wait.waited(15.1))

    def test_one_that_may_give_no_signs_is_waited_for_to_the_end(self):
        for has_signs, seconds in ((False, 15.0), (True, 5.0), (True, 0.5)):
            wait = Wait.of(seconds, has_signs=has_signs)
            self.assertIsNone(wait.sign_seconds)
            self.assertEqual(seconds, wait.waited(seconds))


class TestSpeakers(base.TestCase):
    def test_signs_are_asked_of_what_has_answered_the_version_and_not_refused_it_since(self):
        speakers = Speakers()
        self.assertFalse(speakers.speaks('guest-1', '1.1'))
        speakers.answered('guest-1', '1.1')
        self.assertTrue(speakers.speaks('guest-1', '1.1'))
        self.assertFalse(speakers.speaks('guest-1', '1.2'))
        self.assertFalse(speakers.speaks('guest-2', '1.1'))
        speakers.refused('guest-1', '1.1')
        self.assertFalse(speakers.speaks('guest-1', '1.1'))

    def test_the_calls_of_the_specification_give_none(self):
        speakers = Speakers()
        speakers.answered('guest-1', '1.0')
        self.assertFalse(speakers.speaks('guest-1', '1.0'))
