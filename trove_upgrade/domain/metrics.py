# SPDX-License-Identifier: Apache-2.0
"""Port to the figures of a taskmanager, for a monitoring system."""

from typing import Protocol

from trove_upgrade.domain.upgrades import StepRun, Upgrade


class Metrics(Protocol):
    """Observer of a taskmanager's work.  Each method returns at once and never raises."""

    def step_ended(self, run: StepRun) -> None:
        """Observe a step that has ended, however it did."""

    def attempt_ended(self, ended: Upgrade) -> None:
        """Observe an attempt that has ended, in its final state."""

    def lease_taken_over(self) -> None:
        """Observe a claim of a row that another taskmanager had not let go of."""

    def call_refused(self) -> None:
        """Observe a message of the broker that was refused for its form or its method."""


class NoMetrics:
    """Implements Metrics where there is no monitoring system."""

    def step_ended(self, run: StepRun) -> None:
        """Leave it."""

    def attempt_ended(self, ended: Upgrade) -> None:
        """Leave it."""

    def lease_taken_over(self) -> None:
        """Leave it."""

    def call_refused(self) -> None:
        """Leave it."""


NO_METRICS = NoMetrics()
