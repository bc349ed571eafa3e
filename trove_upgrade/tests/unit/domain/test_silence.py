# SPDX-License-Identifier: Apache-2.0
"""What is said of a guest that does not answer."""

import datetime

from trove_upgrade.domain import exceptions, guests, silence
from trove_upgrade.tests.unit import base

SEEN_AT = datetime.datetime(
    2026, 11, 27, 21, 5, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
)
LAST = guests.LastWord(SEEN_AT, 'boot-1')


class TestExplained(base.TestCase):
    def explained(self, last, boot_id=None, kind=exceptions.GuestUnavailable):
        return silence.explained(
            kind(instance_id='i-1', method='check_upgrade', timeout_seconds=15), last, boot_id
        )

    def test_one_that_was_never_heard_has_probably_no_agent(self):
        error = self.explained(None, 'boot-1')
        self.assertEqual('GUEST_NEVER_HEARD', error.code)
        for words in (
            'no upgrade agent was ever heard',
            'check_upgrade',
            '15 s',
            'Ask the operator',
        ):
            self.assertIn(words, error.message)

    def test_one_that_was_heard_has_the_time_in_utc(self):
        for boot_id in (None, '', 'boot-1'):
            error = self.explained(LAST, boot_id)
            self.assertEqual('GUEST_SILENT', error.code)
            self.assertIn('last heard at 2026-11-27 20:05:03 UTC', error.message)

    def test_one_that_spoke_in_another_boot_was_restarted(self):
        error = self.explained(LAST, 'boot-0')
        self.assertEqual('GUEST_RESTARTED', error.code)
        self.assertIn('another boot', error.message)
        self.assertIn('20:05:03', error.message)

    def test_one_that_works_or_was_not_asked_is_not_said_to_be_silent(self):
        for kind in (exceptions.GuestStillWorking, exceptions.GuestNotAsked):
            self.assertIs(kind, type(self.explained(None, kind=kind)))

    def test_all_of_them_are_asked_again_by_whoever_asks_again(self):
        for last, boot_id in ((None, None), (LAST, None), (LAST, 'boot-0')):
            error = self.explained(last, boot_id)
            self.assertIsInstance(error, exceptions.GuestUnavailable)
            self.assertNotIn('asked again', error.message)
