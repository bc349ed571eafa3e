# SPDX-License-Identifier: Apache-2.0
"""The port to Trove's own agent in the guest: held during an upgrade, and released after it."""

import pathlib
from collections.abc import Sequence
from typing import Protocol


class TroveAgentControl(Protocol):
    """Holds Trove's agent back.  Each method is safe to repeat."""

    def marker_files(self) -> Sequence[pathlib.Path]:
        """Files by which it knows that its database has been made, on this root disk."""

    def hold(self) -> None:
        """Keep it from reporting and from the database, also after a reboot of this root disk."""

    def release(self) -> None:
        """Let it report and work again."""

    def resume(self) -> None:
        """Our agent has just started: what was held before stays so."""


class NoTroveAgent:
    """Implements `TroveAgentControl` where Trove's agent is not installed."""

    def marker_files(self) -> Sequence[pathlib.Path]:
        """Return no file: no agent of Trove looks for one."""
        return ()

    def hold(self) -> None:
        """Do nothing: no agent would report."""

    def release(self) -> None:
        """Do nothing: no agent was held."""

    def resume(self) -> None:
        """Do nothing: no agent was held."""
