# SPDX-License-Identifier: Apache-2.0
"""Many upgrades that wait for Nova, in simulated time, and the requests that they cost."""

import dataclasses
import logging

import fixtures

from trove_upgrade.domain import compute, exceptions, states
from trove_upgrade.domain.outcomes import Done
from trove_upgrade.domain.server_changes import Glance
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager import manager, server_watch
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.fair_queue import Job
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.tests.fakes import FakeClock
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.taskmanager import fakes, simulation

POLL = 0.5
#: From a server that is ACTIVE to the end of Nova's action.
ACTION_SECONDS = 0.2
MARKER = 'u1:1'


class RebuildingNova:
    """Implements ports.Compute and ServerChanges for many servers, each of which is rebuilt for a
    time of its own; counts requests as the real clients make them.
    """

    def __init__(self, clock):
        self._clock = clock
        self.requests = 0
        self.looks = 0
        self.ends = {}
        self.markers = {}
        self.refusal = None
        self.may_list = True

    def server(self, server_id):
        self.requests += 1
        is_done = self._clock.monotonic() >= self.ends[server_id]
        return dataclasses.replace(
            fakes.FakeNova().state,
            id=server_id,
            status='ACTIVE' if is_done else 'REBUILD',
            task_state=None if is_done else 'rebuild_spawning',
            metadata={compute.MARKER_KEY: self.markers[server_id]},
        )

    def rebuild_result(self, server):
        if server.task_state is not None:
            return compute.RebuildResult.RUNNING
        self.requests += 2
        is_done = self._clock.monotonic() >= self.ends[server.id] + ACTION_SECONDS
        return compute.RebuildResult.SUCCESS if is_done else compute.RebuildResult.RUNNING

    def recent(self):
        self.requests += 1
        self.looks += 1
        if self.refusal is not None:
            raise self.refusal
        if not self.may_list:
            return None
        before = self.requests
        found = {server_id: self.server(server_id) for server_id in self.ends}
        self.requests = before
        return {key: Glance(one.status, one.task_state, one.metadata) for key, one in found.items()}


class TestTheRequestsOfManyUpgrades(base.TestCase):
    """The real step, agenda and watch."""

    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.row = self.stage.row(
            states.Step.REBUILD,
            rebuild_attempt=1,
            data={'rebuild_for_attempt': 1, 'rebuilds_in_attempt': 1},
        )
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))

    def wait_for_nova(self, count, *, together=True, **nova):
        """Return requests, and how late the latest of them was seen; each is rebuilt for 20 to 40
        seconds.
        """
        clock = FakeClock()
        self.nova = RebuildingNova(clock)
        for name, value in nova.items():
            setattr(self.nova, name, value)
        run = simulation.Simulation(clock, lambda _guests, _clock: {manager.UPGRADE: self.run_step})
        watch = server_watch.ServerWatch(
            self.nova if together else None,
            lambda turn: run.agenda.put(Job(manager.UPGRADE, turn)),
            clock,
            poll_seconds=POLL,
            outages=Outages(),
        )
        self.step = dataclasses.replace(
            self.stage.rebuild, nova=self.nova, poll_seconds=POLL, rest=watch.rest
        )
        self.rows, self.seen, self.clock = {}, {}, clock
        for number in range(count):
            self.begin(run, number, 20 + 20 * number / count)
        for _ in range(int(60 / POLL)):
            run.run_for(POLL)
            watch.look()
        self.assertEqual(self.rows.keys(), self.seen.keys())
        late = [self.seen[key] - self.nova.ends[row.server_id] for key, row in self.rows.items()]
        return self.nova.requests, max(late)

    def begin(self, run, number, seconds):
        """An upgrade that Nova has accepted the rebuild of."""
        row = self.row.evolve(server_id=f'server-{number}')
        row = dataclasses.replace(row, id=f'upgrade-{number}')
        row = row.evolve(progress=row.progress.rebuild_accepted(row.attempt))
        self.rows[row.id] = row
        self.nova.markers[row.server_id] = row.marker
        self.nova.ends[row.server_id] = self.clock.monotonic() + seconds
        run.agenda.put(Job(manager.UPGRADE, Turn(row.id, f'project-{number}')))

    def run_step(self, upgrade_id):
        if upgrade_id in self.seen:
            return None
        outcome = self.step.run(self.rows[upgrade_id])
        if isinstance(outcome, Done):
            self.seen[upgrade_id] = self.clock.monotonic()
            return None
        return Again(outcome.seconds)

    def test_are_those_of_one_look_where_there_are_many(self):
        for count, most in ((1, 1.0), (10, 0.5), (50, 0.25)):
            alone, late_alone = self.wait_for_nova(count, together=False)
            together, late = self.wait_for_nova(count)
            self.assertLessEqual(together, most * alone, count)
            self.assertLessEqual(late, late_alone + POLL, count)

    def test_are_each_upgrade_s_own_where_nova_lets_none_list_all_and_one_line_tells_it(self):
        alone, late_alone = self.wait_for_nova(10, together=False)
        together, late = self.wait_for_nova(10, may_list=False)
        self.assertEqual(1, self.nova.looks)
        self.assertLessEqual(together, alone + 20)
        self.assertLessEqual(late, late_alone + POLL)
        self.assertEqual(1, self.log.output.count('does not let the service user list'))

    def test_are_each_upgrade_s_own_for_a_while_after_a_look_without_an_answer(self):
        down = exceptions.ComputeUnavailable(what='changes', found='503')
        _, late_alone = self.wait_for_nova(10, together=False)
        _, late = self.wait_for_nova(10, refusal=down)
        self.assertLessEqual(self.nova.looks, 3)
        self.assertLessEqual(late, late_alone + POLL)
        self.assertEqual(1, self.log.output.count('Nova could not be asked for the servers'))


