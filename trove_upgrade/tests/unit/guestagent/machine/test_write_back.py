# SPDX-License-Identifier: Apache-2.0
import threading

from trove_upgrade.guestagent.machine import write_back
from trove_upgrade.tests.unit import base

DEADLINE_SECONDS = 30


def threads():
    return [one for one in threading.enumerate() if one.name == 'write-back']


class TestMeanwhile(base.TestCase):
    def test_the_file_systems_are_synced_again_and_again(self):
        synced, again = [], threading.Event()

        def sync():
            synced.append(1)
            if len(synced) == 2:
                again.set()

        with write_back.meanwhile(sync):
            self.assertTrue(again.wait(DEADLINE_SECONDS))
        self.assertEqual([], threads())

    def test_an_error_of_the_work_comes_through(self):
        def work():
            with write_back.meanwhile():
                raise KeyError

        self.assertRaises(KeyError, work)
        self.assertEqual([], threads())

    def test_a_disk_that_does_not_answer_holds_the_work_up_for_seconds_only(self):
        answers, asked = threading.Event(), threading.Event()
        self.addCleanup(answers.set)

        def sync():
            asked.set()
            answers.wait(DEADLINE_SECONDS)

        with write_back.meanwhile(sync):
            self.assertTrue(asked.wait(DEADLINE_SECONDS))
        self.assertFalse(answers.is_set())
