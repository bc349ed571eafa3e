# SPDX-License-Identifier: Apache-2.0
"""Following until an end, by a clock of the test's own."""

import dataclasses

import testtools

from troveupgradeclient import exceptions
from troveupgradeclient.v1.following import PATIENCE_SECONDS, Follower


@dataclasses.dataclass(frozen=True)
class _Seen:
    state: str


class _Clock:
    def __init__(self):
        self.time, self.pauses = 0.0, []

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.time += seconds


class TestFollower(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock, self.silences = _Clock(), []

    def follow(self, looks, **options):
        follower = Follower(self.clock, on_silence=self.silences.append, **options)
        left, seen = iter(looks), []

        def look():
            found = next(left)
            if isinstance(found, Exception):
                raise found
            seen.append(found)
            return _Seen(found)

        last = follower.follow(look, lambda seen: seen.state == 'end')
        self.assertEqual(seen[-1], last.state)
        return seen

    def test_the_end_is_the_last_look_and_nothing_is_paused_after_it(self):
        self.assertEqual(['a', 'b', 'end'], self.follow(['a', 'b', 'end'], interval_seconds=3))
        self.assertEqual([3, 3], self.clock.pauses)

    def test_what_has_ended_already_is_looked_at_once(self):
        self.assertEqual(['end'], self.follow(['end']))
        self.assertEqual([], self.clock.pauses)

    def test_the_last_pause_ends_with_the_time(self):
        over = self.assertRaises(
            exceptions.WaitOver, self.follow, ['a'] * 9, interval_seconds=4, timeout_seconds=10
        )
        self.assertEqual([4, 4, 2], self.clock.pauses)
        self.assertIn('The wait of 10 s is over: it is a.', str(over))

    def test_silence_is_told_and_borne_for_a_while(self):
        silent = exceptions.ApiSilent(found='x')
        self.assertEqual(['a', 'end'], self.follow(['a', silent, silent, 'end']))
        self.assertEqual([silent, silent], self.silences)

    def test_a_passing_fault_of_the_service_is_borne_and_a_refusal_is_not(self):
        passing, lasting = (
            exceptions.RequestRefused(status=status, message='x', code='X', request_id='')
            for status in (503, 404)
        )
        self.assertEqual(['end'], self.follow([passing, 'end']))
        self.assertRaises(exceptions.RequestRefused, self.follow, [lasting, 'end'])
        self.assertEqual([passing], self.silences)

    def test_a_long_silence_ends_it(self):
        silent = exceptions.ApiSilent(found='x')
        self.assertRaises(
            exceptions.ApiSilent, self.follow, [silent] * 9, interval_seconds=PATIENCE_SECONDS / 2
        )
        self.assertEqual(2, len(self.silences) - 1)
