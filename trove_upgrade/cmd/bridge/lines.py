# SPDX-License-Identifier: Apache-2.0
"""Lines that a run prints of what it waits for."""

from collections import Counter
from collections.abc import Callable

from trove_upgrade.cmd.console.printing import print_line
from trove_upgrade.db import faults
from trove_upgrade.domain import logs
from trove_upgrade.domain.bridge_runs import Claim
from trove_upgrade.domain.pace import WAITS, Wait

LOG = logs.get_logger(__name__)


class Output:
    """Prints lines while work goes on.  One that cannot be written ends no work: the first such
    error is logged.
    """

    def __init__(self) -> None:
        self.has_failed = False

    def __call__(self, text: str) -> None:
        """Print a line."""
        self.attempt(lambda: print_line(text))

    def attempt(self, write: Callable[[], object]) -> None:
        """Write something to the terminal."""
        try:
            write()
        except (OSError, ValueError) as error:  # ValueError: the file is closed, or a character
            if not self.has_failed:
                self.has_failed = True
                LOG.warning('Nothing can be printed any more, and the work goes on: %s', error)


def of_outage(error: Exception, patience_seconds: float) -> str:
    """Return the line of a service that gives no answer."""
    return f'{faults.words(error)} Asked again for {patience_seconds:.0f} s at most.'


def of_ending(run_id: str, held: int) -> str:
    """Return the line of a command that was told to end."""
    guests = 'Ending: 1 guest finishes its' if held == 1 else f'Ending: {held} guests finish their'
    return (
        f'{guests} present step, then each port is closed. Wait for it. Afterwards '
        f'"trove-upgrade-bridge resume {run_id}" goes on.'
    )


class Lines:
    """Implements bridge.crew.Watcher: a line where the reasons have changed."""

    def __init__(self) -> None:
        self._last: frozenset[Wait] = frozenset()
        self._output = Output()

    def waits(self, claim: Claim) -> None:
        """Print how many wait for what, where other reasons than before are among them."""
        counted = Counter(claim.waits.values())
        if frozenset(counted) != self._last:
            self._last = frozenset(counted)
            told = ', '.join(f'{count} as {WAITS[wait]}' for wait, count in sorted(counted.items()))
            self._output(f'Waiting: {told}.')

    def outage(self, error: Exception, patience_seconds: float) -> None:
        """Print what gives no answer."""
        self._output(of_outage(error, patience_seconds))

    def ending(self, run_id: str, held: int) -> None:
        """Print what is waited for before the end."""
        self._output(of_ending(run_id, held))
