# SPDX-License-Identifier: Apache-2.0
"""Trove's agent as services of the guest, and as processes where a service does not tell whether it
runs: scripts of an old guest need not have the action `status`.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Collection, Sequence

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.machine import listing
from trove_upgrade.guestagent.machine.script_programs import ScriptPrograms
from trove_upgrade.guestagent.machine.service import ServicePort, ServiceState
from trove_upgrade.waiting import wait_until

LOG = logs.get_logger(__name__)

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

    def named(self, names: Collection[str], scripts: Sequence[ScriptPrograms] = ()) -> list[str]:
        """Return the numbers of those whose program or script has one of these names, or is named
        by one of these init scripts.
        """
        return [
            process.name
            for process in listing.matching(self.proc, '[0-9]*')
            if _is_one(_words(process), names, scripts)
        ]

    def left(self, names: Collection[str], scripts: Sequence[ScriptPrograms] = ()) -> list[str]:
        """Return those that still run after they had time to end."""
        wait_until(
            lambda: not self.named(names, scripts),
            _END_SECONDS,
            monotonic=self.monotonic,
            sleep=self.sleep,
        )
        return self.named(names, scripts)


def _words(process: pathlib.Path) -> list[str]:
    with listing.vanishing():
        text = (process / 'cmdline').read_bytes().decode(errors='replace')
        return text.split('\0')[:_WORDS]
    return []


def _is_one(
    words: Sequence[str], names: Collection[str], scripts: Sequence[ScriptPrograms]
) -> bool:
    programs = {
        word.rpartition('/')[2]
        for place, word in enumerate(words)
        if place == 0 or word.startswith('/')
    }
    return not programs.isdisjoint(names) or any(script.has(words) for script in scripts)


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

    def may_run(self, name: str) -> bool:
        """Return whether it does not tell, and is to start at boot: it may run unseen, as a
        program of any name.
        """
        return self.port.state(name) is ServiceState.UNKNOWN and self.port.is_enabled(name)

    def stop(self, names: Collection[str], *, once_ran: Collection[str] = ()) -> None:
        """Stop them.  One that does not tell whether it runs is stopped, unless its process was
        once seen and is gone: a stop of what is stopped is harmless, also one that fails.

        :param once_ran: those that `running` has named before.
        :raises StepFailed: SERVICE_NOT_STOPPED; one cannot be stopped, or a process goes on.
        """
        states = {name: self.port.state(name) for name in names}
        told = [name for name, state in states.items() if state is ServiceState.RUNNING]
        for name in told:
            self._stop(name, ServiceState.RUNNING)
        look = self._left if told else self._processes
        for name in (name for name in names if name not in told):
            is_unknown = states[name] is ServiceState.UNKNOWN and name not in once_ran
            if look(names) or is_unknown:
                self._stop(name, states[name])
                look = self._left
        self._require_ended(names)

    def _stop(self, name: str, before: ServiceState) -> None:
        """Stop one.  A script may fail as nothing runs: then its word or the processes decide."""
        try:
            self.port.stop(name)
        except exceptions.StepFailed as error:
            after = self.port.state(name)
            is_seen_by_processes = ServiceState.RUNNING not in {before, after} and bool(
                self.port.script(name)
            )
            if after is not ServiceState.STOPPED and not is_seen_by_processes:
                raise
            LOG.warning("Trove's agent may not have run: %s", error.message)

    def start(self, name: str) -> None:
        """Start one unless it runs.

        :raises StepFailed: SERVICE_NOT_STARTED.
        """
        tells = self.port.state(name) is not ServiceState.UNKNOWN
        if not self._processes((name,)) and not (tells and self.port.status(name)):
            self.port.start(name)

    def _processes(self, names: Collection[str]) -> list[str]:
        return self.processes.named(PROGRAMS.union(names), self._scripts(names))

    def _left(self, names: Collection[str]) -> list[str]:
        return self.processes.left(PROGRAMS.union(names), self._scripts(names))

    def _scripts(self, names: Collection[str]) -> list[ScriptPrograms]:
        return [ScriptPrograms(self.port.script(name)) for name in names]

    def _require_ended(self, names: Collection[str]) -> None:
        left = self._left(names) if names else []
        if left:
            raise exceptions.StepFailed(
                f"Trove's agent cannot be stopped: process {', '.join(left)} runs on after "
                f'{", ".join(names)} was stopped. Stop it in the guest, and look at what has '
                'started it.',
                'SERVICE_NOT_STOPPED',
            )
