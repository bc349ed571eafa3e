# SPDX-License-Identifier: Apache-2.0
"""Threads that run what is due: on a nudge at once, at its time, or when recovery finds it."""
import collections
import heapq
import itertools
import threading
from collections.abc import Callable, Mapping

from trove_upgrade.domain import ports

#: What to run: a kind and an id.  Returns seconds until it wants to run again, or None.
Job = tuple[str, str]
Run = Callable[[str], float | None]


class Scheduler:
    """One queue without repetitions, N workers, one thread that minds the clock.

    A nudge for something that runs just now makes it run once more afterwards: it may have looked before the nudge's cause.
    """

    def __init__(self, runs: dict[str, Run], look: Callable[[], None], clock: ports.Clock, *, workers: int, poll_seconds: float,
                 shares: Mapping[str, int] | None = None) -> None:
        """`shares`: how many of a kind run at once, at most; whatever else waits overtakes them."""
        self._runs = runs
        self._shares = shares or {}
        self._look = look
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._condition = threading.Condition()
        self._ready: dict[str, collections.deque[tuple[int, Job]]] = {kind: collections.deque() for kind in runs}
        self._tickets = itertools.count()    # the order in which jobs came, over all kinds
        self._queued: set[Job] = set()
        self._running: set[Job] = set()
        self._again: set[Job] = set()
        self._timers: list[tuple[float, Job]] = []
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, name=f'worker-{number}', daemon=True) for number in range(workers)]
        self._threads.append(threading.Thread(target=self._mind, name='scheduler', daemon=True))

    def start(self) -> None:
        """Begin with a look at what is due."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Begin nothing new; wait for what runs, at most this long altogether.  What is cut short is found again by its lease."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        until = self._clock.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - self._clock.monotonic()))

    def nudge(self, kind: str, what: str) -> None:
        """Run it as soon as a worker is free."""
        with self._condition:
            self._put((kind, what))

    def _put(self, job: Job) -> None:
        if job in self._running:
            self._again.add(job)
        elif job not in self._queued:
            self._queued.add(job)
            self._ready[job[0]].append((next(self._tickets), job))
            self._condition.notify_all()

    def _work(self) -> None:
        while True:
            with self._condition:
                kind = self._next_kind()
                while kind is None and not self._stopping:
                    self._condition.wait()
                    kind = self._next_kind()
                if self._stopping or kind is None:
                    return
                _, job = self._ready[kind].popleft()
                self._queued.discard(job)
                self._running.add(job)
            seconds = self._runs[job[0]](job[1])
            with self._condition:
                self._running.discard(job)
                if job in self._again:
                    self._again.discard(job)
                    self._put(job)
                elif seconds is not None:
                    heapq.heappush(self._timers, (self._clock.monotonic() + seconds, job))
                self._condition.notify_all()    # the clock's thread, and who waits for a share

    def _next_kind(self) -> str | None:
        """Whose turn it is: the one that came first, of the kinds that have not used up their share."""
        busy = collections.Counter(kind for kind, _ in self._running)
        heads = [(queue[0][0], kind) for kind, queue in self._ready.items() if queue and busy[kind] < self._shares.get(kind, len(self._threads))]
        return min(heads)[1] if heads else None

    def _mind(self) -> None:
        next_look = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= next_look:
                self._look()
                next_look = self._clock.monotonic() + self._poll_seconds
            with self._condition:
                if self._stopping:
                    return
                now = self._clock.monotonic()
                while self._timers and self._timers[0][0] <= now:
                    self._put(heapq.heappop(self._timers)[1])
                until = min(next_look, self._timers[0][0] if self._timers else next_look)
                if until > now:
                    self._condition.wait(until - now)
