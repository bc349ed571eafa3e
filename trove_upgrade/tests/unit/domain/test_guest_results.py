# SPDX-License-Identifier: Apache-2.0
"""Results come back from the wire as they went, and each of their keys is read there."""

from trove_upgrade.domain import answers
from trove_upgrade.domain.guest_results import (
    Checked,
    Compared,
    Finished,
    Quiesced,
    Restored,
    Verified,
)
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.tests.unit import base

_TIME = '2026-01-02T03:04:05+00:00'
_CHECKS = (CheckResult.ok('a', 'It is so.'), CheckResult.refused('b', 'It is not.', 'B_REFUSED'))
_RESULTS = (
    Checked(_CHECKS),
    Quiesced({'schema': 1}, _TIME),
    Restored(
        compared=Compared(
            fingerprint={'missing': []},
            settings_changed=[{'name': 'a', 'before': '1', 'after': '2'}],
            settings_kept=['b'],
        ),
        stopped_at=_TIME,
        opened_at=_TIME,
        opening_at=_TIME,
        remarks=['It was moved.'],
    ),
    Verified('11.8.6-MariaDB', _CHECKS),
)


class TestResults(base.TestCase):
    def test_they_come_back_as_they_went_within_the_bounds_of_answers(self):
        for result in _RESULTS:
            self.assertEqual(result, type(result).from_wire(answers.result(result.to_wire())))
        finished = Finished(_TIME).to_wire()
        self.assertEqual(finished, answers.result(finished))

    def test_a_guest_that_answers_nothing_has_found_nothing(self):
        self.assertEqual((), Checked.from_wire({}).checks)
        self.assertIsNone(Quiesced.from_wire({}).upgrade_info)
        self.assertIsNone(Verified.from_wire({}).server_version)
        empty = Restored.from_wire({})
        self.assertEqual((None, None, ()), (empty.stopped_at, empty.opened_at, empty.remarks))
        self.assertEqual(Compared(), empty.compared)

    def test_an_outcome_of_a_later_agent_counts_as_not_checked(self):
        [check] = Checked.from_wire({'checks': [{'name': 'a', 'outcome': 'perhaps'}]}).checks
        self.assertEqual(CheckOutcome.UNKNOWN, check.outcome)

    def test_notes_are_those_of_remarks_and_settings(self):
        notes = _RESULTS[2].notes()
        self.assertEqual('It was moved.', notes.remarks[0].message)
        self.assertEqual('a', notes.settings_changed[0].name)
