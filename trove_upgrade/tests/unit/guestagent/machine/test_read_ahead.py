# SPDX-License-Identifier: Apache-2.0
import threading

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.machine import read_ahead
from trove_upgrade.tests.unit import base

DEADLINE_SECONDS = 30


class Broken(Exception):
    """Error of a reader."""


class TestReadAhead(base.TestCase):
    @given(st.lists(st.binary(max_size=3)))
    def test_the_pieces_come_whole_and_in_their_order(self, pieces):
        with read_ahead.of(iter(pieces)) as ahead:
            self.assertEqual(pieces, list(ahead))

    @given(st.integers(min_value=0, max_value=20))
    def test_an_error_comes_where_its_piece_would_have_come(self, before):
        def reader():
            yield from [b'x'] * before
            raise Broken

        with read_ahead.of(reader()) as ahead:
            self.assertEqual([b'x'] * before, [next(ahead) for _ in range(before)])
            self.assertRaises(Broken, next, ahead)

    def test_the_next_piece_is_made_while_one_is_sent(self):
        second = threading.Event()

        def reader():
            yield b'1'
            second.set()
            yield b'2'

        with read_ahead.of(reader()) as ahead:
            self.assertEqual(b'1', next(ahead))
            self.assertTrue(second.wait(DEADLINE_SECONDS))

    def test_what_is_not_sent_yet_is_bounded(self):
        made = []

        def reader():
            for number in range(100):
                made.append(number)
                yield b'x'

        with read_ahead.of(reader()) as ahead:
            next(ahead)
        self.assertLessEqual(len(made), 4)

    def test_no_thread_is_left_where_the_receiver_stops(self):
        with read_ahead.of(iter([b'x'] * 50)) as ahead:
            next(ahead)
        self.assertEqual(
            [], [one for one in threading.enumerate() if one.name.startswith('read-ahead')]
        )

    def test_nothing_is_made_where_nothing_is_asked_for(self):
        pieces = iter([b'x'])
        with read_ahead.of(pieces):
            pass
        self.assertEqual([b'x'], list(pieces))
