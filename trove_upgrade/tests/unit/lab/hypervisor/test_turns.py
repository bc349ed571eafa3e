# SPDX-License-Identifier: Apache-2.0
import threading

from lab.hypervisor.errors import GuestUnknown
from lab.hypervisor.turns import Turns
from trove_upgrade.tests.unit import base

_LONG = 30


class TurnsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.turns = Turns()

    def make(self, server_id='one'):
        with self.turns.making(server_id):
            pass

    def end(self, server_id='one', *, deleted):
        with self.turns.ending(server_id, deleted=deleted):
            pass

    def test_a_server_that_is_rebuilt_has_a_guest_again(self):
        self.make()
        self.end(deleted=False)
        self.make()

    def test_one_that_was_deleted_has_none_and_others_have(self):
        self.end(deleted=True)
        self.assertRaises(GuestUnknown, self.make)
        self.make('other')

    def test_a_delete_waits_for_a_guest_that_is_being_made(self):
        ended = threading.Event()

        def end():
            self.end(deleted=True)
            ended.set()

        with self.turns.making('one'):
            thread = threading.Thread(target=end)
            thread.start()
            self.end('other', deleted=True)
            self.assertFalse(ended.is_set())
        self.assertTrue(ended.wait(_LONG))
        thread.join()
        self.assertRaises(GuestUnknown, self.make)
