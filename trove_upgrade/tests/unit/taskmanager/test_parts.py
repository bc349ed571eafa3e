# SPDX-License-Identifier: Apache-2.0
"""Outbox relay, stored checks, heartbeats, healing, scheduler, and a whole service on a broker in
memory.
"""

import dataclasses
import functools
import logging
import threading

import fixtures
import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clock import SystemClock
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.db import columns, models, outbox
from trove_upgrade.domain import guests, states, versions
from trove_upgrade.domain.events import NOTIFICATIONS, EventKind
from trove_upgrade.domain.guests import JobState, ServerState
from trove_upgrade.domain.turn import Turn
from trove_upgrade.rpc import serializer, transport
from trove_upgrade.rpc.taskmanager import TaskManagerAPI
from trove_upgrade.taskmanager import arguments as arguments_module
from trove_upgrade.taskmanager import holdings, manager, service
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.checks import CheckRunner
from trove_upgrade.taskmanager.fair_queue import Shares
from trove_upgrade.taskmanager.healing import Healer
from trove_upgrade.taskmanager.outbox import Relay
from trove_upgrade.taskmanager.outside import Ports
from trove_upgrade.taskmanager.recovery import Recovery
from trove_upgrade.taskmanager.repeater import Repeater
from trove_upgrade.taskmanager.scheduler import Scheduler
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.taskmanager import fakes
from trove_upgrade.waiting import wait_until


def wait_for(condition, seconds=20):
    if not wait_until(condition, seconds, interval_seconds=0.01):
        raise AssertionError('the condition did not come true in time')


class _PartCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.repos = self.stage.repos

    def completed(self):
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        row = self.stage.run_on(row.id)
        self.assertEqual(states.UpgradeState.COMPLETED, row.state)
        return row


