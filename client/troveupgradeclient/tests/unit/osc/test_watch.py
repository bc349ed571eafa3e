# SPDX-License-Identifier: Apache-2.0
"""Waiting for an end: the progress, the exit status, and Ctrl-C."""

import dataclasses
import datetime
import signal

from troveupgradeclient.osc.v1 import progress
from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.v1 import reading
from troveupgradeclient.v1.resources import ActionName, Check, Upgrade

_QUICK = ('--interval', '0.01')


class TestWatch(base.CommandTestCase):
    def watched(self, *looks):
        upgrade = self.world.add_upgrade()
        self.world.script[upgrade['id']] = [{}, *looks]  # the first look is of the name's lookup
        return upgrade['id']

    def test_each_change_is_a_line_with_step_percent_and_time_left(self):
        self.watched(
            world.running('quiesce', left=61.0),
            world.running('rebuild', percent=40, left=45.0),
            world.running('rebuild', percent=44, left=44.0),
            world.running('restore', percent=80, left=9.0),
            world.completed(),
        )
        ended = self.run_command('watch', 'orders', *_QUICK)
        self.assertEqual(0, ended.status)
        self.assertEqual(
            [
                'orders: RUNNING, quiesce (step 2 of 6), about 61 s left',
                'orders: RUNNING, rebuild (step 3 of 6), 40 %, about 45 s left',
                'orders: RUNNING, restore (step 5 of 6), 80 %, about 9 s left',
                'orders: COMPLETED',
            ],
            ended.err.splitlines(),
        )

    def test_on_a_terminal_one_line_is_drawn_anew(self):
        self.watched(world.running('rebuild', percent=40), world.completed())
        err = self.run_command('watch', 'orders', *_QUICK, stderr=base.Terminal()).err
        self.assertEqual(1, err.count('\n'))
        self.assertIn('\r\x1b[Korders: RUNNING, rebuild (step 3 of 6), 40 %', err)
        self.assertTrue(err.endswith('\r\x1b[Korders: COMPLETED\n'), repr(err))

    def test_the_end_is_shown_and_json_is_not_mixed_with_progress(self):
        self.watched(world.running('boot'), world.completed())
        self.assertEqual('COMPLETED', self.json_of('watch', 'orders', *_QUICK)['state'])

    def test_the_exit_status_tells_the_end(self):
        for state, status in (
            ('ABORTED', ExitStatus.ABORTED),
            ('ROLLED_BACK', ExitStatus.ROLLED_BACK),
            ('FAILED', ExitStatus.FAILED),
            ('LATER', ExitStatus.UNKNOWN_STATE),
            ('COMPLETED', ExitStatus.AS_ASKED),
        ):
            upgrade = self.watched(world.ended(state, 'GUEST_SILENT', 'The guest is silent.'))
            ended = self.run_command('watch', upgrade, *_QUICK)
            self.assertEqual(status, ended.status, state)
        self.assertEqual('orders: COMPLETED', ended.err.strip())

    def test_the_cause_is_told(self):
        self.watched(world.ended('FAILED', 'GUEST_SILENT', 'The guest is silent. (GUEST_SILENT)'))
        ended = self.run_command('watch', 'orders', *_QUICK)
        self.assertEqual('orders: FAILED: The guest is silent. (GUEST_SILENT)', ended.err.strip())

    def test_one_that_is_held_until_it_may_proceed_ends_the_wait_with_a_status_of_its_own(self):
        self.watched(world.running('precheck'), world.held(), world.completed())
        ended = self.run_command('watch', 'orders', *_QUICK)
        self.assertEqual(ExitStatus.HELD, ended.status)
        self.assertRegex(
            ended.err, r'orders: HELD for [\w ]+: proceed or abort it; ends ABORTED by'
        )
        self.assertRegex(ended.out, r'state +\| HELD')

    def test_one_that_begins_by_itself_is_followed_until_it_has_ended(self):
        by_itself = {**world.held(), 'not_before': '2026-01-01T02:00:00'}
        self.watched(by_itself, world.running('quiesce'), world.completed())
        ended = self.run_command('watch', 'orders', *_QUICK)
        self.assertEqual(0, ended.status)
        self.assertIn(
            'orders: still HELD, was to begin at 2026-01-01T02:00:00Z, and begins when the '
            'instance is free; proceed or abort it before; only if it could not begin by '
            '2026-12-07T10:00:05Z it ends ABORTED then',
            ended.err,
        )

    def test_a_long_wait_is_seen_to_go_on_by_a_line_each_minute(self):
        begins = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=3, minutes=18)
        by_itself = {**world.held(), 'not_before': f'{begins:%Y-%m-%dT%H:%M:%S}'}
        self.watched(*[by_itself] * 90, world.completed())
        ended = self.run_command('watch', 'orders')  # 2 s from one look to the next
        lines = [line for line in ended.err.splitlines() if 'still HELD' in line]
        self.assertEqual(3, len(lines), ended.err)
        for line in lines:
            self.assertRegex(line, r'^orders: still HELD, begins in 3 h 1[78] min, at ')

    def test_too_many_requests_are_told_and_do_not_end_the_wait(self):
        upgrade = self.watched(world.completed())
        limit = b'{"overLimit": {"code": 413, "message": "This request was rate-limited."}}'
        original, looks = self.standin.application.answer, iter((False, True))

        def answer(environ, body):
            if next(looks, False):  # the first request is the look-up
                return 413, limit, [('Retry-After', '0')]
            return original(environ, body)

        self.standin.application.answer = answer
        ended = self.run_command('watch', upgrade, *_QUICK)
        self.assertEqual(0, ended.status, ended.err)
        self.assertIn('rate-limited. (HTTP 413) Trying again.', ended.err)

    def test_the_service_may_be_silent_for_a_while(self):
        upgrade = self.watched(world.running('boot'), world.completed())
        self.client.upgrades.get(upgrade)
        original = self.standin.application.answer

        def answer(environ, body):
            if self.requests('GET')[-2:] == [f'/upgrades/{upgrade}'] * 2:
                self.standin.application.fails = 1
                self.standin.application.answer = original
            return original(environ, body)

        self.standin.application.answer = answer
        ended = self.run_command('watch', upgrade, *_QUICK)
        self.assertEqual(0, ended.status, ended.err)
        self.assertIn('(UPGRADE_API_SILENT) Trying again.', ended.err)

    def test_a_wait_has_an_end_and_prints_the_upgrade_as_it_stands_and_how_to_follow(self):
        upgrade = self.watched(*[world.running('boot')] * 1000)
        words = ('watch', 'orders', '--timeout', '0.05', *_QUICK)
        shown = self.json_of(*words, status=ExitStatus.WAIT_OVER)
        self.assertEqual((upgrade, 'RUNNING'), (shown['id'], shown['state']))
        ended = self.run_command(*words)
        self.assertIn('The wait of 0.05 s is over: it is RUNNING.', ended.err)
        self.assertIn(f'openstack database upgrade watch {upgrade}', ended.err)
        self.assertEqual('RUNNING', self.world.upgrades[upgrade]['state'])

    def test_ctrl_c_leaves_the_upgrade_running_and_prints_how_to_follow_it(self):
        # a run in the background has it ignored
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        upgrade = self.watched(*[world.running('boot')] * 1000)
        original, looks = self.standin.application.answer, []

        def answer(environ, body):
            looks.append(environ['PATH_INFO'])
            if len(looks) == 6:
                signal.raise_signal(signal.SIGINT)  # handled by the main thread, as Ctrl-C is
            return original(environ, body)

        self.standin.application.answer = answer
        ended = self.run_command('watch', upgrade, '--timeout', '60', *_QUICK)
        self.assertEqual(ExitStatus.INTERRUPTED, ended.status)
        self.assertRegex(ended.out, r'state +\| RUNNING')
        self.assertEqual(
            f'The upgrade goes on. Follow it with: openstack database upgrade watch {upgrade}',
            ended.err.splitlines()[-1],
        )
        self.assertEqual(([], 'RUNNING'), (self.requests('POST'), self._state(upgrade)))

    def test_a_wait_that_is_over_tells_of_one_that_is_held_that_it_stays_so(self):
        by_itself = {**world.held(), 'not_before': '2999-01-01T00:00:00'}
        upgrade = self.watched(*[by_itself] * 1000)
        ended = self.run_command('watch', upgrade, '--timeout', '0.05', *_QUICK)
        told = ended.err.splitlines()[-1]
        self.assertTrue(
            told.startswith('It stays held, and begins by itself at 2999-01-01T00:00:00Z. Let it '),
            told,
        )
        for action in ('proceed', 'abort', 'watch'):
            self.assertIn(f'openstack database upgrade {action} {upgrade}', told)
        held = reading.read(Upgrade, self.world.add_upgrade(**world.held()))
        self.assertTrue(progress.of_what_goes_on(held).startswith('It stays held. Let it begin'))

    def test_what_is_told_of_the_end_of_a_wait_has_nothing_that_a_terminal_would_obey(self):
        strange = 'u\x1b]0;x\x07'
        upgrade = reading.read(Upgrade, {**self.world.add_upgrade(**world.held()), 'id': strange})
        ended = dataclasses.replace(upgrade, state='RUNNING', not_before=strange)
        check = Check(id=strange, instance_id=strange, target_version_id='', state='RUNNING')
        for told in (
            progress.of_what_goes_on(upgrade),
            progress.of_what_goes_on(ended),
            progress.of_start_unseen(strange),
            progress.of_action_unseen(strange, ActionName.ABORT),
            progress.of_check_unseen(strange, '11.8'),
            progress.of_check_that_goes_on(check),
        ):
            self.assertIn('u\\x1b]0;x\\x07', told)
            self.assertTrue(told.isprintable(), told)

    def test_without_progress_where_the_command_is_to_be_quiet(self):
        self.watched(world.running('boot'), world.completed())
        ended = self.run_command('watch', 'orders', *_QUICK, before=('--quiet',))
        self.assertEqual((0, ''), (ended.status, ended.err))

    def test_numbers_that_are_none_are_refused_by_the_command_line(self):
        for words in (
            ('--timeout', '-1'),
            ('--timeout', '1e300'),
            ('--interval', '0'),
            ('--interval', 'soon'),
            ('--interval', '1e300'),
            ('--interval', 'nan'),
        ):
            err = self.assert_not_understood('watch', 'orders', *words)
            self.assertIn(f'argument {words[0]}', err)

    def test_options_of_a_wait_that_was_not_asked_for_are_refused(self):
        for words in (
            ('start', 'orders', '11.8.6', '--timeout', '5'),
            ('abort', 'orders', '--interval', '5'),
            ('check', 'orders', '11.8.6', '--no-wait', '--timeout', '5'),
        ):
            err = self.assert_not_understood(*words)
            self.assertIn(f'{words[-2]} is of a wait, and none was asked for', err)

    def test_a_wait_of_no_time_is_one_look(self):
        upgrade = self.watched(*[world.running('boot')] * 9)
        shown = self.json_of('watch', upgrade, '--timeout', '0', status=ExitStatus.WAIT_OVER)
        self.assertEqual('RUNNING', shown['state'])
        # the first is of the look-up
        self.assertEqual([f'/upgrades/{upgrade}'] * 2, self.requests('GET'))
        self.world.script[upgrade] = [world.completed()]
        self.assertEqual(0, self.run_command('watch', upgrade, '--timeout', '0').status)

    def _state(self, upgrade):
        return self.world.upgrades[upgrade]['state']
