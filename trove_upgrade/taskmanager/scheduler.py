# SPDX-License-Identifier: Apache-2.0
"""Threads that run what is due: on a nudge at once, at its time, or when recovery finds it."""

import threading
from collections.abc import Callable, Mapping

from trove_upgrade.domain import ports
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.agenda import Again, Agenda
from trove_upgrade.taskmanager.fair_queue import Job, Shares

#: Runs the row of that id.  None: it has ended, or another taskmanager has it.
Run = Callable[[str], Again | None]


class Scheduler:
    """One fair queue, N workers, one thread that minds the clock.

    A nudge for something that runs just now makes it run once more afterwards: it may have looked
    before the nudge's cause.
    """

    def __init__(
        self,
        runs: Mapping[str, Run],
        look: Callable[[], None],
        clock: ports.Clock,
        *,
        shares: Shares,
        poll_seconds: float,
    ) -> None:
        """`runs`: by kind of job; `look` puts in what is due."""
        self._runs = runs
        self._look = look
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._condition = threading.Condition()
        self._agenda = Agenda(shares, clock)
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f'worker-{number}', daemon=True)
            for number in range(shares.workers)
        ]
        self._threads.append(threading.Thread(target=self._mind, name='scheduler', daemon=True))

    def start(self) -> None:
        """Begin with a look at what is due."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Begin nothing new; wait for what runs, at most this long altogether.  What is cut short
        is found again by its lease.
        """
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        until = self._clock.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - self._clock.monotonic()))

    def nudge(self, kind: str, turn: Turn) -> None:
        """Run it as soon as a worker is free for it."""
        with self._condition:
            self._agenda.put(Job(kind, turn))
            self._condition.notify_all()

    def _work(self) -> None:
        while True:
            with self._condition:
                job = None if self._stopping else self._agenda.take()
                while job is None and not self._stopping:
                    self._condition.wait()
                    job = None if self._stopping else self._agenda.take()
                if job is None:
                    return
            again = self._runs[job.kind](job.turn.id)
            with self._condition:
                self._agenda.ran(job, again)
                # the clock's thread, and workers that wait for a share
                self._condition.notify_all()

    def _mind(self) -> None:
        next_look = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= next_look:
                self._look()
                next_look = self._clock.monotonic() + self._poll_seconds
            with self._condition:
                if self._stopping:
                    return
                next_timer = self._agenda.wake()
                self._condition.notify_all()
                until = next_look if next_timer is None else min(next_look, next_timer)
                seconds = until - self._clock.monotonic()
                if seconds > 0:
                    self._condition.wait(seconds)