class TestRelay(_PartCase):
    def relay(self, kinds=NOTIFICATIONS):
        return Relay(
            outbox=self.repos.outbox,
            upgrades=self.repos.upgrades,
            notifier=self.stage.notifier,
            agent=self.stage.guest,
            calls=self.stage.calls,
            kinds=kinds,
            retry_seconds=15,
        )

    def test_notifications_are_sent_in_order_and_once(self):
        self.completed()
        self.relay().run_once()
        self.relay().run_once()
        self.assertEqual([('start', 1), ('open', 1), ('end', 1)], self.stage.notifier.sent)

    def number_ends_as_borealis(self):
        with self.stage.db.database.write() as connection:
            connection.execute(
                sa.update(models.upgrade_outbox)
                .where(models.upgrade_outbox.c.kind == 'end')
                .values(position=1)
            )

    def test_an_opening_is_not_told_after_an_end_that_borealis_has_written(self):
        self.completed()
        self.number_ends_as_borealis()
        self.relay().run_once()
        self.assertEqual([('start', 1), ('end', 1)], self.stage.notifier.sent)
        self.assertEqual([], self.repos.outbox.pending(9, NOTIFICATIONS))

    def test_an_opening_that_was_told_before_such_an_end_is_told_before_it(self):
        self.completed()
        notifier = self.stage.notifier
        with self.stage.db.database.write() as connection:
            end = sa.select(models.upgrade_outbox).where(models.upgrade_outbox.c.kind == 'end')
            ended = connection.execute(end).one()._mapping
            connection.execute(
                sa.delete(models.upgrade_outbox).where(models.upgrade_outbox.c.kind == 'end')
            )
        self.relay().run_once()
        with self.stage.db.database.write() as connection:
            connection.execute(sa.insert(models.upgrade_outbox).values(**{**ended, 'position': 1}))
        self.relay().run_once()
        self.assertEqual([('start', 1), ('open', 1), ('end', 1)], notifier.sent)

    def test_what_was_not_sent_is_sent_later(self):
        self.completed()
        self.stage.notifier.down = True
        self.relay().run_once()
        self.stage.notifier.down = False
        self.relay().run_once()
        self.assertEqual([], self.stage.notifier.sent)
        self.stage.db.pass_time(16)
        self.relay().run_once()
        self.assertEqual([('start', 1), ('open', 1), ('end', 1)], self.stage.notifier.sent)

    def test_finish_is_repeated_until_the_guest_has_answered(self):
        row = self.completed()
        self.stage.guest.says(
            'finish_upgrade', fakes.silent(), fakes.answer(JobState.RUNNING), fakes.answer()
        )
        for _ in range(4):
            self.relay(frozenset({EventKind.FINISH})).run_once()
            self.stage.db.pass_time(31)
        calls = self.stage.guest.asked('finish_upgrade')
        self.assertEqual([(row.id, 1)] * 3, [(call.upgrade_id, call.attempt) for call in calls])

    def test_a_guest_that_stays_silent_is_asked_less_and_less_often_and_keeps_back_none_that_comes_later(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        silent = [
            self.stage.db.begin(self.stage.db.add_instance(project_id=f'project-{number}'))
            for number in range(5)
        ]
        with self.stage.db.database.write() as connection:
            for row in silent:
                outbox.write(connection, EventKind.FINISH, row)
        self.stage.guest.says('finish_upgrade', fakes.silent('finish_upgrade'))
        relay = self.relay(frozenset({EventKind.FINISH}))
        for asked in range(1, 6):
            relay.run_once()
            self.assertEqual(
                asked,
                len(self.stage.guest.asked('finish_upgrade')),
                'one silent guest in each look',
            )
        self.stage.db.pass_time(16)
        newcomer = self.completed()
        relay.run_once()
        self.assertEqual(newcomer.id, self.stage.guest.asked('finish_upgrade')[-1].upgrade_id)
        pauses = []
        for _ in range(200):
            before = len(self.stage.guest.asked('finish_upgrade'))
            relay.run_once()
            self.stage.db.pass_time(16)
            pauses.append(len(self.stage.guest.asked('finish_upgrade')) - before)
        self.assertLess(
            sum(pauses[100:]), 20, 'six guests in 26 minutes, where every 15 s would be 600 calls'
        )

    def test_a_guest_that_cannot_finish_is_not_asked_for_ever(self):
        self.completed()
        self.stage.guest.says('finish_upgrade', fakes.answer(JobState.FAILED, code='X'))
        for _ in range(2):
            self.relay(frozenset({EventKind.FINISH})).run_once()
            self.stage.db.pass_time(16)
        self.assertEqual(1, len(self.stage.guest.asked('finish_upgrade')))

    def test_a_guest_that_is_silent_for_a_week_is_given_up(self):
        self.completed()
        self.stage.guest.says('finish_upgrade', fakes.silent(), fakes.answer())
        relay = self.relay(frozenset({EventKind.FINISH}))
        relay.run_once()
        self.stage.db.pass_time(16)
        created = self.repos.outbox.pending(9, {EventKind.FINISH})[0].created_at
        self.stage.clock.pass_time((created - self.stage.clock.now()).total_seconds() + 8 * 86400)
        relay.run_once()
        self.assertEqual(1, len(self.stage.guest.asked('finish_upgrade')))
        self.assertEqual([], list(self.repos.outbox.pending(9, {EventKind.FINISH})))

    def test_an_event_that_cannot_be_sent_keeps_back_none_behind_it(self):
        self.completed()
        self.stage.notifier.send = lambda event: (
            self.sent.append(event.kind) if event.kind == 'end' else self.fail_to_send()
        )
        self.sent = []
        other = self.stage.db.begin(self.stage.db.add_instance())
        with self.stage.db.database.write() as connection:
            outbox.write(connection, EventKind.END, other)
            connection.execute(
                sa.update(models.upgrade_outbox)
                .where(
                    models.upgrade_outbox.c.upgrade_id == other.id,
                    models.upgrade_outbox.c.kind == 'start',
                )
                .values(sent_at=columns.now())
            )
        self.relay().run_once()
        self.assertEqual(['end'], self.sent)

    def fail_to_send(self):
        raise AttributeError('a fault of ours')

    def test_many_that_wait_for_guests_keep_back_no_notification(self):
        row = self.completed()
        with self.stage.db.database.write() as connection:
            connection.execute(
                sa.insert(models.upgrade_outbox),
                [
                    {
                        'id': f'{number:036d}',
                        'upgrade_id': f'u{number}',
                        'attempt': 1,
                        'position': 2,
                        'kind': 'finish',
                        'receiver': 'guest',
                        'payload': {},
                        'created_at': row.created_at,
                        'next_try_at': row.created_at,
                        'tries': 0,
                    }
                    for number in range(300)
                ],
            )
        self.relay().run_once()
        self.assertEqual([('start', 1), ('open', 1), ('end', 1)], self.stage.notifier.sent)

    def test_every_attempt_has_one_end(self):
        self.stage.nova.answers = []
        row = self.stage.until_boot()
        self.stage.clock.pass_time(101)
        self.stage.run_on(row.id)
        self.repos.upgrades.retry(row.id)
        self.stage.heartbeat(row)
        self.stage.run_on(row.id)
        self.relay().run_once()
        self.assertEqual(
            [('start', 1), ('error', 1), ('start', 2), ('open', 2), ('end', 2)],
            self.stage.notifier.sent,
        )


class TestCheckRunner(_PartCase):
    def setUp(self):
        super().setUp()
        self.pauses = []
        self.holdings = holdings.of_checks(self.repos.held_checks, self.stage.clock, 'tm', 15)
        self.runner = CheckRunner(
            checks=self.repos.checks,
            preflight=self.stage.preflight,
            calls=self.stage.calls,
            pause=self.pause,
            holdings=self.holdings,
            timeout_seconds=60,
            guests=self.repos.guests,
        )
        row = self.repos.instances.get(database.INSTANCE)
        target = self.repos.datastores.version_by_id(database.MARIADB_11_8)
        self.check_id = self.begin(row, target).id

    def begin(self, row, target):
        return self.repos.checks.begin(row, target)

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.stage.clock.pass_time(seconds)
        self.holdings.renew()  # as the keeper's thread does meanwhile

    def run_check(self):
        self.runner.run(self.check_id)
        return self.repos.checks.get(self.check_id, instance_id=database.INSTANCE)

    def test_the_report_has_nova_and_the_guest(self):
        check = self.run_check()
        self.assertEqual(('COMPLETED', True), (check.state, check.allowed))
        self.assertLess(
            {'server_active', 'image_active', 'guest_space'},
            {result.name for result in check.results},
        )
        self.assertEqual({'check_upgrade'}, {method for method, _ in self.stage.guest.calls})

    def test_everything_that_forbids_it_is_listed(self):
        self.stage.nova.change(locked=True, task_state='rebooting')
        self.stage.guest.says(
            'check_upgrade',
            fakes.answer(
                result={
                    'checks': [{'name': 'g', 'outcome': 'refused', 'message': 'm', 'code': 'G'}]
                }
            ),
        )
        check = self.run_check()
        self.assertFalse(check.allowed)
        self.assertLessEqual(
            {'SERVER_LOCKED', 'SERVER_BUSY', 'G'}, {result.code for result in check.results}
        )

    def test_an_error_that_nobody_expected_ends_the_check_instead_of_leaving_it_running(self):
        self.stage.nova.describe = lambda _server_id: 1 / 0
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.ERROR))
        check = self.run_check()
        self.assertEqual(
            ('COMPLETED', False, ['INTERNAL_ERROR']),
            (check.state, check.allowed, [result.code for result in check.results]),
        )
        self.assertIn('ZeroDivisionError', log.output)
        self.assertNotIn('ZeroDivisionError', check.results[0].message)

    def test_what_could_not_be_asked_is_unknown(self):
        self.stage.nova.unavailable = 'down'
        self.stage.guest.says('check_upgrade', fakes.silent('check_upgrade'))
        check = self.run_check()
        self.assertEqual(
            [('compute', 'unknown'), ('guest', 'unknown')],
            [(result.name, result.outcome) for result in check.results],
        )

    def silent_guest(self):
        self.stage.guest.says('check_upgrade', fakes.silent('check_upgrade'))
        check = self.run_check()
        self.assertFalse(check.allowed)
        (found,) = [result for result in check.results if result.name == 'guest']
        self.assertEqual('unknown', found.outcome)
        self.assertNotIn('asked again', found.message)
        return found

    def test_a_guest_that_was_never_heard_has_probably_no_agent_of_ours(self):
        self.stage.db.set_image(database.IMAGE_10_11)
        found = self.silent_guest()
        self.assertEqual('GUEST_NEVER_HEARD', found.code)
        self.assertIn('Ask the operator to put the agent into the guest', found.message)

    def test_of_a_guest_that_was_heard_before_it_says_when(self):
        self.repos.guests.record(
            guests.Heartbeat(
                instance_id=database.INSTANCE,
                boot_id='boot-9',
                marker=None,
                restored=True,
                agent_version='1.0',
                server_version=None,
                server_state=ServerState.RUNNING,
            )
        )
        seen_at = self.repos.guests.last_word(database.INSTANCE).seen_at
        found = self.silent_guest()
        self.assertEqual('GUEST_SILENT', found.code)
        self.assertIn(f'last heard at {seen_at:%Y-%m-%d %H:%M:%S} UTC', found.message)

    def test_what_nova_did_not_answer_is_not_said_to_be_asked_again(self):
        self.stage.nova.unavailable = 'down'
        (found,) = [result for result in self.run_check().results if result.name == 'compute']
        self.assertNotIn('asked again', found.message)
        self.assertIn('Ask for another check later.', found.message)

    def test_a_guest_that_works_is_waited_for_and_not_for_ever(self):
        done = self.stage.guest.script['check_upgrade'][0]
        self.stage.guest.says('check_upgrade', fakes.answer(JobState.RUNNING), done)
        self.assertTrue(self.run_check().allowed)
        self.assertEqual([0.5], self.pauses)

    def test_a_guest_that_never_ends_is_unknown(self):
        self.stage.guest.says('check_upgrade', fakes.answer(JobState.RUNNING))
        self.assertEqual(
            [('guest', 'unknown', 'GUEST_STILL_WORKING')],
            [
                (result.name, result.outcome, result.code)
                for result in self.run_check().results
                if result.outcome != 'ok'
            ],
        )

    def test_a_guest_that_answers_is_known_from_then_on(self):
        self.run_check()
        self.assertEqual(
            fakes.answer().boot_id, self.repos.guests.heartbeat(database.INSTANCE).boot_id
        )

    def test_an_answer_does_not_overwrite_what_a_heartbeat_said(self):
        said = guests.Heartbeat(
            instance_id=database.INSTANCE,
            boot_id='boot-9',
            marker='upgrade:1',
            restored=True,
            agent_version='1.0',
            server_version=None,
            server_state=ServerState.STOPPED,
        )
        self.repos.guests.record(said)
        self.stage.db.pass_time(10800)
        self.assertFalse(self.repos.guests.heard(database.INSTANCE, 3600))
        self.run_check()
        self.assertEqual(said, self.repos.guests.heartbeat(database.INSTANCE))
        self.assertTrue(self.repos.guests.heard(database.INSTANCE, 3600))


