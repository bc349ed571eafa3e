# SPDX-License-Identifier: Apache-2.0
"""Waiting for what comes in its own time, in test cases."""

from trove_upgrade import waiting


class Waiting:
    """Fails a test case where a condition does not come true in time."""

    wait_seconds = 60.0
    interval_seconds = 0.2

    def wait_until(self, condition, what, timeout_seconds=None, interval_seconds=None):
        """The first true value of `condition`; what the lab or an API cannot tell yet counts as not
        yet.
        """
        seconds = self.wait_seconds if timeout_seconds is None else timeout_seconds
        found = waiting.wait_until(
            condition, seconds, interval_seconds=interval_seconds or self.interval_seconds
        )
        self.assertTrue(found, f'waited {seconds} s for {what}')
        return found
