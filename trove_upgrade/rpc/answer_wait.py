# SPDX-License-Identifier: Apache-2.0
"""Wait for the answer of a guest agent: it ends sooner where the agent has died."""

import dataclasses
import threading
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
    def of(cls, seconds: float, *, has_signs: bool) -> Self:
        """Return the wait for an answer, with or without signs until then."""
        return cls(seconds, ALIVE_SECONDS if has_signs and seconds > ALIVE_SECONDS else None)

    def waited(self, seconds: float) -> float:
        """Return which of the two times has ended a wait that was so long."""
        if self.sign_seconds is None or seconds >= self.seconds:
            return self.seconds
        return self.sign_seconds


class Speakers:
    """Topics whose agents have answered a version of RPC.  Safe to share between threads.

    Signs are asked of them alone: the server of an agent that lacks a version refuses the call, and
    gives signs for it without an end.  Source: oslo.messaging 18, rpc/dispatcher.py.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()

    def speaks(self, topic: str, version: str) -> bool:
        """Return whether the topic's agent gives signs for calls of this version."""
        with self._lock:
            return version != _WITHOUT_SIGNS and (topic, version) in self._known

    def wait(self, topic: str, version: str, seconds: float) -> Wait:
        """Return the wait for an answer of this version."""
        return Wait.of(seconds, has_signs=self.speaks(topic, version))

    def answered(self, topic: str, version: str) -> None:
        """Remember an answer of this version."""
        with self._lock:
            self._known.add((topic, version))

    def refused(self, topic: str, version: str) -> None:
        """Forget it: another agent is there now."""
        with self._lock:
            self._known.discard((topic, version))
