# SPDX-License-Identifier: Apache-2.0
"""What comes in its own time is waited for by a condition with a deadline."""

import time

_LOOK_SECONDS = 0.2


class Waiting:
    """For test cases."""

    wait_seconds = 60.0

    def wait_until(self, condition, what, timeout_seconds=None):
        """The first true value of `condition`; what the lab or an API cannot tell yet counts as not
        yet.
        """
        seconds = self.wait_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            self.assertLess(time.monotonic(), deadline, f'waited {seconds} s for {what}')
            time.sleep(_LOOK_SECONDS)  # between two looks at a condition with a deadline
