# SPDX-License-Identifier: Apache-2.0
"""The order in which jobs get workers: project by project,
within shares.  No threads and no clock in here.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from trove_upgrade.domain.turn import Turn


@dataclasses.dataclass(frozen=True)
class Job:
    """One job: its kind, and the row."""

    kind: str
    turn: Turn

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells whether this job waits or runs already."""
        return self.kind, self.turn.id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
    """Number of workers, and the most of them that some jobs may have;
    each share is at least one.
    """

    workers: int
    slow: int  #: for all jobs that have kept a worker waiting of late
    project: int  #: for all jobs of one project
    kinds: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_percent(
        cls, workers: int, *, slow: int, project: int, kinds: Mapping[str, int] | None = None
    ) -> 'Shares':
        """`slow`, `project`: percent of the workers.  Where there are two or more, one is always
        left for other jobs.
        """
        most = max(1, workers - 1)

        def share(percent: int) -> int:
            return max(1, min(most, workers * percent // 100))

        return cls(workers=workers, slow=share(slow), project=share(project), kinds=kinds or {})

    @staticmethod
    def of_one_project(share: int) -> int:
        """Return the workers that one project may have of a share: it leaves one to the others."""
        return max(1, share - 1)


class FairQueue:
    """Jobs that wait and jobs that run; none is there twice.

    Next is a job of the project that has the fewest running; of several, of the one that had its
    turn longest ago.  Within a project they go in the order in which they came, but for those with
    a used-up share.
    """

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._waiting: dict[tuple[str, str, bool], collections.deque[tuple[int, Job]]] = {}
        self._queued: set[tuple[str, str]] = set()
        self._running: dict[tuple[str, str], Job] = {}
        self._again: dict[tuple[str, str], Job] = {}
        self._served: dict[str, int] = {}  # project -> the number of its last turn
        self._numbers = itertools.count(1)

    def put(self, job: Job) -> None:
        """Let it wait.  One that runs just now runs once more afterwards: it may have looked before
        the cause of this.
        """
        if job.key in self._running:
            self._again[job.key] = job
        elif job.key not in self._queued:
            self._queued.add(job.key)
            lane = (job.kind, job.turn.project_id, job.turn.is_slow)
            self._waiting.setdefault(lane, collections.deque()).append((next(self._numbers), job))

    def take(self) -> Job | None:
        """The next job; None: none waits that may run beside those that run."""
        counts = collections.Counter(
            key
            for job in self._running.values()
            for key in _counted(job.kind, job.turn.project_id, slow=job.turn.is_slow)
        )
        candidates = [
            (counts['project', lane[1]], self._served.get(lane[1], 0), waiting[0][0], lane)
            for lane, waiting in self._waiting.items()
            if self._may_run(counts, lane)
        ]
        if not candidates:
            return None
        lane = min(candidates)[-1]
        _, job = self._waiting[lane].popleft()
        if not self._waiting[lane]:
            del self._waiting[lane]
        self._queued.discard(job.key)
        self._running[job.key] = job
        self._served[job.turn.project_id] = next(self._numbers)
        return job

    def _may_run(self, counts: Mapping[tuple[str, ...], int], lane: tuple[str, str, bool]) -> bool:
        kind, project, slow = lane
        shares = self._shares
        limits: dict[tuple[str, ...], int] = {
            ('all',): shares.workers,
            ('project', project): shares.project,
        }
        if kind in shares.kinds:
            limits['kind', kind] = shares.kinds[kind]
            limits['kind', kind, project] = Shares.of_one_project(shares.kinds[kind])
        if slow:
            limits['slow',] = shares.slow
            limits['slow', project] = Shares.of_one_project(shares.slow)
        return all(counts[key] < limit for key, limit in limits.items())

    def done(self, job: Job) -> Job | None:
        """Record that a job runs no more. Returns the job as it was put meanwhile, if it was: the
        caller decides when it waits again.
        """
        self._running.pop(job.key, None)
        project = job.turn.project_id
        if not any(each.turn.project_id == project for each in self._running.values()) and all(
            lane[1] != project for lane in self._waiting
        ):
            self._served.pop(project, None)
        return self._again.pop(job.key, None)


def _counted(kind: str, project: str, *, slow: bool) -> Iterator[tuple[str, ...]]:
    """Each count that a running job is in."""
    yield ('all',)
    yield 'project', project
    yield 'kind', kind
    yield 'kind', kind, project
    if slow:
        yield ('slow',)
        yield 'slow', project
