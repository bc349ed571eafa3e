# SPDX-License-Identifier: Apache-2.0
"""Workers of a taskmanager in simulated time: the real agenda, runner and rows, and guests that
take their time or never answer.

A run begins and ends in the database at once; its worker is taken for as long as its guest was
waited for.
"""

import heapq
import itertools

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guests import JobState
from trove_upgrade.domain.outcomes import Wait
from trove_upgrade.taskmanager.agenda import Agenda
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.tests.unit.taskmanager import fakes

CALL_SECONDS = 15.0


class RunClock:
    """Implements ports.Clock: the simulated moment, and what the present run has waited since."""

    def __init__(self, clock):
        self._clock = clock
        self.waited = 0.0

    def now(self):
        return self._clock.now()

    def monotonic(self):
        return self._clock.monotonic() + self.waited


class Guests:
    """Implements ports.Guest for many: an instance's seconds until its answer, one for each call in
    turn; None: there is none.
    """

    def __init__(self, clock):
        self._clock = clock
        self._takes = {}
        self.calls = []
        #: of method and call: the error of the broker or of Nova, after the time of a call
        self.outage = None

    def take(self, instance_id, *seconds):
        self._takes[instance_id] = itertools.cycle(seconds)

    def __getattr__(self, method):
        return lambda call: self._answer(method, call)

    def _answer(self, method, call):
        self.calls.append((self._clock.monotonic(), call.instance_id))
        if self.outage is not None:
            self._clock.waited += CALL_SECONDS
            raise self.outage(method, call)
        seconds = next(self._takes.get(call.instance_id, iter([0.0])))
        self._clock.waited += CALL_SECONDS if seconds is None else seconds
        if seconds is None:
            raise exceptions.GuestUnavailable(
                instance_id=call.instance_id, method=method, timeout_seconds=CALL_SECONDS
            )
        return fakes.answer(JobState.RUNNING)


class Simulation:
    """N workers that share an agenda."""

    def __init__(self, clock, runs, shares=None):
        """`runs(run_clock)`: by kind of job what runs it."""
        self._clock = clock
        self._run_clock = RunClock(clock)
        self.guests = Guests(self._run_clock)
        self._runs = runs(self.guests, self._run_clock)
        self.agenda = Agenda(shares or Shares.of_percent(8, slow=50, project=75), clock)
        self._busy = []
        self._numbers = itertools.count()
        self.turns = []  #: (when, id, worker seconds) of all that was run

    def run_for(self, seconds):
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            next_timer = self.agenda.wake()
            while (job := self.agenda.take()) is not None:
                self._begin(job)
            moments = [
                moment
                for moment in (next_timer, self._busy[0][0] if self._busy else None, until)
                if moment is not None
            ]
            self._clock.pass_time(max(0.0, min(moments) - self._clock.monotonic()))
            while self._busy and self._busy[0][0] <= self._clock.monotonic():
                _, _, job, again = heapq.heappop(self._busy)
                self.agenda.ran(job, again)

    def _begin(self, job):
        self._run_clock.waited = 0.0
        again = self._runs[job.kind](job.turn.id)
        self.turns.append((self._clock.monotonic(), job.turn.id, self._run_clock.waited))
        heapq.heappush(
            self._busy,
            (
                self._clock.monotonic() + self._run_clock.waited + 0.01,
                next(self._numbers),
                job,
                again,
            ),
        )

    def turns_of(self, *ids):
        return [turn for turn in self.turns if turn[1] in ids]


class AskingStep:
    """A step that asks its guest and waits for it: as quiesce or restore, without their own
    conditions.
    """

    timeout_seconds, hold_seconds = 1e9, 30.0

    def __init__(self, guests, calls):
        self._guests = guests
        self._calls = calls

    def run(self, row):
        self._guests.pre_upgrade(self._calls.plain(row))
        return Wait(upgrade=row, seconds=1.0)

    def expired(self, row, found):
        raise AssertionError(f'{row.id}: {found}')
