# SPDX-License-Identifier: Apache-2.0
"""Rows that each release so far has written, at each commit of some upgrades, with what that
release read in them: `released_rows`.

Made with the code of the release: its runner, on a database of its own, with the unit tests' stage.
The upgrades: forward to the end; given up in quiesce; failed in boot and rolled back; failed in
restore and retried; since cygnus, held and let proceed.
"""

import json
import pathlib

import hypothesis
from hypothesis import strategies

from trove_upgrade.db import progress_codec
from trove_upgrade.domain import admission, states
from trove_upgrade.domain.progress import NOTHING, Way
from trove_upgrade.tests.unit import base, database

_ROWS = pathlib.Path(__file__).with_name('released_rows')
RELEASES = ('aurora', 'borealis', 'cygnus')
_JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(2**53), 2**53)
    | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_KEYS = sorted(progress_codec.KEYS)


def what_is_told(upgrade):
    """As `released_rows` has it."""
    return {
        'former_guest_is_gone': upgrade.former_guest_is_gone,
        'is_rolling_back': upgrade.is_rolling_back,
        'known_boot_id': upgrade.known_boot_id,
        'may_have_served_again': upgrade.may_have_served_again,
        'no_return': upgrade.no_return,
        'rolls_back': admission.why_no_rollback(upgrade) is None,
        'wanted_image_id': upgrade.wanted_image_id,
        'wanted_number': upgrade.wanted_number,
        'wanted_version_id': upgrade.wanted_version_id,
    }


class TestReleasedRows(base.TestCase):
    def setUp(self):
        super().setUp()
        self.begun = self.useFixture(database.SampleDatabase()).begin()

    def rows(self):
        for release in RELEASES:
            for story, rows in json.loads((_ROWS / f'{release}.json').read_text()).items():
                for number, row in enumerate(rows):
                    yield f'{release}, {story}, row {number}', row

    def read(self, row):
        return self.begun.evolve(
            state=states.UpgradeState(row['state']),
            step=states.Step(row['step']),
            attempt=row['attempt'],
            rebuild_attempt=row['rebuild_attempt'],
            former_image_id=row['former_image_id'],
            progress=progress_codec.decode(row['data']),
        )

    def test_each_is_written_as_it_was_read(self):
        for name, row in self.rows():
            again = progress_codec.encode(progress_codec.decode(row['data']))
            self.assertEqual(row['data'], again, name)

    def test_each_tells_what_it_told_its_own_release(self):
        for name, row in self.rows():
            told = what_is_told(self.read(row))
            self.assertEqual(row['told'], {key: told[key] for key in row['told']}, name)

    def test_there_are_rows_of_every_direction_and_of_every_step(self):
        rows = [self.read(row) for _, row in self.rows()]
        self.assertEqual(set(Way), {row.progress.direction.way for row in rows})
        self.assertEqual(set(states.Step), {row.step for row in rows})

    def test_what_is_not_told_is_not_written(self):
        self.assertEqual({}, progress_codec.encode(NOTHING))
        self.assertEqual(NOTHING, progress_codec.decode({}))


class TestForeignRows(base.TestCase):
    @hypothesis.given(strategies.dictionaries(strategies.sampled_from(_KEYS), _JSON))
    def test_whatever_stands_there_is_read_and_stays_the_same_from_then_on(self, data):
        found = progress_codec.decode(data)
        again = progress_codec.encode(found)
        self.assertEqual(again, progress_codec.encode(progress_codec.decode(again)))

    @hypothesis.given(strategies.dictionaries(strategies.text(min_size=1), _JSON))
    def test_what_a_later_release_has_added_is_kept(self, data):
        added = {f'later_{name}': value for name, value in data.items()}
        self.assertEqual(added, progress_codec.encode(progress_codec.decode(added)))

    def test_an_attempt_that_cannot_be_read_counts_as_an_earlier_one(self):
        for odd in ('1', 1.5, True, [1], {}):
            data = dict.fromkeys(
                (
                    'post_upgrade_sent_in_attempt',
                    'data_untouched_in_attempt',
                    'rollback_sent_in_attempt',
                    'rebuild_accepted_in_attempt',
                    'guest_touched_in_attempt',
                ),
                odd,
            )
            found = progress_codec.decode(data)
            self.assertTrue(found.restore.is_past_no_return, odd)
            self.assertFalse(found.restore_was_sent(1))
            self.assertEqual(0, found.restore.sent_back_in_attempt)
            self.assertEqual(0, found.rebuild.accepted_in_attempt)
            self.assertEqual(0, found.quiesce.told_in_attempt)

    def test_a_time_without_an_offset_is_none_that_a_clock_could_be_compared_with(self):
        for odd in ('2026-11-29T06:00:00', 'soon', 7, None):
            self.assertIsNone(progress_codec.decode({'verified_at': odd}).verify.passed_at)

    def test_facts_that_are_no_mapping_are_not_taken_for_none(self):
        for odd in ('text', [1], 7):
            found = progress_codec.decode({'upgrade_info': odd})
            self.assertRaises(ValueError, found.quiesce.info.checked)

    def test_of_two_directions_the_way_back_is_the_later_one(self):
        both = {
            'undoing': {'attempt': 1, 'cause': 'a', 'error_code': 'A'},
            'rolling_back': {'cause': 'b', 'error_code': 'B'},
        }
        self.assertIs(Way.BACK, progress_codec.decode(both).direction.way)
