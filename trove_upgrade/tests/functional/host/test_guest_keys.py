# SPDX-License-Identifier: Apache-2.0
"""Many processes at the rows of one guest's keys: no number is given out twice, no rebuild has two
keys, no report is believed twice.
"""

import collections

from trove_upgrade.db import models
from trove_upgrade.db.guest_keys import GuestKeys
from trove_upgrade.sealing.at_rest import Wrapping, generate
from trove_upgrade.sealing.ports import Heard
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.unit import database

INSTANCE = database.INSTANCE
SESSION, LATER = '1' * 32, '2' * 32
MARKER = 'm' * 36


class OnARealServer(real_database.RealDatabase):
    """The cases; each server below runs all of them."""

    def setUp(self):
        super().setUp()
        wrapping = Wrapping([generate()])
        self.keys = GuestKeys(self.db.database, lambda: wrapping)

    def test_of_200_numbers_that_are_drawn_at_once_none_is_drawn_twice(self):
        drawn = self.together(20, lambda _: [self.keys.next_number(INSTANCE) for _ in range(10)])
        self.assertEqual(list(range(1, 201)), sorted(number for some in drawn for number in some))

    def test_of_many_that_catch_up_with_a_guest_each_is_above_it(self):
        drawn = self.together(20, lambda _: self.keys.next_number(INSTANCE, 1000))
        self.assertEqual(list(range(1001, 1021)), sorted(drawn))

    def test_many_that_mint_for_one_rebuild_get_one_key(self):
        minted = self.together(20, lambda _: self.keys.mint(INSTANCE, MARKER))
        self.assertEqual(1, len({(key.id, key.secret) for key in minted}))
        self.assertEqual(1, len(self.db.rows(models.upgrade_guest_keys)))

    def test_of_many_that_hear_one_report_one_believes_it(self):
        key = self.keys.mint(INSTANCE, MARKER)
        for number in range(1, 6):
            heard = self.together(10, lambda _, number=number: self.keys.hear(key, SESSION, number))
            self.assertEqual({Heard.TAKEN: 1, Heard.REPLAYED: 9}, collections.Counter(heard))

    def test_the_first_word_under_a_new_key_ends_the_former_ones(self):
        former = self.keys.mint(INSTANCE, None)
        self.keys.met(former, SESSION)
        key = self.keys.mint(INSTANCE, MARKER)
        self.together(10, lambda number: self.keys.hear(key, LATER, number + 1))
        self.assertEqual(
            (key, LATER), (self.keys.current(INSTANCE).key, self.keys.current(INSTANCE).session)
        )
        self.assertIsNone(self.keys.find(INSTANCE, former.id))

    def test_of_many_late_answers_those_of_the_former_session_change_nothing(self):
        key = self.keys.mint(INSTANCE, MARKER)
        self.keys.met(key, SESSION)
        self.keys.met(key, LATER, SESSION)
        self.together(10, lambda number: self.keys.met(key, f'{number:032x}', SESSION))
        self.assertEqual(LATER, self.keys.current(INSTANCE).session)


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
