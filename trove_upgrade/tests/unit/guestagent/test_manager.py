# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pathlib
import threading

import fixtures

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent import agent
from trove_upgrade.guestagent.jobs.job import Jobs
from trove_upgrade.guestagent.jobs.journal import Journal
from trove_upgrade.guestagent.manager import CallFailed, GuestManager
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

_LONG = 30


class ManagerTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.machine = fakes.Machine(
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        )
        self.woken = 0

    def manager(self):
        """An agent's life begins on whichever root disk the machine has now."""
        own, journal = self.machine.guest(), Journal(self.machine.layout.jobs)
        jobs = Jobs(journal, agent.bodies(own), own.clock)
        jobs.resume()
        return GuestManager(own, jobs, journal, self.machine.seal(), _LONG, self._wake)

    def _wake(self):
        self.woken += 1

    def ask(self, method, manager=None, **changes):
        wire = getattr(manager or self.manager(), method)(
            None, **self.machine.call(**changes).to_wire()
        )
        return guests.GuestAnswer.from_wire(wire)

    def test_a_whole_upgrade(self):
        self.assertEqual('ok', self.ask('check_upgrade').result['checks'][0]['outcome'])
        stopped = self.ask('pre_upgrade')
        self.assertEqual(
            (guests.JobState.DONE, guests.ServerState.STOPPED, False, 'boot-1'),
            (stopped.state, stopped.server_state, stopped.serving, stopped.boot_id),
        )
        info = stopped.result['upgrade_info']
        self.machine.rebuild()
        restored = self.ask('post_upgrade', upgrade_info=info)
        self.assertEqual(
            (
                guests.JobState.DONE,
                guests.ServerState.RUNNING,
                True,
                'boot-2',
                '11.8.6-MariaDB',
                True,
            ),
            (
                restored.state,
                restored.server_state,
                restored.serving,
                restored.boot_id,
                restored.server_version,
                restored.server_started_on_data,
            ),
        )
        self.assertEqual(guests.JobState.DONE, self.ask('verify_upgrade', upgrade_info=info).state)
        self.assertEqual(guests.JobState.DONE, self.ask('finish_upgrade').state)
        self.assertEqual(5, self.woken)

    def test_pre_upgrade_again_says_that_it_is_still_stopped(self):
        first, second = self.ask('pre_upgrade'), self.ask('pre_upgrade')
        self.assertEqual(first, second)

    def test_pre_upgrade_again_after_an_abort_does_not_claim_to_be_stopped(self):
        self.ask('pre_upgrade')
        aborted = self.ask('abort_upgrade')
        self.assertEqual((guests.JobState.DONE, True), (aborted.state, aborted.serving))
        again = self.ask('pre_upgrade')
        self.assertEqual(
            (guests.JobState.REFUSED, 'UPGRADE_ABORTED', True),
            (again.state, again.code, again.serving),
        )

    def test_a_quiesce_that_was_undone_by_hand_is_not_done(self):
        self.ask('pre_upgrade')
        self.machine.guest().marks.clear(Mark.QUIESCED)
        self.assertEqual('QUIESCE_LOST', self.ask('pre_upgrade').code)

    def test_a_refusal_says_that_the_database_serves(self):
        self.machine.fail['unclean'] = True
        answer = self.ask('pre_upgrade')
        self.assertEqual(
            (guests.JobState.REFUSED, 'SHUTDOWN_NOT_CLEAN', True),
            (answer.state, answer.code, answer.serving),
        )

    def test_the_root_disk_that_stopped_the_database_starts_no_other_server(self):
        """Two forged calls would be enough: nothing has been rebuilt."""
        info = self.ask('pre_upgrade').result['upgrade_info']
        for changes in (
            {},
            {'attempt': 2, 'upgrade_info': {**info, 'former_boot_id': 'another', 'attempt': 2}},
            {'attempt': 3, 'options': GuestOptions(rollback=True)},
            {'attempt': 4, 'generation': 1},
        ):
            answer = self.ask('post_upgrade', **{'upgrade_info': info, **changes})
            self.assertEqual(
                (guests.JobState.FAILED, 'SERVER_NOT_REBUILT', guests.ServerState.STOPPED),
                (answer.state, answer.code, answer.server_state),
            )
        self.assertEqual(
            'SERVER_NOT_REBUILT',
            self.assertRaises(
                CallFailed, self.manager().post_upgrade, None, upgrade_info=info
            ).code,
        )
        self.assertFalse(self.machine.mounted)
        self.assertEqual(guests.JobState.DONE, self.ask('abort_upgrade').state)
        self.assertEqual('10.11.14-MariaDB', self.machine.running)

    def test_a_reboot_of_that_root_disk_makes_no_other_of_it(self):
        info = self.ask('pre_upgrade').result['upgrade_info']
        self.machine.boot()
        self.assertEqual('SERVER_NOT_REBUILT', self.ask('post_upgrade', upgrade_info=info).code)

    def test_a_stop_of_another_upgrade_or_one_that_was_cut_short_counts_as_well(self):
        info = self.ask('pre_upgrade').result['upgrade_info']
        marks = self.machine.layout.state / 'marks'
        (marks / 'quiesced.json').rename(marks / 'quiescing.json')
        other = {**info, 'upgrade_id': 'another', 'former_boot_id': 'another'}
        self.assertEqual(
            'SERVER_NOT_REBUILT',
            self.ask('post_upgrade', upgrade_id='another', upgrade_info=other).code,
        )
        (marks / 'quiescing.json').write_text('torn')
        self.assertEqual(
            'SERVER_NOT_REBUILT',
            self.ask(
                'post_upgrade',
                upgrade_id='another',
                attempt=2,
                upgrade_info={**other, 'attempt': 2},
            ).code,
        )

    def test_a_stop_that_was_undone_opens_no_way_either_in_its_boot(self):
        info = self.ask('pre_upgrade').result['upgrade_info']
        self.ask('abort_upgrade')
        self.assertEqual('SERVER_NOT_REBUILT', self.ask('post_upgrade', upgrade_info=info).code)
        self.assertEqual('10.11.14-MariaDB', self.machine.running)

    def test_a_retry_on_the_new_root_disk_passes_also_after_its_reboot(self):
        info = self.ask('pre_upgrade').result['upgrade_info']
        self.machine.rebuild()
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('no', 'DATA_NOT_UPGRADED')
        self.assertEqual('DATA_NOT_UPGRADED', self.ask('post_upgrade', upgrade_info=info).code)
        self.machine.boot()
        self.assertEqual(
            guests.JobState.DONE, self.ask('post_upgrade', upgrade_info=info, attempt=2).state
        )

    def test_an_isolated_server_is_running_and_not_serving(self):
        info = self.ask('pre_upgrade').result['upgrade_info']
        self.machine.rebuild()
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('no', 'DATA_NOT_UPGRADED')
        answer = self.ask('post_upgrade', upgrade_info=info)
        self.assertEqual(
            (guests.JobState.FAILED, guests.ServerState.RUNNING, False, True),
            (answer.state, answer.server_state, answer.serving, answer.server_started_on_data),
        )
        self.assertEqual(
            guests.JobState.DONE, self.ask('post_upgrade', upgrade_info=info, attempt=2).state
        )

    def test_a_stopped_server_whose_volume_is_held_is_unknown(self):
        self.machine.running, self.machine.others = None, ['12 (mariadbd)']
        self.assertEqual(guests.ServerState.UNKNOWN, self.ask('check_upgrade').server_state)

    def test_while_a_job_runs_the_server_is_not_asked(self):
        """On its way up it takes a connection and says nothing: the caller would wait in vain."""
        own, journal, ended = (
            self.machine.guest(),
            Journal(self.machine.layout.jobs),
            threading.Event(),
        )
        self.addCleanup(ended.set)
        self.machine.running = None
        own = dataclasses.replace(own, driver=None)

        def body(_call, _progress):
            ended.wait(_LONG)
            raise exceptions.StepFailed('It was only to last.', 'ENDED')

        manager = GuestManager(
            own, Jobs(journal, {'check_upgrade': body}, own.clock), journal, self.machine.seal(), 0
        )
        answer = self.ask('check_upgrade', manager)
        self.assertEqual(
            (guests.JobState.RUNNING, guests.ServerState.UNKNOWN, None, False),
            (answer.state, answer.server_state, answer.server_version, answer.serving),
        )

    def test_a_taskmanager_that_was_overtaken_is_refused_also_on_the_next_root_disk(self):
        info = self.ask('pre_upgrade', generation=3).result['upgrade_info']
        self.assertEqual('GENERATION_OLD', self.ask('abort_upgrade', generation=2).code)
        self.assertIsNone(self.machine.running)
        self.machine.rebuild()
        self.assertEqual(
            'GENERATION_OLD', self.ask('post_upgrade', generation=1, upgrade_info=info).code
        )
        self.assertEqual(
            guests.JobState.DONE, self.ask('post_upgrade', generation=3, upgrade_info=info).state
        )

    def test_another_upgrade_counts_its_own_generations(self):
        self.ask('check_upgrade', generation=9)
        self.assertEqual(
            guests.JobState.DONE,
            self.ask('check_upgrade', upgrade_id='another', generation=1).state,
        )

    def test_a_call_for_another_instance_is_refused(self):
        self.assertEqual('WRONG_GUEST', self.ask('check_upgrade', instance_id='another').code)

    def test_ids_that_would_leave_the_journal_are_refused(self):
        for changes in (
            {'upgrade_id': '../../x'},
            {'upgrade_id': ''},
            {'attempt': '1/2'},
            {'generation': None},
        ):
            self.assertEqual('CALL_INVALID', self.ask('check_upgrade', **changes).code)
        self.assertEqual('CALL_INVALID', self.manager().check_upgrade(None, nonsense=1)['code'])

    def test_arguments_of_other_forms_begin_no_job_and_leave_no_traceback(self):
        log, manager = self.useFixture(fixtures.FakeLogger(name='trove_upgrade')), self.manager()
        wire = self.machine.call().to_wire()
        for changes in (
            {'surplus': 1},
            {'context': 1},
            {'self': 1},
            {'_context': 1},
            {'options': {'rollback': 'yes'}},
            {'target': {'plugins': 7}},
            {'upgrade_id': ['x']},
            {'deadline': '2026-01-01'},
            {'upgrade_info': 'x'},
        ):
            for method in (
                'check_upgrade',
                'pre_upgrade',
                'abort_upgrade',
                'post_upgrade',
                'verify_upgrade',
                'finish_upgrade',
            ):
                self.assertEqual(
                    'CALL_INVALID',
                    getattr(manager, method)(None, **{**wire, **changes})['code'],
                    changes,
                )
        for info in ('x', None, [], 7, {'upgrade_id': '../x'}):
            error = self.assertRaises(
                exceptions.StepFailed, manager.post_upgrade, None, upgrade_info=info
            )
            self.assertEqual('UPGRADE_INFO_INVALID', error.code)
        self.assertNotIn('Traceback', log.output)
        self.assertEqual(([], 0), (list(Journal(self.machine.layout.jobs).all()), self.woken))

    def test_whatever_happens_at_the_edge_is_an_answer(self):
        manager = self.manager()
        manager._jobs = None
        self.assertEqual('INTERNAL_ERROR', self.ask('check_upgrade', manager).code)

    def test_the_specifications_calls_do_the_same(self):
        info = self.manager().pre_upgrade(None)
        self.assertEqual(
            info, self.manager().pre_upgrade(None), 'a second call did not join the first'
        )
        self.assertIsNone(self.machine.running)
        self.machine.rebuild()
        self.assertIsNone(self.manager().post_upgrade(None, upgrade_info=info))
        self.assertEqual('11.8.6-MariaDB', self.machine.running)

    def test_the_specifications_calls_raise_what_went_wrong(self):
        self.machine.fail['unclean'] = True
        error = self.assertRaises(CallFailed, self.manager().pre_upgrade, None)
        self.assertEqual('SHUTDOWN_NOT_CLEAN', error.code)
        self.assertIsNotNone(self.manager().pre_upgrade(None), 'the next call did not try anew')
        self.assertRaises(exceptions.StepFailed, self.manager().post_upgrade, None, upgrade_info={})