class TestHeartbeats(_PartCase):
    def setUp(self):
        super().setUp()
        self.nudges = []
        self.looks = []
        self.endpoint = manager.TaskManager(
            self.repos.upgrades,
            self.repos.checks,
            self.repos.guests,
            lambda kind, turn: self.nudges.append((kind, turn.id)),
            lambda: self.looks.append(1),
            self.stage.reports,
        )

    def beat(self, row, **changes):
        beat = guests.Heartbeat(
            instance_id=row.instance_id,
            boot_id=fakes.NEW_BOOT,
            marker=row.marker,
            restored=False,
            agent_version='1.0',
            server_version=None,
            server_state=ServerState.STOPPED,
        )
        self.endpoint.heartbeat(
            serializer.service_context(), heartbeat=dataclasses.replace(beat, **changes).to_wire()
        )

    def test_a_heartbeat_is_kept_and_wakes_its_upgrade(self):
        row = self.stage.until_boot()
        self.beat(row)
        self.assertEqual(fakes.NEW_BOOT, self.repos.guests.heartbeat(database.INSTANCE).boot_id)
        self.assertEqual([('upgrade', row.id)], self.nudges)

    def test_a_guest_that_no_upgrade_has_booted_wakes_the_one_that_holds_its_instance(self):
        row = self.stage.until_boot()
        for marker in (None, '00000000-0000-4000-8000-000000000000:1'):
            self.beat(row, marker=marker)
        self.assertEqual([('upgrade', row.id)] * 2, self.nudges)

    def test_a_guest_that_tells_the_same_again_wakes_nothing_more(self):
        row = self.stage.until_boot()
        for _ in range(3):
            self.beat(row, server_state=ServerState.RUNNING)
        self.assertEqual([('upgrade', row.id)], self.nudges)
        self.beat(row, server_state=ServerState.STOPPED)
        self.beat(row, restored=True)
        self.assertEqual([('upgrade', row.id)] * 3, self.nudges)

    def test_a_guest_of_another_instance_wakes_nothing_whatever_marker_it_reports(self):
        row = self.stage.until_boot()
        self.beat(row, instance_id=database.OTHER_INSTANCE)
        self.assertEqual([], self.nudges)

    def test_a_guest_of_no_instance_leaves_no_row_and_no_line(self):
        row = self.stage.until_boot()
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.INFO))
        unknown = '00000000-0000-4000-8000-00000000dead'
        for number in range(20):
            self.beat(row, instance_id=unknown, marker=f'{unknown}:{number}')
            self.beat(row, instance_id=database.OTHER_INSTANCE)
        self.assertEqual('', log.output)
        self.assertIsNone(self.repos.guests.heartbeat(unknown))
        self.assertEqual([], self.nudges)

    def test_a_cast_with_other_arguments_nudges_nothing_and_keeps_nothing(self):
        row, context = self.stage.until_boot(), serializer.service_context()
        beat = guests.Heartbeat(
            instance_id=row.instance_id,
            boot_id=fakes.NEW_BOOT,
            marker=row.marker,
            restored=False,
            agent_version='1.0',
            server_version=None,
            server_state=ServerState.STOPPED,
        ).to_wire()
        for method, arguments in (
            ('upgrade', {}),
            ('upgrade', {'instance_id': 'i'}),
            ('upgrade', {'instance_id': 7, 'datastore_version_id': 'v'}),
            ('upgrade', {'instance_id': 'i', 'datastore_version_id': 'v', 'upgrade_id': ['u']}),
            ('upgrade', {'instance_id': 'i', 'datastore_version_id': 'v', 'upgrade_id': 'u\n'}),
            ('upgrade', {'instance_id': 'i', 'datastore_version_id': 'v', 'surplus': 1}),
            ('check', {}),
            ('check', {'check_id': None}),
            ('check', {'check_id': 'x' * 65}),
            ('check', {'check_id': 'c', 'self': 1}),
            ('heartbeat', {}),
            ('heartbeat', {'heartbeat': 'x'}),
            ('heartbeat', {'heartbeat': {}}),
            ('heartbeat', {'heartbeat': beat, 'context': 1}),
            ('heartbeat', {'heartbeat': {**beat, 'restored': 'no'}}),
            ('heartbeat', {'heartbeat': {**beat, 'marker': 'FORGED\n'}}),
            ('heartbeat', {'heartbeat': {**beat, 'ballast': 'x' * 16_000_000}}),
        ):
            error = self.assertRaises(
                arguments_module.ArgumentsInvalid,
                functools.partial(getattr(self.endpoint, method), context, **arguments),
            )
            self.assertLess(len(error.message), 300)
            self.assertTrue(
                error.message.isprintable() and 'FORGED' not in error.message, error.message
            )
        self.assertEqual(([], []), (self.nudges, self.looks))
        self.assertIsNone(self.repos.guests.heartbeat(row.instance_id))

    def test_a_completed_upgrade_whose_root_disk_is_new_again_is_healed(self):
        row = self.completed()
        self.beat(row, boot_id='boot-again')
        self.assertEqual([('heal', row.id)], self.nudges)
        healer = Healer(
            upgrades=self.repos.upgrades,
            guests=self.repos.guests,
            agent=self.stage.guest,
            calls=self.stage.calls,
            timeout_seconds=100,
        )
        self.stage.guest.says('post_upgrade', fakes.answer(JobState.RUNNING), fakes.answer())
        self.assertEqual(Again(0.5, is_slow=True), healer.run(row.id))
        self.assertIsNone(healer.run(row.id))
        self.beat(row, restored=True)
        asked = len(self.stage.guest.calls)
        self.assertIsNone(healer.run(row.id))
        self.assertEqual(asked, len(self.stage.guest.calls))

    def test_a_word_of_before_the_restore_that_comes_late_heals_nothing(self):
        row = self.completed()
        self.beat(row, boot_id=stored.entries_of(row)['restored_boot_id'])
        self.assertEqual([], self.nudges)

    def test_healing_never_breaks_its_worker(self):
        row = self.completed()
        self.beat(row, boot_id='boot-again')
        healer = Healer(
            upgrades=self.repos.upgrades,
            guests=self.repos.guests,
            agent=self.stage.guest,
            calls=self.stage.calls,
            timeout_seconds=100,
        )
        self.stage.guest.says(
            'post_upgrade',
            fakes.silent(),
            fakes.answer(JobState.FAILED, code='X'),
            RuntimeError('boom'),
        )
        self.assertEqual(
            [None] * 4,
            [healer.run(row.id), healer.run(row.id), healer.run(row.id), healer.run('none')],
        )

    def test_a_nudge_without_an_upgrade_id_looks_at_all(self):
        row = self.stage.db.begin()
        check = self.repos.checks.begin(
            self.repos.instances.get(database.INSTANCE),
            self.repos.datastores.version_by_id(database.MARIADB_11_8),
        )
        self.nudge()
        self.nudge(upgrade_id=row.id)
        self.endpoint.check(serializer.service_context(), check_id=check.id)
        self.assertEqual(
            ([1], [('upgrade', row.id), ('check', check.id)]), (self.looks, self.nudges)
        )

    def nudge(self, **arguments):
        self.endpoint.upgrade(
            serializer.service_context(), instance_id='i', datastore_version_id='v', **arguments
        )

    def test_a_nudge_for_what_is_not_there_puts_in_nothing(self):
        for unknown in ('u', '00000000-0000-4000-8000-000000000000', database.INSTANCE):
            self.nudge(upgrade_id=unknown)
            self.endpoint.check(serializer.service_context(), check_id=unknown)
        self.nudge(upgrade_id=self.completed().id)
        self.assertEqual([], self.nudges)


