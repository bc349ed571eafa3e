# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import tempfile

from lab.knobs import METADATA_KEY, NONE, Knobs, KnobStore
from trove_upgrade.tests.unit import base


class KnobsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(
            pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'faults'
        )

    def test_without_knobs_nothing_goes_wrong(self):
        self.assertEqual(NONE, self.knobs.take('server-1', {}, 'rebuild'))

    def test_a_knob_for_rebuilds_leaves_the_first_boot_alone(self):
        self.knobs.turn('server-1', Knobs(spawn_error='no space'))

        self.assertEqual('', self.knobs.take('server-1', {}, 'boot').spawn_error)
        self.assertEqual('no space', self.knobs.take('server-1', {}, 'rebuild').spawn_error)

    def test_a_knob_for_any_operation_holds_for_both(self):
        self.knobs.turn('server-1', Knobs(slow_seconds=2, on='any'))

        self.assertEqual(
            [2, 2],
            [
                self.knobs.take('server-1', {}, operation).slow_seconds
                for operation in ('boot', 'rebuild')
            ],
        )

    def test_a_counted_knob_works_so_many_times(self):
        self.knobs.turn('server-1', Knobs(spawn_error='no space', times=2))

        taken = [self.knobs.take('server-1', {}, 'rebuild').spawn_error for _ in range(3)]

        self.assertEqual(['no space', 'no space', ''], taken)

    def test_looking_does_not_count(self):
        self.knobs.turn('server-1', Knobs(image_unloadable=True, times=1))

        self.assertTrue(self.knobs.peek('server-1', {}, 'rebuild').image_unloadable)
        self.assertTrue(self.knobs.take('server-1', {}, 'rebuild').image_unloadable)
        self.assertFalse(self.knobs.peek('server-1', {}, 'rebuild').image_unloadable)

    def test_a_server_s_own_knobs_win_over_those_for_all(self):
        self.knobs.turn(KnobStore.ALL, Knobs(slow_seconds=1))
        self.knobs.turn('server-1', Knobs(slow_seconds=3))

        self.assertEqual(3, self.knobs.take('server-1', {}, 'rebuild').slow_seconds)
        self.assertEqual(1, self.knobs.take('server-2', {}, 'rebuild').slow_seconds)

    def test_knobs_for_all_are_counted_over_all_servers(self):
        self.knobs.turn(KnobStore.ALL, Knobs(spawn_error='no space', times=1))

        self.assertEqual(
            ['no space', ''],
            [self.knobs.take(server, {}, 'rebuild').spawn_error for server in ('one', 'two')],
        )

    def test_knobs_may_come_with_the_server_itself(self):
        metadata = {METADATA_KEY: json.dumps({'no_agent': True})}

        self.assertTrue(self.knobs.take('server-1', metadata, 'rebuild').no_agent)
        self.assertFalse(self.knobs.take('server-1', metadata, 'boot').no_agent)

    def test_cleared_knobs_are_gone_and_may_be_cleared_again(self):
        self.knobs.turn('server-1', Knobs(stuck='blocked'))
        self.knobs.clear('server-1')
        self.knobs.clear('server-1')

        self.assertEqual(NONE, self.knobs.peek('server-1', {}, 'rebuild'))
