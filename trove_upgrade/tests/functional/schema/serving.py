# SPDX-License-Identifier: Apache-2.0
"""Services of two releases at work on one database, and each request of theirs that failed."""

import collections
import contextlib
import dataclasses
import datetime
import itertools
import queue
import random
import threading
import time
import traceback
import uuid

from trove_upgrade.db import engine, repositories
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.services import TASKMANAGER
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.functional.schema import aurora, borealis, old_rows
from trove_upgrade.waiting import wait_until

SECONDS = 300  #: for anything that must happen
LIVING = 12  #: upgrades at a time
PROJECT = uuid.uuid4().hex
VERSIONS = ('10.11.14', '11.8.6')

_PAUSE = 0.1  #: between two turns of a worker: the machine has two cores
_LEASE = 60  #: seconds that a turn could take
_LONG_HISTORY = 12  #: steps after which an upgrade ends


class Failures:
    """Each request that failed, and how."""

    def __init__(self):
        self.found = []

    @contextlib.contextmanager
    def watch(self, who, what):
        try:
            yield
        except Exception as error:
            self.found.append(f'{who}: {what}: {"".join(traceback.format_exception(error))}')


class World:
    """What all workers share: free instances, and what each upgrade's history must be."""

    def __init__(self):
        self.failures = Failures()
        self.instances = queue.SimpleQueue()  # free ones
        # upgrade: its steps, as they were last written; changed by who holds its lease
        self.expected = {}
        self.writers = collections.defaultdict(list)
        self.living = set()
        self._numbers = itertools.count(1)

    def number(self):
        return next(self._numbers)

    def turns_taken(self, former, later):
        """How often one release wrote after the other."""
        return sum(
            (one, other) == (former, later)
            for writers in list(self.writers.values())
            for one, other in itertools.pairwise(list(writers))
        )


class AsAurora:
    """What a worker asks, answered by the first release."""

    release = aurora.RELEASE
    program_class = aurora.Aurora

    def __init__(self, url, host):
        self.program = self.program_class(url)
        self.host = host
        self.registration = self.program.register(host, TASKMANAGER)

    def beat(self):
        self.program.beat(self.host, TASKMANAGER)

    def begin(self, instance_id, version_id, number):
        return self.program.begin(
            instance_id, target_version_id=version_id, target_image_id='image', target_number=number
        ).id

    def due(self):
        return self.program.due(5)

    def claim(self, upgrade_id):
        """None: another service was quicker."""
        try:
            return self.program.claim(upgrade_id, self.host, _LEASE)
        except aurora.LeaseLost:
            return None

    def get(self, upgrade_id):
        return self.program.get(upgrade_id)

    def history(self, held):
        return held.steps

    def save(self, held, history, release_for_seconds=None):
        return self.program.save(held, history, release_for_seconds=release_for_seconds)

    def leave(self, held):
        self.program.renew(held, 0)

    def end(self, held, history):
        self.program.end(held, history, 'COMPLETED')

    def pages(self, project_id):
        first, marker = self.program.list(limit=20, project_id=project_id)
        return first + (
            self.program.list(limit=20, project_id=project_id, marker=marker)[0] if marker else []
        )

    def stop(self):
        self.program.remove(self.registration)
        self.program.engine.dispose()


class AsBorealis(AsAurora):
    """Answered by the release below."""

    release = borealis.RELEASE
    program_class = borealis.Borealis

    def beat(self):
        self.program.beat(self.host, TASKMANAGER, self.registration)


class AsInstalled:
    """Answered by what is installed."""

    release = RELEASE

    def __init__(self, url, host):
        self.database = engine.Database.from_url(url)
        self.repositories = repositories.Repositories.of(self.database)
        self.host = host
        self.registration = self.repositories.services.register(host, TASKMANAGER, '2.0.0')

    def beat(self):
        self.repositories.services.beat(self.registration)

    def begin(self, instance_id, version_id, _number):
        target = self.repositories.datastores.version_by_id(version_id)
        return self.repositories.upgrades.begin(
            self.repositories.instances.get(instance_id),
            target,
            target_image_id='image',
            request_id='req-installed',
            user_id='user',
        ).id

    def due(self):
        return [turn.id for turn in self.repositories.upgrades.due(5)]

    def claim(self, upgrade_id):
        try:
            return self.repositories.upgrades.claim(upgrade_id, self.host, _LEASE)
        except exceptions.LeaseLost:
            return None

    def get(self, upgrade_id):
        return self.repositories.upgrades.get(upgrade_id)

    def history(self, held):
        return [entry_of(run) for run in held.steps]

    def save(self, held, history, release_for_seconds=None):
        return self.repositories.upgrades.save(
            _with(held, history), release_for_seconds=release_for_seconds
        )

    def leave(self, held):
        self.repositories.held_upgrades.renew(self.host, [held.id], 0)

    def end(self, held, history):
        self.repositories.upgrades.end(_with(held, history), states.UpgradeState.COMPLETED)

    def pages(self, project_id):
        first = self.repositories.upgrades.list(limit=20, project_id=project_id)
        if first.next_marker is None:
            return first.items
        return (
            first.items
            + self.repositories.upgrades.list(
                limit=20, project_id=project_id, marker=first.next_marker
            ).items
        )

    def stop(self):
        self.repositories.services.remove(self.registration)
        self.database.dispose()