def shares(workers, **kinds):
    return Shares(workers=workers, slow=workers, project=workers, kinds=kinds)


class TestScheduler(base.TestCase):
    def start(self, run, look=lambda: None, workers=2, poll_seconds=60):
        scheduler = Scheduler(
            {'upgrade': run}, look, SystemClock(), shares=shares(workers), poll_seconds=poll_seconds
        )
        scheduler.start()
        self.addCleanup(scheduler.stop, 10)
        return scheduler

    def test_a_nudge_runs_at_once_and_a_row_that_waits_runs_again_at_its_time(self):
        runs, answers = [], [Again(0.01), None]

        def run(what):
            runs.append(what)
            return answers.pop(0)

        self.start(run).nudge('upgrade', Turn('u1', 'p'))
        wait_for(lambda: len(runs) == 2)
        self.assertEqual(['u1', 'u1'], runs)

    def test_a_nudge_during_a_run_leads_to_one_more(self):
        begun, go_on, runs = threading.Event(), threading.Event(), []

        def run(what):
            runs.append(what)
            begun.set()
            go_on.wait(10)

        scheduler = self.start(run)
        scheduler.nudge('upgrade', Turn('u1', 'p'))
        begun.wait(10)
        for _ in range(5):
            scheduler.nudge('upgrade', Turn('u1', 'p'))
        self.assertEqual(1, len(runs), 'never twice at the same time')
        go_on.set()
        wait_for(lambda: len(runs) == 2)

    def test_whoever_asks_for_many_checks_delays_no_upgrade(self):
        go_on, checked, upgraded = threading.Event(), [], threading.Event()
        self.addCleanup(go_on.set)

        def check(what):
            checked.append(what)
            go_on.wait(20)

        scheduler = Scheduler(
            {'upgrade': lambda _what: upgraded.set(), 'check': check},
            lambda: None,
            SystemClock(),
            poll_seconds=60,
            shares=shares(2, check=1),
        )
        self.addCleanup(scheduler.stop, 10)
        for number in range(50):
            scheduler.nudge('check', Turn(f'c{number}', 'p'))
        scheduler.nudge('upgrade', Turn('u1', 'p'))
        scheduler.start()
        self.assertTrue(upgraded.wait(20))
        self.assertEqual(['c0'], checked)
        go_on.set()
        wait_for(lambda: len(checked) == 50)

    def test_recovery_puts_back_what_nobody_nudged_about(self):
        stage = self.useFixture(fakes.Stage())
        row = stage.db.begin()
        runs = []
        scheduler = None

        def put(turn):
            scheduler.nudge('upgrade', turn)

        recovery = Recovery(
            upgrades=stage.repos.upgrades, checks=stage.repos.checks, put_upgrade=put, put_check=put
        )
        scheduler = Scheduler(
            {'upgrade': runs.append},
            recovery.run_once,
            SystemClock(),
            shares=shares(1),
            poll_seconds=60,
        )
        self.addCleanup(scheduler.stop, 10)
        scheduler.start()
        wait_for(lambda: runs)
        self.assertEqual([row.id], runs)

    def test_a_repeater_acts_at_once_when_woken(self):
        acts = []
        repeater = Repeater('test', lambda: acts.append(1), 60)
        repeater.start()
        self.addCleanup(repeater.stop, 10)
        wait_for(lambda: len(acts) == 1)
        repeater.wake()
        wait_for(lambda: len(acts) == 2)


