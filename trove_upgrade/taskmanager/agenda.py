# SPDX-License-Identifier: Apache-2.0
"""Work of one taskmanager: jobs that wait for a worker, jobs that run, and jobs that wait for their
time.  No threads in here.
"""

import dataclasses
import heapq
import itertools

from trove_upgrade.domain import ports
from trove_upgrade.taskmanager.fair_queue import FairQueue, Job, Shares


@dataclasses.dataclass(frozen=True)
class Again:
    """A job has run and wants to run once more."""

    seconds: float  #: from now
    is_slow: bool = False  #: it has kept its worker waiting of late
    rests: bool = False  #: not sooner, even where a nudge came while it ran


class Agenda:
    """Jobs that wait for a worker or for their time. Not safe to share between threads: its owner
    has the lock.
    """

    def __init__(self, shares: Shares, clock: ports.Clock) -> None:
        self._queue = FairQueue(shares)
        self._clock = clock
        self._numbers = itertools.count()  # jobs of the same moment are not compared
        self._timers: list[tuple[float, int, Job]] = []
        #: of each job the number of its timer that counts: a run on a nudge sets a new one, and two
        #: would run the job twice as often from then on
        self._current: dict[tuple[str, str], int] = {}

    def put(self, job: Job) -> None:
        """Run a job as soon as a worker is free for it; where it runs just now, once more
        afterwards.
        """
        self._queue.put(job)

    def take(self) -> Job | None:
        """Return the job that a worker is to run now; None: nothing."""
        return self._queue.take()

    def ran(self, job: Job, again: Again | None) -> None:
        """Note that a job of `take` has been run; without `again` it has ended, or another
        taskmanager has it.
        """
        nudged = self._queue.done(job)
        self._current.pop(job.key, None)
        if again is not None:
            job = dataclasses.replace(
                job, turn=dataclasses.replace(job.turn, is_slow=again.is_slow)
            )
        if nudged is not None and (again is None or not again.rests):
            self.put(nudged if again is None else job)
        elif again is not None:
            number = self._current[job.key] = next(self._numbers)
            heapq.heappush(self._timers, (self._clock.monotonic() + again.seconds, number, job))

    def wake(self) -> float | None:
        """Put in what has waited for its time; by the monotonic clock,
        when the next one's time comes.
        """
        while self._timers:
            moment, number, job = self._timers[0]
            counts = self._current.get(job.key) == number
            if counts and moment > self._clock.monotonic():
                return moment
            heapq.heappop(self._timers)
            if counts:
                del self._current[job.key]
                self.put(job)
        return None
