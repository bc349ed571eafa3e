# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for ports that every part's tests share."""

import datetime


class FakeClock:
    """Implements ports.Clock: time passes when the test says so."""

    def __init__(self, now=datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)):
        self._now = now
        self._monotonic = 1000.0

    def now(self):
        return self._now

    def monotonic(self):
        return self._monotonic

    def pass_time(self, seconds):
        """Both clocks go on."""
        self._now += datetime.timedelta(seconds=seconds)
        self._monotonic += seconds


class MemoryHostKeys:
    """Implements the bridge's HostKeys."""

    def __init__(self):
        self.keys = {}

    def known(self, server_id):
        return self.keys.get(server_id)

    def pin(self, server_id, key):
        self.keys.setdefault(server_id, key)
