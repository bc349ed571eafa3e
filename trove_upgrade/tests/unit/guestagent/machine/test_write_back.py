# SPDX-License-Identifier: Apache-2.0
import pathlib
import threading

from trove_upgrade.guestagent.machine import write_back
from trove_upgrade.tests.unit import base

DEADLINE_SECONDS = 30
PLACE = pathlib.Path('/var/lib/docker')


def threads():
    return [one for one in threading.enumerate() if one.name == 'write-back']


class TestMeanwhile(base.TestCase):
    def test_the_file_system_is_synced_again_and_again(self):
        synced, again = [], threading.Event()

        def sync(directory):
            synced.append(directory)
            if len(synced) == 2:
                again.set()

        with write_back.meanwhile(PLACE, sync):
            self.assertTrue(again.wait(DEADLINE_SECONDS))
        self.assertEqual({str(PLACE)}, set(synced))
        self.assertEqual([], threads())

    def test_one_that_cannot_be_synced_harms_nothing(self):
        tried = threading.Event()

        def sync(directory):
            tried.set()
            raise FileNotFoundError(2, 'No such file or directory', directory)

        with write_back.meanwhile(PLACE, sync):
            self.assertTrue(tried.wait(DEADLINE_SECONDS))
        self.assertEqual([], threads())

    def test_a_real_one_can_be_synced_and_an_error_of_the_work_comes_through(self):
        def work():
            with write_back.meanwhile(pathlib.Path('/')):
                raise KeyError

        self.assertRaises(KeyError, work)
        self.assertEqual([], threads())
