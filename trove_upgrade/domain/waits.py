# SPDX-License-Identifier: Apache-2.0
"""Ports of work that waits for a service, and tells how far it is."""

from collections.abc import Callable
from typing import Protocol

#: Called with a sentence at each pause.  What it raises ends the work.
Tell = Callable[[str], None]


class Pause(Protocol):
    """Port of waiting."""

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread for that long."""


def silent(message: str) -> None:
    """Tell no one."""
