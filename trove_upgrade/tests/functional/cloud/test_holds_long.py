# SPDX-License-Identifier: Apache-2.0
"""Upgrades that wait for their users, with real guests that serve meanwhile."""

import concurrent.futures
import datetime
import json

from lab.demo import snapshots
from trove_upgrade.tests.functional.cloud.actions_case import ActionsCase
from trove_upgrade.tests.functional.cloud.configured_case import ConfiguredCase

#: The shortest that an operator can set.
_LONGEST_HOLD = 60


def _in(**span):
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(**span)).isoformat()


class HoldCase(ActionsCase):
    def hold(self, instance, **choices):
        return self.until_state(self.begin(instance, hold=True, **choices), 'HELD')

    def assert_untouched(self, instance, before):
        self.assertEqual(before, self.snapshot(instance))
        shown = self.show(instance)
        self.assertEqual(('ACTIVE', 'HEALTHY'), (shown['status'], shown['operating_status']))


class TestHold(HoldCase):
    def test_it_is_prepared_and_the_database_serves_until_its_user_lets_it_proceed(self):
        instance = self.create_written('held')
        before = self.snapshot(instance)
        with self.nothing_lost(instance):
            status, held = self.openstack(
                'start', instance.name, self.target.name, '--hold', '--wait'
            )
            self.assertEqual((0, 'HELD', True), (status, held['state'], held['cancellable']))
            self.assertGreater(held['held_until'], held['held_since'])
            self.assert_untouched(instance, before)
            explained = json.loads(self.product.manage('upgrade', 'explain', '--json', held['id']))
            self.assertEqual(('HELD', None), (explained['state'], explained['lease']['owner']))
            self.assertIn('proceed', explained['waits_for'])

            status, ended = self.openstack('proceed', instance.name, '--wait')

            self.assertEqual((0, 'COMPLETED'), (status, ended['state']), ended)
        self.assert_serves(instance, self.target)
        self.assertEqual(before.users, self.snapshot(instance).users)
        self.assertEqual(1, self.rebuilds(instance))
        steps = [run['step'] for run in ended['steps']]
        self.assertEqual(['precheck', 'precheck', 'quiesce'], steps[:3])

    def test_a_guest_that_was_rebooted_meanwhile_is_upgraded_as_it_is_then(self):
        instance = self.create_written('held-rebooted')
        held = self.hold(instance)
        boot_id = self.guest(instance).boot_id
        self.maker.reboot(instance.server_id)
        self.wait_until(
            lambda: (
                (guest := self.guest(instance)).running
                and guest.boot_id != boot_id
                and guest.reachable
                and snapshots.answers(guest)
                and self.maker.server(instance.server_id)['status'] == 'ACTIVE'
            ),
            'the guest to serve again',
        )
        self.assertEqual(202, self.act(held, 'proceed')[0])
        self.assertEqual('COMPLETED', self.until_end(held)['state'])
        self.assert_serves(instance, self.target)

    def test_what_the_second_checks_refuse_ends_it_with_nothing_changed(self):
        instance = self.create_written('held-full')
        held = self.hold(instance)
        before = self.snapshot(instance)
        guest = self.guest(instance)
        free = int(
            guest.exec(
                ['df', '--output=avail', '--block-size=1M', '/var/lib/mysql']
            ).output.split()[-1]
        )
        guest.exec(['fallocate', '-l', f'{free - 8}M', '/var/lib/mysql/ballast'])
        self.assertEqual(202, self.act(held, 'proceed')[0])
        ended = self.until_end(held)
        guest.exec(['rm', '/var/lib/mysql/ballast'])
        self.assert_as_before(instance, before, ended, 'VOLUME_SPACE')

    def test_of_many_who_proceed_and_abort_at_once_each_is_answered_by_what_it_is_then(self):
        instance = self.create_written('held-torn')
        before = self.snapshot(instance)
        with self.nothing_lost(instance):
            held = self.hold(instance)
            asked = ('proceed', 'abort') * 5
            with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
                answers = list(pool.map(lambda action: (action, *self.act(held, action)), asked))
            ended = self.until_end(held)
        statuses = {
            action: {status for asked, status, _ in answers if asked == action}
            for action in ('proceed', 'abort')
        }
        print(statuses, ended['state'])
        # the last abort finds it before the rebuild: none comes too late
        self.assertEqual({202}, statuses['abort'], answers)
        self.assertLessEqual(statuses['proceed'], {202, 409}, answers)
        self.assert_as_before(instance, before, ended)

    def test_a_taskmanager_that_dies_with_the_proceed_loses_nothing(self):
        instance = self.create_written('held-killed')
        held = self.hold(instance)
        self.product.kill_taskmanager()
        self.assertEqual((202, 'RUNNING'), self.state_after(held, 'proceed'))
        self.product.start_taskmanager()
        self.assertEqual('COMPLETED', self.until_end(held)['state'])
        self.assert_serves(instance, self.target)

    def state_after(self, upgrade, action):
        status, found = self.act(upgrade, action)
        return status, found['state']


class TestNotBefore(HoldCase):
    def test_it_begins_by_itself_when_its_time_has_come(self):
        instance = self.create_written('at-night')
        begins = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=15)
        with self.nothing_lost(instance):
            status, ended = self.openstack(
                'start',
                instance.name,
                self.target.name,
                '--not-before',
                begins.isoformat(),
                '--wait',
            )
        self.assertEqual((0, 'COMPLETED'), (status, ended['state']), ended)
        stopped = next(run for run in ended['steps'] if run['step'] == 'quiesce')
        self.assertGreaterEqual(
            datetime.datetime.fromisoformat(stopped['started_at']),
            begins.replace(microsecond=0),
        )
        self.assert_serves(instance, self.target)

    def test_its_user_may_let_it_begin_before_and_a_time_that_has_passed_waits_for_nothing(self):
        instance = self.create_written('sooner')
        held = self.until_state(self.begin(instance, not_before=_in(days=1)), 'HELD')
        self.assertEqual(202, self.act(held, 'proceed')[0])
        self.assertEqual('COMPLETED', self.until_end(held)['state'])
        ended = self.until_end(self.begin(instance, not_before=_in(minutes=-2)))
        self.assertEqual(('COMPLETED', None), (ended['state'], ended['held_since']), ended)
        self.assert_serves(instance, self.target)


class TestHoldEnds(HoldCase, ConfiguredCase):
    options = {'longest_hold': _LONGEST_HOLD}

    def test_one_that_waits_for_too_long_ends_and_nothing_was_touched(self):
        instance = self.create_written('forgotten')
        before = self.snapshot(instance)
        with self.nothing_lost(instance):
            held = self.hold(instance)
            since, until = (
                datetime.datetime.fromisoformat(held[name]) for name in ('held_since', 'held_until')
            )
            self.assertEqual(_LONGEST_HOLD, (until - since).total_seconds())
            ended = self.until_end(held)
        self.assertGreaterEqual(ended['ended_at'], held['held_until'])
        self.assert_as_before(instance, before, ended, 'HOLD_EXPIRED')
        self.assertEqual((409, 'PROCEED_REFUSED'), self.act(held, 'proceed'))
