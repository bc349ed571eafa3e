# SPDX-License-Identifier: Apache-2.0
"""Other watchers of the database: Trove's own agent in the guest."""

import pathlib
from collections.abc import Sequence
from typing import Protocol


class Watchers(Protocol):
    """The port to Trove's agent.  Each is safe to repeat."""

    def marker_files(self) -> Sequence[pathlib.Path]:
        """Files by which it knows that its database has been made, on this root disk."""

    def mute(self) -> None:
        """From now on it neither reports nor touches the database, also after a reboot of this root
        disk.
        """

    def unmute(self) -> None:
        """It may again."""

    def resume(self) -> None:
        """Our agent has just started: what was muted before stays so."""


class NoWatchers:
    """Where Trove's agent is not installed."""

    def marker_files(self) -> Sequence[pathlib.Path]:
        """None."""
        return ()

    def mute(self) -> None:
        """Nothing to do."""

    def unmute(self) -> None:
        """Nothing to do."""

    def resume(self) -> None:
        """Nothing to do."""