class Changes:
    """Implements ServerChanges: what it is given, once."""

    def __init__(self):
        self.glances = {}
        self.before = lambda: None

    def recent(self):
        self.before()
        return self.glances


class TestServerWatch(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.row = self.stage.row(states.Step.REBUILD)
        self.clock, self.changes, self.woken = FakeClock(), Changes(), []
        self.watch = server_watch.ServerWatch(
            self.changes,
            lambda turn: self.woken.append(turn.id),
            self.clock,
            poll_seconds=POLL,
            outages=Outages(),
        )

    def waits(self, name, marker=MARKER):
        upgrade = dataclasses.replace(self.row, id=name)
        server = dataclasses.replace(
            fakes.FakeNova().state, id=name, metadata={compute.MARKER_KEY: marker}
        )
        return self.watch.rest(upgrade, server)

    def glance(self, status='REBUILD', task='rebuild_spawning', marker=MARKER):
        return Glance(status, task, {compute.MARKER_KEY: marker})

    def test_an_upgrade_alone_reads_its_own_server(self):
        self.assertEqual([POLL, POLL], [self.waits('a'), self.waits('a')])
        self.changes.before = lambda: self.fail('Nova was asked')
        self.watch.look()

    def test_one_that_comes_back_no_more_is_none_beside_others(self):
        self.waits('a')
        self.clock.pass_time(60)
        self.assertEqual(POLL, self.waits('b'))

    def test_each_change_has_its_upgrade_go_on_and_no_other(self):
        changed = [
            self.glance('ACTIVE', None),
            self.glance('ERROR', None),
            self.glance('DELETED', None),
            self.glance(marker='u1:2'),
            self.glance('REBOOT', 'rebooting'),
        ]
        self.waits('first')
        for number, glance in enumerate([*changed, self.glance()]):
            self.assertEqual(server_watch.REST_SECONDS, self.waits(f'u{number}'))
            self.changes.glances[f'u{number}'] = glance
        self.waits('unseen')
        self.watch.look()
        self.assertEqual({f'u{number}' for number in range(len(changed))}, set(self.woken))
        self.watch.look()
        self.assertEqual(len(changed), len(self.woken))

    def test_a_refused_look_is_asked_for_again_after_ten_minutes(self):
        self.changes.glances = None
        self.waits('first')
        self.assertEqual(server_watch.REST_SECONDS, self.waits('a'))
        self.watch.look()
        self.assertEqual(['a'], self.woken)
        self.waits('first')
        self.assertEqual(POLL, self.waits('a'))
        self.changes.glances = {'a': self.glance('ACTIVE', None)}
        self.clock.pass_time(600)
        self.waits('first')
        self.assertEqual(server_watch.REST_SECONDS, self.waits('a'))
        self.watch.look()
        self.assertEqual(['a'] * 2, self.woken)

    def test_a_step_that_has_looked_during_the_look_is_not_woken_by_it(self):
        self.waits('first')
        self.waits('a')
        self.changes.glances = {'a': self.glance('ACTIVE', None)}
        self.changes.before = lambda: self.waits('a')
        self.watch.look()
        self.assertEqual([], self.woken)

    def test_a_flood_of_words_about_one_server_has_its_upgrade_go_on_once_in_an_interval(self):
        for _ in range(100):
            self.waits('a')
            self.watch.told('a')
            self.watch.told('unknown')
        self.assertEqual(['a'], self.woken)
        self.clock.pass_time(POLL)
        self.watch.told('a')
        self.assertEqual(['a', 'a'], self.woken)
        self.watch.told('a')
        self.assertEqual(['a', 'a'], self.woken)
