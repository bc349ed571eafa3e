# SPDX-License-Identifier: Apache-2.0
"""Bounds of a guest's words: an answer is one row's, a heartbeat one line's."""

import json

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import answers, guest_results, guests, notes
from trove_upgrade.domain.upgrade_checks import CheckOutcome
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain.test_upgrade_info import ANYTHING, HOSTILE, texts
from trove_upgrade.tests.unit.domain.test_wire import ANSWER, BEAT

BEATS = guests.Heartbeat(
    instance_id='i-1',
    boot_id='boot',
    marker='u-1:2',
    restored=False,
    agent_version='1.0',
    server_version='11.8',
    server_state=guests.ServerState.RUNNING,
)
_MANY = 100_000


def read(**changes):
    return guests.GuestAnswer.from_wire({**ANSWER.to_wire(), **changes})


class TestAnswers(base.TestCase):
    def test_a_text_for_people_is_cut_with_a_mark_and_is_one_line(self):
        for name in ('message', 'agent_version', 'server_version'):
            found = getattr(
                read(**{name: 'a\n2026 ERROR forged\x1b[2J\x85\u2028' + 'x' * _MANY}), name
            )
            self.assertTrue(found.startswith('a\\n2026 ERROR forged\\x1b[2J\\x85\\u2028xx'), found)
            self.assertTrue(found.endswith('xx...'), found)
            self.assertLessEqual(len(found), answers.MESSAGE)

    def test_an_id_is_refused_and_never_cut(self):
        for value in ('x' * 65, *(f'a{one}b' for one in HOSTILE)):
            self.assertRaises(answers.AnswerOutOfBounds, read, boot_id=value)

    def test_a_code_is_one_of_a_codes_form_or_none(self):
        self.assertEqual('VOLUME_SPACE', read(code='VOLUME_SPACE').code)
        for value in ('volume space', 'A\n', 'A' * 65, '', '1A', 'A\x1b'):
            self.assertIsNone(read(code=value).code)

    def test_percent_is_within_a_hundred(self):
        self.assertEqual((0, 100), (read(percent=-5).percent, read(percent=10**6).percent))

    def test_what_a_row_keeps_of_a_result_is_bounded(self):
        text = '\x1b' * 5000
        for value in (
            [text] * 300,
            {str(number): text for number in range(300)},
            [[text] * 300] * 20,
            [{'name': text, 'before': text}] * 300,
        ):
            for name in ('fingerprint', notes.REMARKS, notes.SETTINGS_CHANGED, 'settings_kept'):
                try:
                    kept = read(result={name: value}).result
                except ValueError:
                    continue
                self.assertLess(len(json.dumps(kept)), 3 * answers.FACTS)
                self.assertEqual([], [one for one in texts(kept) if not one.isprintable()])

    def test_a_cut_list_has_a_mark(self):
        kept = read(result={notes.REMARKS: [f'remark {number}' for number in range(1000)]}).result[
            notes.REMARKS
        ]
        self.assertEqual('... 800 more', kept[-1])

    def test_what_nothing_here_reads_is_not_kept(self):
        self.assertEqual({}, read(result={'novelty': 'x', 'ballast': ['x'] * 1000}).result)

    def test_a_value_that_is_too_large_or_too_deep_is_refused_before_it_is_walked(self):
        nested = []
        for _ in range(100_000):
            nested = [nested]
        for value in (
            {'x': nested},
            {'x': 'x' * answers.LARGEST_ANSWER},
            {'x': float('inf')},
            {'x': [0] * answers.LARGEST_ANSWER},
        ):
            self.assertRaises(ValueError, read, result=value)
        self.assertRaises(
            ValueError, guests.Heartbeat.from_wire, {**BEATS.to_wire(), 'other': 'x' * 5000}
        )
        self.assertRaises(
            ValueError, guests.Heartbeat.from_wire, {**BEATS.to_wire(), 'other': nested}
        )

    def test_no_check_is_left_out(self):
        """It could be the one that refuses."""
        entry = {'name': 'n', 'outcome': 'ok', 'message': 'm', 'code': None}
        self.assertEqual(
            answers.CHECKS, len(read(result={'checks': [entry] * answers.CHECKS}).result['checks'])
        )
        for value in ([entry] * (answers.CHECKS + 1), 'x', {'a': entry}, 7):
            self.assertRaises(answers.AnswerOutOfBounds, read, result={'checks': value})

    def test_a_check_of_another_form_counts_as_not_made(self):
        for entry in (
            'x',
            None,
            7,
            [],
            {},
            {'outcome': ['ok']},
            {'outcome': 'OK'},
            {'outcome': 'ok\n'},
        ):
            [found] = guest_results.Checked.from_wire(
                read(result={'checks': [entry]}).result
            ).checks
            self.assertEqual(CheckOutcome.UNKNOWN, found.outcome)

    def test_times_are_times(self):
        good = '2026-11-21T12:00:00+00:00'
        self.assertEqual({'stopped_at': good}, read(result={'stopped_at': good}).result)
        for value in ('2026-11-21T12:00:00', 'x', 7, f'{good}\n', {}, None):
            self.assertEqual({'opened_at': None}, read(result={'opened_at': value}).result)

    @given(
        st.sampled_from(
            [
                'checks',
                'fingerprint',
                'settings_changed',
                'remarks',
                'server_version',
                'opened_at',
                'other',
            ]
        ),
        ANYTHING,
    )
    def test_whatever_a_result_holds_is_kept_as_plain_texts_or_refused(self, name, value):
        try:
            kept = read(result={name: value})
        except ValueError:
            return
        self.assertEqual([], [one for one in texts(kept.result) if not one.isprintable()])
        notes.Notes.of(kept.result).to_answer()
        guest_results.Checked.from_wire(kept.result)
        self.assertEqual(kept, guests.GuestAnswer.from_wire(kept.to_wire()))

    def test_a_heartbeat_has_ids_and_a_marker_of_ours_or_is_refused(self):
        for sent in (BEAT, BEATS):
            self.assertEqual(sent, guests.Heartbeat.from_wire(sent.to_wire()))
        for name in ('instance_id', 'boot_id', 'marker'):
            for value in (
                'x' * 65,
                *(f'u:1{one}' for one in HOSTILE),
                *(f'{one}u:1' for one in HOSTILE),
            ):
                self.assertRaises(
                    ValueError, guests.Heartbeat.from_wire, {**BEATS.to_wire(), name: value}
                )
