# SPDX-License-Identifier: Apache-2.0
"""Crew of a run: a few threads, each of which takes one member after the other."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable
from typing import Protocol

from trove_upgrade.bridge.outages import Outages, first_line
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.steps.step import Stopped
from trove_upgrade.domain import logs
from trove_upgrade.domain.bridge_runs import Claim, Member, MemberLost, NoRoom
from trove_upgrade.domain.waits import Pause

LOG = logs.get_logger(__name__)

#: Makes the runner of a number, which asks whether it is to stop.
Make = Callable[[int, Callable[[], bool]], MemberRunner]


class Watcher(Protocol):
    """Takes note of what the crew waits for.  Called from any thread."""

    def waits(self, claim: Claim) -> None:
        """Members are left, and none of them may be begun now."""

    def outage(self, error: Exception, patience_seconds: float) -> None:
        """A service gives no answer; it is asked again for so long."""

    def ending(self, run_id: str, held: int) -> None:
        """The crew was told to end: so many members finish their present step first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pauses:
    """Waiting of a crew."""

    pause: Pause
    turn_seconds: float = 1.0  #: between two looks for a member that may be begun
    outage_seconds: float = 5.0  #: before a service is asked again


class Crew:
    """Works on a run until no member is left that may be begun here."""

    def __init__(
        self, make: Make, count: int, *, outages: Outages, pauses: Pauses, watcher: Watcher
    ) -> None:
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._at_work: set[str] = set()  #: instances
        self._runners = [make(number, self._stopping.is_set) for number in range(count)]
        self._outages, self._pauses, self._watcher = outages, pauses, watcher

    def work(self, run_id: str) -> None:
        """Run all members that are free, in the run's waves.  An error of one runner ends its work
        alone, and is raised when the others have ended; an outage is waited for.

        An interruption lets each runner end its present step and close its port.
        """
        with concurrent.futures.ThreadPoolExecutor(
            len(self._runners), thread_name_prefix='bridge'
        ) as pool:
            try:
                futures = [pool.submit(self._take_turns, one, run_id) for one in self._runners]
                concurrent.futures.wait(futures)
            except BaseException:
                self._stopping.set()
                self._watcher.ending(run_id, len(self._at_work))
                raise
        for future in futures:
            future.result()

    def _take_turns(self, runner: MemberRunner, run_id: str) -> None:
        while not self._stopping.is_set():
            member: Member | None = None
            try:
                member = self._next(runner, run_id)
                if member is None:
                    return
                self._work(runner, member)
            except (MemberLost, NoRoom) as error:
                LOG.warning('%s', error.message)
            except Stopped:
                return
            except Exception as error:
                if not runner.is_outage(error):
                    self._give_up(error, runner, member)
                    raise
                self._wait_for(error, runner, member)
            else:
                self._outages.ended(member.instance_id)

    @staticmethod
    def _give_up(error: Exception, runner: MemberRunner, member: Member | None) -> None:
        """Log at once what ends a runner, and keep the others from its member."""
        where = 'between two members' if member is None else f'at instance {member.instance_id}'
        LOG.error('A thread of the bridge ends %s', where, exc_info=error)
        if member is not None:
            runner.kept.add(member.instance_id)

    def _work(self, runner: MemberRunner, member: Member) -> None:
        self._at_work.add(member.instance_id)
        try:
            runner.work(member)
        finally:
            self._at_work.discard(member.instance_id)

    def _next(self, runner: MemberRunner, run_id: str) -> Member | None:
        """Return a member that was claimed; None: no other one will be begun.  One runner looks at
        a time, the others wait for it.
        """
        with self._turn:
            while not self._stopping.is_set():
                claim = runner.claim(run_id)
                if claim.member is not None or not claim.is_to_ask_again:
                    return claim.member
                self._watcher.waits(claim)
                self._pauses.pause.sleep(self._pauses.turn_seconds)
        return None

    def _wait_for(self, error: Exception, runner: MemberRunner, member: Member | None) -> None:
        """Wait until the member, if there is one, can be let go: else none could take it before its
        lease is over.  An outage that lasts too long is raised.
        """
        while True:
            verdict = self._outages.verdict(None if member is None else member.instance_id)
            if verdict.is_too_long:
                raise error
            if verdict.is_new:
                LOG.warning('%s', first_line(error))
                self._watcher.outage(error, self._outages.patience_seconds)
            self._pauses.pause.sleep(self._pauses.outage_seconds)
            if member is None or self._stopping.is_set():
                return
            try:
                runner.let_go(member)
            except Exception as again:
                if not runner.is_outage(again):
                    raise
                error = again
            else:
                return
