# SPDX-License-Identifier: Apache-2.0
"""Lines that a run prints of what it waits for."""

from collections import Counter

from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.domain.bridge_runs import Claim
from trove_upgrade.domain.pace import WAITS, Wait


class Lines:
    """Implements bridge.crew.Watcher: a line where the reasons have changed."""

    def __init__(self) -> None:
        self._last: frozenset[Wait] = frozenset()

    def waits(self, claim: Claim) -> None:
        """Print how many wait for what, where other reasons than before are among them."""
        counted = Counter(claim.waits.values())
        if frozenset(counted) != self._last:
            self._last = frozenset(counted)
            told = ', '.join(f'{count} as {WAITS[wait]}' for wait, count in sorted(counted.items()))
            print_line(f'Waiting: {told}.')

    def outage(self, error: Exception, patience_seconds: float) -> None:
        """Print what gives no answer."""
        print_line(f'{error} Asked again for {patience_seconds:.0f} s at most.')
