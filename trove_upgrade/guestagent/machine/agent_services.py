# SPDX-License-Identifier: Apache-2.0
"""Trove's agent as services of the guest, and as processes where a service does not tell whether it
runs: scripts of an old guest need not have the action `status`.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Collection, Iterator

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.machine.service import ServicePort, ServiceState
from trove_upgrade.waiting import wait_until

#: Names that the program of Trove's agent has had, beside those of its service; the bridge's
#: installer looks for the same.
PROGRAMS = frozenset({'trove-guestagent', 'guest-agent', 'trove-guest', 'trove_guestagent'})
#: A script may return before the agent that it has told to end has ended.
_END_SECONDS = 30.0
#: The program, or that of a script by its path: an interpreter may have an option before it.
_WORDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processes:
    """Processes of the guest, by the names of their programs."""

    proc: pathlib.Path = pathlib.Path('/proc')
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def named(self, names: Collection[str]) -> list[str]:
        """Return the numbers of those whose program or script has one of these names."""
        return [
            process.name
            for process in listing.matching(self.proc, '[0-9]*')
            if not set(names).isdisjoint(_programs(process))
        ]

    def left(self, names: Collection[str]) -> list[str]:
        """Return those that still run after they had time to end."""
        wait_until(
            lambda: not self.named(names),
            _END_SECONDS,
            monotonic=self.monotonic,
            sleep=self.sleep,
        )
        return self.named(names)


def _programs(process: pathlib.Path) -> Iterator[str]:
    words: list[str] = []
    with listing.vanishing():
        text = (process / 'cmdline').read_bytes().decode(errors='replace')
        words = text.split('\0')[:_WORDS]
    for place, word in enumerate(words):
        if place == 0 or word.startswith('/'):
            yield word.rpartition('/')[2]


@dataclasses.dataclass(frozen=True)
class AgentServices:
    """Services that are Trove's agent."""

    port: ServicePort
    processes: Processes

    def running(self, names: Collection[str]) -> frozenset[str]:
        """Return those that run.  Where none tells so and a process does, each one may be its."""
        states = {name: self.port.state(name) for name in names}
        told = frozenset(name for name, state in states.items() if state is ServiceState.RUNNING)
        if told or not self._processes(names):
            return told
        unknown = frozenset(name for name, state in states.items() if state is ServiceState.UNKNOWN)
        return unknown or frozenset(states)

    def stop(self, names: Collection[str], *, once_ran: Collection[str] = ()) -> None:
        """Stop them.  One that does not tell whether it runs is stopped, unless its process was
        once seen and is gone: a stop of what is stopped is harmless.

        :param once_ran: those that `running` has named before.
        :raises StepFailed: SERVICE_NOT_STOPPED; one cannot be stopped, or a process goes on.
        """
        states = {name: self.port.state(name) for name in names}
        told = [name for name, state in states.items() if state is ServiceState.RUNNING]
        for name in told:
            self.port.stop(name)
        left = self._left(names) if told else self._processes(names)
        for name, state in states.items():
            is_unknown = state is ServiceState.UNKNOWN and name not in once_ran
            if name not in told and (left or is_unknown):
                self.port.stop(name)
        self._require_ended(names)

    def start(self, name: str) -> None:
        """Start one unless it runs.

        :raises StepFailed: SERVICE_NOT_STARTED.
        """
        tells = self.port.state(name) is not ServiceState.UNKNOWN
        if not self._processes((name,)) and not (tells and self.port.status(name)):
            self.port.start(name)

    def _processes(self, names: Collection[str]) -> list[str]:
        return self.processes.named(PROGRAMS.union(names))

    def _left(self, names: Collection[str]) -> list[str]:
        return self.processes.left(PROGRAMS.union(names))

    def _require_ended(self, names: Collection[str]) -> None:
        left = self._left(names) if names else []
        if left:
            raise exceptions.StepFailed(
                f"Trove's agent cannot be stopped: process {', '.join(left)} runs on after "
                f'{", ".join(names)} was stopped. Stop it in the guest, and look at what has '
                'started it.',
                'SERVICE_NOT_STOPPED',
            )
