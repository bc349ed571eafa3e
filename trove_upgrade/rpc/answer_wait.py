# SPDX-License-Identifier: Apache-2.0
"""Wait for the answer of a guest agent: it ends sooner where the agent has died."""

import dataclasses
from typing import Self

#: An agent that works on a call tells so twice in this time: one that has died is missed so soon.
#: oslo.messaging's server does that of itself, in agents of every release.
ALIVE_SECONDS = 5
#: Its calls return when their work is done, and are not of agents of ours alone.
_WITHOUT_SIGNS = '1.0'


@dataclasses.dataclass(frozen=True)
class Wait:
    """Longest times of one wait."""

    seconds: float
    sign_seconds: int | None  #: until the next sign of the agent; None: none is waited for

    @classmethod
    def of(cls, version: str, seconds: float) -> Self:
        """Return the wait for an answer of this version of RPC."""
        has_signs = version != _WITHOUT_SIGNS and seconds > ALIVE_SECONDS
        return cls(seconds, ALIVE_SECONDS if has_signs else None)

    def waited(self, seconds: float) -> float:
        """Return which of the two times has ended a wait that was so long."""
        if self.sign_seconds is None or seconds >= self.seconds:
            return self.seconds
        return self.sign_seconds
