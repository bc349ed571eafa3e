# SPDX-License-Identifier: Apache-2.0
"""The highest number is on the disk before a request is carried out, and whatever is there instead
hinders nothing.
"""

import os
import pathlib
import threading

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.sealing.sequence import Sequence
from trove_upgrade.sealing import messages
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes


class SequenceTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.path = self.root / 'state' / 'sequence'
        self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))

    def test_a_number_is_taken_once_and_none_below_it(self):
        sequence = Sequence(self.path)
        self.assertEqual(
            [True, False, False, True, False],
            [sequence.take(number) for number in (5, 5, 4, messages.LARGEST_NUMBER, 6)],
        )

    def test_the_next_start_of_the_agent_knows_it(self):
        self.assertTrue(Sequence(self.path).take(41))
        after = Sequence(self.path)
        self.assertEqual((41, False, True), (after.highest, after.take(41), after.take(42)))

    def test_it_is_written_in_place_and_for_root_alone(self):
        sequence = Sequence(self.path)
        sequence.take(1)
        before = self.path.stat()
        sequence.take(messages.LARGEST_NUMBER)
        after = self.path.stat()
        self.assertEqual((before.st_ino, before.st_size), (after.st_ino, after.st_size))
        self.assertEqual(
            (0o600, 0o700), (after.st_mode & 0o777, self.path.parent.stat().st_mode & 0o777)
        )

    @given(st.one_of(st.binary(max_size=40), st.binary(min_size=29, max_size=29)))
    def test_whatever_stands_in_the_file_is_no_number_and_is_replaced(self, content):
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.write_bytes(content)
        sequence = Sequence(self.path)
        self.assertEqual(0, sequence.highest)
        self.assertTrue(sequence.take(3))
        self.assertEqual(3, Sequence(self.path).highest)

    def test_each_record_that_was_cut_or_has_another_digit_is_unknown(self):
        Sequence(self.path).take(1234)
        record = self.path.read_bytes()
        torn = [record[:length] for length in range(len(record))]
        torn += [
            record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :] for at in range(len(record))
        ]
        for content in (*torn, record + b'x', b'\0' * len(record)):
            self.path.write_bytes(content)
            self.assertEqual(0, Sequence(self.path).highest, content)

    def test_a_link_or_a_pipe_in_its_place_is_not_followed_and_not_waited_for(self):
        self.path.parent.mkdir(mode=0o700)
        other = self.root / 'other'
        other.write_text('of another')
        self.path.symlink_to(other)
        self.assertRaises(exceptions.StepFailed, Sequence(self.path).take, 1)
        self.assertEqual('of another', other.read_text())
        self.path.unlink()
        os.mkfifo(self.path)
        self.assertEqual(0, Sequence(self.path).highest)

    def test_a_number_that_cannot_be_written_is_used_up_and_nothing_is_carried_out(self):
        (self.root / 'state').write_text('no directory')
        sequence = Sequence(self.path)
        error = self.assertRaises(exceptions.StepFailed, sequence.take, 7)
        self.assertEqual('MARK_NOT_WRITTEN', error.code)
        self.assertFalse(sequence.take(7))

    def test_of_many_at_once_with_one_number_one_is_taken(self):
        sequence, taken, together = Sequence(self.path), [], threading.Barrier(8)

        def take():
            together.wait()
            taken.extend(number for number in range(1, 50) if sequence.take(number))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(set(taken)), sorted(taken))
        self.assertEqual(49, Sequence(self.path).highest)
