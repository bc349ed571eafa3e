# SPDX-License-Identifier: Apache-2.0
"""Steps per second of a healthy project beside 24 guests of another one that never answer, against
the same project alone.

Real scheduler, runner and rows on a MariaDB of its own; guests are stand-ins.  A silent call takes
a tenth of the 15 s that it takes in a cloud, so that there are several in the time that is
measured.
"""

import collections
import dataclasses
import logging
import time
from typing import Any

from trove_upgrade.clock import SystemClock
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.guests import GuestCall, JobState
from trove_upgrade.domain.outcomes import Wait
from trove_upgrade.taskmanager import holdings
from trove_upgrade.taskmanager.endings import Endings
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.taskmanager.recovery import Recovery
from trove_upgrade.taskmanager.runner import Runner
from trove_upgrade.taskmanager.scheduler import Scheduler
from trove_upgrade.taskmanager.step_runner import StepRunner
from trove_upgrade.taskmanager.steps import calls, undo
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.taskmanager import fakes, simulation

SECONDS = 30
HEALTHY, SILENT = 8, 24
#: The silent project costs no more than this share of the healthy one's steps; what the two cores
#: do for it is in here.
LEAST_RATIO = 0.7
_WORKERS = 8
_SILENT_SECONDS = 1.5
_PAUSE_SECONDS = 0.1


class _Guests:
    """Implements ports.Guest as far as the step asks: by instance, an answer at once or none."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.answered: collections.Counter[str] = collections.Counter()

    def pre_upgrade(self, call: GuestCall) -> Any:
        if call.instance_id in self.silent:
            time.sleep(_SILENT_SECONDS)
            raise exceptions.GuestUnavailable(
                instance_id=call.instance_id, method='pre_upgrade', timeout_seconds=_SILENT_SECONDS
            )
        self.answered[call.instance_id] += 1
        return fakes.answer(JobState.RUNNING)


class _Step(simulation.AskingStep):
    """Asks again soon."""

    def run(self, row: Any) -> Wait:
        return dataclasses.replace(super().run(row), seconds=_PAUSE_SECONDS)


def measure() -> dict[str, float]:
    """The two rates and their ratio."""
    logging.getLogger('trove_upgrade').setLevel(logging.ERROR)  # each silent guest is a warning
    server = old_rows.MariaDB()
    server.setUp()
    try:
        alone = _rate(server.create(), silent=0)
        beside = _rate(server.create(), silent=SILENT)
    finally:
        server.cleanUp()
    print(
        f'steps of a project with {HEALTHY} upgrades: alone {alone:.1f}/s; beside {SILENT} guests '
        f'of another that never answer {beside:.1f}/s; ratio {beside / alone:.2f}'
    )
    return {'alone_per_second': alone, 'beside_per_second': beside, 'ratio': beside / alone}


def _rate(url: str, *, silent: int) -> float:
    """Steps per second, from a moment when all run."""
    db = database.SampleDatabase(url)
    db.setUp()
    guests, clock = _Guests(), SystemClock()
    try:
        for project, count in (('silent', silent), ('healthy', HEALTHY)):
            for _ in range(count):
                instance_id = db.add_instance(project_id=project)
                if project == 'silent':
                    guests.silent.add(instance_id)
                db.begin(instance_id)
        scheduler = _scheduler(db, guests, clock)
        scheduler.start()
        began, before = clock.monotonic(), guests.answered.total()
        time.sleep(SECONDS)
        rate = (guests.answered.total() - before) / (clock.monotonic() - began)
        scheduler.stop(60)
        return rate
    finally:
        db.cleanUp()


def _runner(repos: Any, guests: Any, call: calls.Calls, clock: SystemClock) -> Runner:
    step: Any = _Step(guests, call)
    return Runner(
        upgrades=repos.upgrades,
        instances=repos.instances,
        steps=dict.fromkeys(states.STEPS, step),
        undo=undo.Undo(agent=guests, calls=call, timeout_seconds=100, hold_seconds=30),
        step_runner=StepRunner(instances=repos.instances, guests=repos.guests, clock=clock),
        endings=Endings(
            upgrades=repos.upgrades,
            held=repos.held_upgrades,
            writes_service_status=False,
            on_event=lambda: None,
        ),
        held=repos.holds,
        clock=clock,
        holdings=holdings.of_upgrades(repos.held_upgrades, clock, 'bench', 60),
    )


def _scheduler(db: Any, guests: Any, clock: SystemClock) -> Scheduler:
    repos = db.repositories
    call = calls.Calls(
        datastores=repos.datastores,
        clock=clock,
        options=GuestOptions(),
        poll_seconds=_PAUSE_SECONDS,
        poll_max_seconds=_PAUSE_SECONDS,
        call_timeout_seconds=_SILENT_SECONDS,
    )
    runner = _runner(repos, guests, call, clock)
    found: list[Scheduler] = []
    recovery = Recovery(
        upgrades=repos.upgrades,
        checks=repos.checks,
        put_upgrade=lambda turn: found[0].nudge('upgrade', turn),
        put_check=lambda _turn: None,
    )
    found.append(
        Scheduler(
            {'upgrade': runner.run},
            recovery.run_once,
            clock,
            shares=Shares.of_percent(_WORKERS, slow=50, project=75),
            poll_seconds=2,
        )
    )
    return found[0]