def entry_of(run):
    return {
        **dataclasses.asdict(run),
        'step': str(run.step),
        'started_at': run.started_at.isoformat(),
        'ended_at': run.ended_at.isoformat() if run.ended_at else None,
    }


def _with(held, history):
    runs = tuple(
        StepRun(
            **{
                **entry,
                'step': states.Step(entry['step']),
                **{
                    name: entry[name] and datetime.datetime.fromisoformat(entry[name])
                    for name in ('started_at', 'ended_at')
                },
            }
        )
        for entry in history
    )
    return held.evolve(steps=runs, step=runs[-1].step if runs else held.step)


class Worker(threading.Thread):
    """A service of one release: takes turns at upgrades that are due, of all releases."""

    def __init__(self, world, make, url, host, versions):
        super().__init__(name=host, daemon=True)
        self.world, self.versions = world, versions
        self.service = make(url, host)
        self.turns = 0
        self.longest = 0.0
        self._stopping = threading.Event()
        self._chance = random.Random(host)

    def run(self):
        while not self._stopping.wait(_PAUSE):
            self.turn()
        with self._asked('the last turn'):
            self.last_turn()
        with self._asked('stop'):
            self.service.stop()

    def drain(self, *, wait=True):
        """A clean stop."""
        self._stopping.set()
        if wait:
            self.join(SECONDS)

    @contextlib.contextmanager
    def _asked(self, what):
        began_at = time.monotonic()
        with self.world.failures.watch(self.name, what):
            yield
        self.longest = max(self.longest, time.monotonic() - began_at)

    def turn(self):
        """One of each request."""
        with self._asked('begin'):
            self.begin()
        with self._asked('due, claim, save, renew, end'):
            self.work()
        with self._asked('beat'):
            self.service.beat()
        self.turns += 1

    def begin(self):
        if len(self.world.living) >= LIVING:
            return
        try:
            instance_id = self.world.instances.get_nowait()
        except queue.Empty:
            return
        number = self._chance.randrange(len(VERSIONS))
        begun = self.service.begin(instance_id, self.versions[number], VERSIONS[number])
        self.world.living.add(begun)

    def work(self, *, to_end=False):
        """Whether an upgrade was written."""
        for upgrade_id in self.service.due():
            held = self.service.claim(upgrade_id)
            if held is not None:
                self.write(held, to_end=to_end)
                return True
        return False

    def write(self, held, *, to_end):
        """Journal the step that ends and the one that begins."""
        history = self.service.history(held)
        known = self.world.expected.get(held.id, [])
        if history != known:
            raise AssertionError(
                f'upgrade {held.id} should have {known}, and has {history}; written by '
                f'{self.world.writers[held.id]}'
            )
        history = self.longer(history)
        self.world.writers[held.id].append(self.service.release)
        self.world.expected[held.id] = history
        if to_end or len(history) > _LONG_HISTORY:
            self.service.end(held, history)
            self.world.living.discard(held.id)
            self.world.instances.put(held.instance_id)
        elif (
            self._chance.random() < 0.2
        ):  # it dies with its lease, which ends at once: the upgrade is taken over
            self.service.leave(self.service.save(held, history))
        else:
            held = self.service.save(held, history[:-1])
            self.service.save(held, history, release_for_seconds=0)

    def longer(self, history):
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec='microseconds')
        number = self.world.number()
        before = [
            *history[:-1],
            *(
                {**entry, 'ended_at': now, 'outcome': 'done', 'runs': entry['runs'] + 1}
                for entry in history[-1:]
            ),
        ]
        step = old_rows.STEPS[len(history) % len(old_rows.STEPS)]
        return [
            *before,
            {
                'step': step,
                'attempt': 1,
                'started_at': now,
                'ended_at': None,
                'runs': 1,
                'outcome': None,
                'percent': number % 101,
                'message': f"turn {number} of {self.name}: 100% 'ok' \u2713",
            },
        ]

    def last_turn(self):
        """What this release wrote last is what the next one finds."""
        wait_for(lambda: self.work(to_end=True), f'{self.name} finds an upgrade to end')


class Reader(Worker):
    """An API: reads pages and upgrades, and takes no other service's word for it."""

    def turn(self):
        with self._asked('list'):
            self.service.pages(PROJECT)
        with self._asked('list of old ones'):
            for found in self.service.pages('old')[:1]:
                self.check_old(found)
        with self._asked('get'):
            for upgrade_id in self._some(list(self.world.living)):
                self.service.get(upgrade_id)
        self.turns += 1

    def check_old(self, found):
        names = [entry['step'] for entry in self.service.history(found)]
        if names not in (list(old_rows.STEPS), list(old_rows.STEPS[:1])):
            raise AssertionError(f'{found.id} has {names}')

    def _some(self, ids):
        return self._chance.sample(ids, min(3, len(ids)))

    def last_turn(self):
        """It writes nothing."""


def wait_for(condition, what):
    if not wait_until(condition, SECONDS, interval_seconds=0.02):
        raise AssertionError(f'not within {SECONDS} s: {what}')
