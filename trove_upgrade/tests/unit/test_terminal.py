# SPDX-License-Identifier: Apache-2.0
"""What tenants and guests have written, as an operator's terminal gets it."""

import io
import unicodedata

import hypothesis
from hypothesis import strategies

from lab import following, progress
from trove_upgrade import terminal
from trove_upgrade.tests.unit import base

#: A title, a cleared screen, another row, the other direction.
HOSTILE = '\x1b]0;owned\x07\x1b[2J\nforged  row\r\x9b1m\u2028\u202egnirts\x7f'
_OF_TERMINALS = {'Cc', 'Cf', 'Cs', 'Zl', 'Zp'}


def obeyed(text):
    """Characters of `text` that a terminal does not just show, without ends of lines."""
    return [one for one in text if unicodedata.category(one) in _OF_TERMINALS and one != '\n']


class TestPrintable(base.TestCase):
    @hypothesis.given(strategies.text(strategies.characters()))
    def test_whatever_it_is_made_of_it_is_one_line_that_can_be_printed(self, text):
        found = terminal.printable(text)
        self.assertEqual([], obeyed(found))
        self.assertNotIn('\n', found)
        found.encode()

    def test_what_may_be_read_stays_and_the_rest_is_named(self):
        self.assertEqual('Größe 表 é', terminal.printable('Größe 表 é'))
        self.assertEqual('a\\x1b[2J\\nb\\u202e', terminal.printable('a\x1b[2J\nb\u202e'))

    def test_lines_of_our_own_stay_lines(self):
        self.assertEqual('a\n\\x1b  b', terminal.printable_lines('a\n\x1b  b'))


class TestTheLab(base.TestCase):
    def test_a_step_of_a_guest_is_one_line(self):
        lines = []
        step = {'step': 'verify', 'message': HOSTILE}
        ended = {'id': 'u', 'state': 'FAILED', 'steps': [step]}
        answers = {
            '/instances/i/upgrades': {'upgrades': [ended]},
            '/upgrades/u': {'upgrade': ended},
        }
        following.Follower(answers.__getitem__, lines.append).until_ended('i', 1)
        (line,) = lines
        self.assertEqual(([], False), (obeyed(line), '\n' in line), line)

    def test_lines_between_phases_hold_no_more_than_text(self):
        stream = io.StringIO()
        progress.Progress(stream).line(f'name: {HOSTILE}')
        self.assertEqual([], obeyed(stream.getvalue()))
