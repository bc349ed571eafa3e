# SPDX-License-Identifier: Apache-2.0
import datetime
import json
import pathlib
import re
import threading

import fixtures

from trove_upgrade import waiting
from trove_upgrade.domain import exceptions, guests, logs
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.jobs.job import Jobs
from trove_upgrade.guestagent.jobs.journal import Journal
from trove_upgrade.guestagent.upgrade import work
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

_LONG = 30


class JobsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = (
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path) / 'jobs'
        )
        self.clock, self.gate, self.changes = fakes.Clock(), fakes.Gate(), []
        self.ended = threading.Event()
        self.agents = []
        self.addCleanup(self.let_end)
        self.bodies = {
            'pre_upgrade': self.gate,
            'abort_upgrade': lambda call, progress: work.JobOutcome('Aborted.'),
        }
        self.jobs = self.new_jobs()

    def new_jobs(self):
        """The agent starts (again)."""
        jobs = Jobs(Journal(self.directory), self.bodies, self.clock, on_change=self.change)
        self.agents.append(jobs)
        return jobs

    def let_end(self):
        """Wait for the jobs: they write to the journal, which goes with the test."""
        self.gate.released.set()
        for jobs in self.agents:
            waiting.wait_until(lambda jobs=jobs: not jobs.busy(), _LONG)

    def change(self):
        self.changes.append(1)
        self.ended.set()

    def call(self, **changes):
        arguments = {
            'instance_id': fakes.INSTANCE,
            'upgrade_id': fakes.UPGRADE,
            'attempt': 1,
            'generation': 1,
            'deadline': self.clock.time + datetime.timedelta(hours=1),
            'target': TargetFacts(),
            **changes,
        }
        return guests.GuestCall(**arguments)

    def test_a_second_call_joins_the_first_and_a_later_one_gets_its_answer(self):
        first = self.jobs.ask('pre_upgrade', self.call(), 0)
        second = self.jobs.ask('pre_upgrade', self.call(generation=2), 0)
        self.assertEqual([guests.JobState.RUNNING] * 2, [first.state, second.state])
        self.gate.released.set()
        third = self.jobs.ask('pre_upgrade', self.call(), _LONG)
        self.assertEqual(
            (guests.JobState.DONE, 'Done.', {'n': 1}), (third.state, third.message, third.result)
        )
        self.assertEqual(third, self.jobs.ask('pre_upgrade', self.call(), 0))
        self.assertEqual(
            third,
            self.new_jobs().ask('pre_upgrade', self.call(), 0),
            'a restarted agent has forgotten',
        )
        self.assertEqual(1, self.gate.calls)
        self.assertEqual([1], self.changes)

    def test_a_running_job_says_how_far_it_is(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=_LONG)
        while (record := self.jobs.ask('pre_upgrade', self.call(), 0)).percent is None:
            self.assertLess(datetime.datetime.now(), deadline)
        self.assertEqual((10, 'Waiting.'), (record.percent, record.message))

    def test_another_attempt_is_another_job_and_waits_for_the_one_that_runs(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        waiting = self.jobs.ask('pre_upgrade', self.call(attempt=2), 0)
        self.assertEqual(guests.JobState.RUNNING, waiting.state)
        self.assertIn('Waiting for pre_upgrade', waiting.message)
        self.assertEqual(1, len(list(self.directory.iterdir())), 'it was begun')
        self.gate.released.set()
        self.assertEqual({'n': 2}, self.jobs.ask('pre_upgrade', self.call(attempt=2), _LONG).result)

    def test_an_abort_ends_its_own_pre_upgrade(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        aborted = self.jobs.ask('abort_upgrade', self.call(), _LONG)
        self.assertEqual((guests.JobState.DONE, 'Aborted.'), (aborted.state, aborted.message))
        self.assertEqual('UPGRADE_ABORTED', self.jobs.ask('pre_upgrade', self.call(), 0).code)

    def state_in_journal(self, **changes):
        call = self.call(**changes)
        record = Journal(self.directory).read((call.upgrade_id, call.attempt, 'pre_upgrade'))
        return None if record is None else record.state

    def test_an_abort_leaves_the_end_of_its_own_pre_upgrade_to_that(self):
        let_go = threading.Event()

        def body(call, progress):
            let_go.wait(_LONG)
            return work.JobOutcome('Stopped all the same.')

        self.bodies['pre_upgrade'] = body
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.jobs.ask('abort_upgrade', self.call(), 0)
        self.assertEqual(guests.JobState.RUNNING, self.state_in_journal())
        let_go.set()
        record = self.jobs.ask('pre_upgrade', self.call(), _LONG)
        self.assertEqual('Stopped all the same.', record.message)

    def test_an_abort_ends_no_job_of_another_upgrade_and_is_remembered_meanwhile(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        waiting = self.jobs.ask('abort_upgrade', self.call(upgrade_id='another'), 0)
        self.assertIn('Waiting for pre_upgrade', waiting.message)
        self.assertEqual(guests.JobState.REFUSED, self.state_in_journal(upgrade_id='another'))
        self.gate.released.set()
        self.assertEqual('Done.', self.jobs.ask('pre_upgrade', self.call(), _LONG).message)

    def bringing(self, **changes):
        """The call of checks before a hold."""
        return self.call(attempt=0, options=GuestOptions(bring_image=True), **changes)

    def brings(self):
        """A guest that brings an image for an upgrade, which has been aborted meanwhile."""
        self.bodies['check_upgrade'] = self.gate
        self.jobs.ask('check_upgrade', self.bringing(), 0)
        self.gate.entered.wait(_LONG)
        self.gate.entered.clear()

    def test_the_checks_of_another_upgrade_end_those_that_bring_an_image(self):
        self.brings()
        self.bodies['check_upgrade'] = lambda call, progress: work.JobOutcome('Checked.')
        record = self.jobs.ask('check_upgrade', self.call(upgrade_id='another'), _LONG)
        self.assertEqual('Checked.', record.message)

    def test_what_is_no_other_upgrade_lets_the_image_be_brought(self):
        self.brings()
        for method, changes in (
            ('check_upgrade', {'attempt': 1}),  # the same upgrade's
            ('check_upgrade', {'upgrade_id': 'an upgrade check', 'generation': 0}),
            ('finish_upgrade', {'upgrade_id': 'one before'}),
            ('abort_upgrade', {'upgrade_id': 'one before'}),
        ):
            waiting = self.jobs.ask(method, self.call(**changes), 0)
            self.assertIn('Waiting for check_upgrade', waiting.message)
        self.gate.released.set()
        self.assertEqual('Done.', self.jobs.ask('check_upgrade', self.bringing(), _LONG).message)

    def test_checks_that_bring_no_image_come_to_their_end(self):
        self.bodies['check_upgrade'] = self.gate
        self.jobs.ask('check_upgrade', self.call(), 0)
        self.jobs.ask('check_upgrade', self.call(upgrade_id='another'), 0)
        self.gate.released.set()
        self.assertEqual('Done.', self.jobs.ask('check_upgrade', self.call(), _LONG).message)

    def test_checks_that_a_late_call_of_an_upgrade_before_has_ended_are_made_again(self):
        self.brings()
        self.jobs.ask('check_upgrade', self.call(upgrade_id='before'), _LONG / 100)
        self.gate.released.set()
        self.assertEqual('Done.', self.jobs.ask('check_upgrade', self.bringing(), _LONG).message)

    def test_an_abort_ends_no_other_job_of_its_upgrade(self):
        self.bodies['post_upgrade'] = self.gate
        self.jobs.ask('post_upgrade', self.call(), 0)
        self.jobs.ask('abort_upgrade', self.call(), 0)
        self.gate.released.set()
        self.assertEqual('Done.', self.jobs.ask('post_upgrade', self.call(), _LONG).message)

    def test_each_percent_stands_in_the_log_once(self):
        logged = self.useFixture(fixtures.FakeLogger())

        def body(call, progress):
            for percent, message in ((10, 'a'), (10, 'b'), (None, 'c'), (20, 'd')):
                progress(percent, message)
            return work.JobOutcome('Done.')

        self.bodies['pre_upgrade'] = body
        call = self.call()
        self.jobs.ask('pre_upgrade', call, _LONG)
        # another test's job may still be at its end
        of_call = rf'Upgrade {call.upgrade_id}: pre_upgrade (\d+ %: .)'
        self.assertEqual(['10 %: a', '20 %: d'], re.findall(of_call, logged.output))

    def test_the_log_has_a_traceback_of_what_was_not_expected(self):
        for kind in (exceptions.StepRefused, exceptions.StepFailed):
            for cause, tracebacks in (
                (None, 0),
                (exceptions.StepFailed('no space', 'SPACE'), 0),
                (ZeroDivisionError(), 1),
            ):
                logged = self.useFixture(fixtures.FakeLogger())
                error = kind('no', 'WHY')
                error.__cause__ = cause
                self.jobs = self.new_jobs()
                self.assertEqual(
                    'WHY',
                    self._ends_with(
                        error, upgrade_id=f'{kind.__name__}-{tracebacks}-{cause is None}'
                    )[1],
                )
                self.assertEqual(tracebacks, logged.output.count('ZeroDivisionError'))

    def test_a_pre_upgrade_that_arrives_after_its_abort_stops_nothing(self):
        self.jobs.ask('abort_upgrade', self.call(), _LONG)
        late = self.jobs.ask('pre_upgrade', self.call(), _LONG)
        self.assertEqual((guests.JobState.REFUSED, 'UPGRADE_ABORTED'), (late.state, late.code))
        self.assertEqual(0, self.gate.calls)

    def test_a_job_that_was_interrupted_is_run_again(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        second = fakes.Gate()
        second.released.set()
        self.bodies = {'pre_upgrade': second}
        restarted = (
            self.new_jobs()
        )  # the first one's thread is as good as dead: it writes nothing before the gate opens
        restarted.resume()
        self.assertEqual(1, second.calls)
        self.assertEqual(guests.JobState.DONE, restarted.ask('pre_upgrade', self.call(), 0).state)

    def test_one_that_is_run_again_knows_the_request_that_it_belongs_to(self):
        found = []

        def body(call, progress):
            found.append(logs.request_id())
            return work.JobOutcome('Done.')

        with logs.of_request('req-1'):
            self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        self.bodies = {'pre_upgrade': body}
        self.new_jobs().resume()
        self.assertEqual(['req-1'], found)
        self.assertIsNone(logs.request_id())

    def test_a_record_of_an_earlier_agent_names_no_request_and_is_run_again(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        [path] = self.directory.glob('*.json')
        document = json.loads(path.read_text())
        del document['request_id']
        path.write_text(json.dumps(document))
        second = fakes.Gate()
        second.released.set()
        self.bodies = {'pre_upgrade': second}
        self.new_jobs().resume()
        self.assertEqual(1, second.calls)

    def test_what_cannot_be_read_in_the_journal_is_set_aside(self):
        self.directory.mkdir()
        (self.directory / 'x.1.pre_upgrade.json').write_text('{"half')
        self.jobs.resume()
        self.assertEqual(
            ['x.1.pre_upgrade.broken'], [path.name for path in self.directory.iterdir()]
        )

    def test_the_journal_forgets_the_oldest(self):
        self.gate.released.set()
        for attempt in range(1, 206):
            self.clock.move(1)
            self.jobs.ask('pre_upgrade', self.call(attempt=attempt), _LONG)
        self.jobs.resume()
        self.assertEqual(200, len(list(self.directory.iterdir())))
        self.assertIsNone(Journal(self.directory).read((fakes.UPGRADE, 5, 'pre_upgrade')))
        self.assertIsNotNone(Journal(self.directory).read((fakes.UPGRADE, 6, 'pre_upgrade')))

    def _ends_with(self, error, **changes):
        def body(call, progress):
            raise error

        self.bodies['pre_upgrade'] = body
        record = self.jobs.ask('pre_upgrade', self.call(**changes), _LONG)
        return record.state, record.code

    def test_a_record_of_a_later_agent_is_read_and_not_run_again(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.released.set()
        self.jobs.ask('pre_upgrade', self.call(), _LONG)
        [path] = self.directory.glob('*.json')
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, 'state': 'PAUSED', 'of_later': 1}))
        [record] = Journal(self.directory).all()
        self.assertIs(guests.JobState.FAILED, record.state)
        self.new_jobs().resume()
        self.assertEqual(1, self.gate.calls)

    def test_a_refusal_is_refused(self):
        self.assertEqual(
            (guests.JobState.REFUSED, 'WHY'), self._ends_with(exceptions.StepRefused('no', 'WHY'))
        )

    def test_a_failure_has_failed(self):
        self.assertEqual(
            (guests.JobState.FAILED, 'WHY'), self._ends_with(exceptions.StepFailed('no', 'WHY'))
        )

    def test_an_unexpected_error_has_failed_too_and_its_place_is_named(self):
        logged = self.useFixture(fixtures.FakeLogger())
        self.assertEqual(
            (guests.JobState.FAILED, 'INTERNAL_ERROR'), self._ends_with(ZeroDivisionError('S3CRET'))
        )
        self.assertFalse(self.jobs.busy())
        message = self.jobs.ask('pre_upgrade', self.call(), 0).message
        self.assertRegex(
            message,
            r'^pre_upgrade failed: .* ZeroDivisionError at '
            r'trove_upgrade\.tests\.unit\.guestagent\.jobs\.test_job:\d+ \(body\)\. ',
        )
        self.assertNotIn('S3CRET', message)
        self.assertEqual(1, logged.output.count('Traceback (most recent call last)'))

    def test_a_job_gives_up_after_its_seconds_and_a_later_call_can_move_that(self):
        self.jobs.ask('pre_upgrade', self.call(seconds=3600), 0)
        self.jobs.ask('pre_upgrade', self.call(seconds=7200), 0)
        self.clock.move(3601)
        self.assertEqual(
            guests.JobState.RUNNING,
            self.jobs.ask('pre_upgrade', self.call(seconds=3600), 0.1).state,
        )
        self.clock.move(3601)
        self.assert_given_up()

    def test_a_guest_whose_time_of_day_is_off_has_its_seconds_all_the_same(self):
        for hours in (-1, 1):
            with self.subTest(hours=hours):
                deadline = self.clock.time + datetime.timedelta(minutes=10)
                self.clock.set(3600 * hours)
                key = {'upgrade_id': f'off-by-{hours}', 'deadline': deadline, 'seconds': 600}
                self.assertEqual(
                    guests.JobState.RUNNING,
                    self.jobs.ask('pre_upgrade', self.call(**key), 0.1).state,
                )
                self.clock.move(601)
                self.assert_given_up(**key)

    def test_a_taskmanager_that_sends_no_seconds_is_taken_by_its_deadline(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.clock.move(3599)
        self.assertEqual(
            guests.JobState.RUNNING, self.jobs.ask('pre_upgrade', self.call(), 0.1).state
        )
        self.clock.move(3601)
        self.assert_given_up()

    def test_an_interrupted_pre_upgrade_has_what_is_left_of_its_seconds_and_no_more(self):
        for passed, is_run in ((60, True), (86_400, False), (-3600, False)):
            with self.subTest(passed=passed):
                key = {'upgrade_id': f'after-{passed}', 'seconds': 600}
                self.gate.entered.clear()
                self.jobs = self.new_jobs()
                self.jobs.ask('pre_upgrade', self.call(**key), 0)
                self.gate.entered.wait(_LONG)
                self.clock.set(passed)
                bodies, calls = self.bodies, []

                def body(call, progress, calls=calls):
                    progress(1, 'Begun again.')
                    calls.append(call.seconds)
                    return work.JobOutcome('Done.')

                self.bodies = {**bodies, 'pre_upgrade': body}
                again = self.new_jobs()
                again.resume()
                self.bodies = bodies
                record = again.ask('pre_upgrade', self.call(**key), 0)
                self.assertEqual([600 - passed] if is_run else [], calls)
                self.assertEqual(None if is_run else 'DEADLINE_PASSED', record.code)

    def test_an_interrupted_post_upgrade_goes_on_however_late(self):
        self.bodies['post_upgrade'] = self.gate
        self.jobs.ask('post_upgrade', self.call(seconds=600), 0)
        self.gate.entered.wait(_LONG)
        self.clock.set(86_400)
        self.bodies['post_upgrade'] = lambda call, progress: work.JobOutcome('Done.')
        again = self.new_jobs()
        again.resume()
        record = again.ask('post_upgrade', self.call(seconds=600), 0)
        self.assertEqual(guests.JobState.DONE, record.state)

    def assert_given_up(self, **changes):
        self.assertTrue(self.ended.wait(_LONG), 'the job goes on')
        self.ended.clear()
        record = self.jobs.ask('pre_upgrade', self.call(**changes), _LONG)
        self.assertEqual((guests.JobState.FAILED, 'DEADLINE_PASSED'), (record.state, record.code))

    def test_a_journal_that_cannot_be_written_at_the_end_still_answers(self):
        self.jobs.ask('pre_upgrade', self.call(), 0)
        self.gate.entered.wait(_LONG)
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()
        self.directory.write_text('in the way')
        running = self.jobs._running
        self.gate.released.set()
        self.assertTrue(running.ended.wait(_LONG))
        self.assertEqual(guests.JobState.DONE, running.record.state)