class HangingRegistry:
    """Takes signs of life; a removal waits until the test ends."""

    def __init__(self, services):
        self._services = services
        self.hangs, self.end = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._services, name)

    def remove(self, _registration):
        self.hangs.set()
        self.end.wait()


class TestService(base.TestCase):
    """The composed process, its RPC on oslo.messaging's driver in memory, its database a file."""

    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        path = self.useFixture(fixtures.TempDir()).path
        self.db = self.useFixture(database.SampleDatabase(f'sqlite:///{path}/db'))
        self.conf = cfg.ConfigOpts()
        our_conf.register_opts(self.conf)
        transport.register_missing_opts(self.conf)
        compute_conf.register_credentials(self.conf)
        self.conf(args=[])
        transport.get_transport(self.conf)
        self.conf.set_override('transport_url', f'fake://{path}')
        self.conf.set_override('taskmanager_poll_interval', 600, 'trove_upgrade')
        self.service = service.Service(self.conf, self.outside())
        self.service.start()
        self.addCleanup(self.service.stop)
        self.api = TaskManagerAPI.from_conf(self.conf)

    def outside(self, **changes):
        made = Ports(
            repos=self.db.repositories,
            nova=self.stage.nova,
            images=self.stage.images,
            agent=self.stage.guest,
            notifier=self.stage.notifier,
            clock=SystemClock(),
            rules=versions.Rules.load(),
        )
        return dataclasses.replace(made, **changes)

    def test_nudge_and_heartbeat_carry_an_upgrade_to_its_end(self):
        upgrades = self.db.repositories.upgrades
        row = self.db.begin()
        self.api.upgrade(serializer.service_context(), row)
        wait_for(lambda: upgrades.get(row.id).step is states.Step.BOOT)
        heartbeat = guests.Heartbeat(
            instance_id=row.instance_id,
            boot_id=fakes.NEW_BOOT,
            marker=f'{row.id}:1',
            restored=False,
            agent_version='1.0',
            server_version=None,
            server_state=ServerState.STOPPED,
        )

        def heard():
            """As a guest does it, again and again: SQLite may refuse one, as it lets one write at a
            time.
            """
            self.api.heartbeat(serializer.service_context(), heartbeat)
            return upgrades.get(row.id).step is not states.Step.BOOT

        wait_for(heard)
        wait_for(lambda: upgrades.get(row.id).state is states.UpgradeState.COMPLETED)
        wait_for(
            lambda: len(self.stage.notifier.sent) == 3 and self.stage.guest.asked('finish_upgrade')
        )
        self.assertEqual(1, len(self.db.rows(models.upgrade_services)))
        self.service.stop()
        self.assertEqual([], self.db.rows(models.upgrade_services))

    def test_it_listens_at_the_guests_place_and_at_that_of_the_services(self):
        self.conf.set_override(
            'guest_transport_url', f'{self.conf.transport_url}/guests', 'trove_upgrade'
        )
        outside = self.outside()
        other = service.Service(self.conf, outside)
        with self.assertLogs('trove_upgrade.rpc.listener', logging.INFO) as logged:
            other.start()
            self.addCleanup(other.stop)
            wait_for(lambda: any('guest_transport_url' in line for line in logged.output))
            wait_for(lambda: any('[DEFAULT]' in line for line in logged.output))
        told = '\n'.join(sorted(logged.output))
        self.assertRegex(
            told, r'of \[DEFAULT\] transport_url\n.*of \[trove_upgrade\] guest_transport_url'
        )

    def test_a_database_that_hangs_does_not_keep_it_from_its_end(self):
        registry = HangingRegistry(self.db.repositories.services)
        self.addCleanup(registry.end.set)
        repositories = dataclasses.replace(self.db.repositories, services=registry)
        outside = self.outside(repos=repositories)
        other = service.Service(self.conf, outside, leave_seconds=0.5)
        other.start()
        wait_for(lambda: len(self.db.rows(models.upgrade_services)) == 2)
        other.stop()
        self.assertTrue(registry.hangs.is_set())
