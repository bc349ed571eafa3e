# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime
import json
import os
import pathlib
import shutil

import fixtures

from trove_upgrade.domain import downtime, exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.guestagent.upgrade import check, finish, quiesce, restore, undo, verify
from trove_upgrade.guestagent.upgrade.mark_facts import ConfiguredFacts, UpgradedFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes


class FlowTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.machine = self.new_machine()

    def new_machine(self):
        return fakes.Machine(
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        )

    def quiesced(self, machine=None):
        machine = machine or self.machine
        return quiesce.quiesce(machine.work()).result['upgrade_info']

    def rebuilt(self, machine=None):
        machine = machine or self.machine
        info = self.quiesced(machine)
        machine.rebuild()
        return info

    def rows(self, machine):
        return int((machine.layout.data_directory / 'rows').read_text())

    def assert_serves_as_before(self, machine):
        self.assertEqual('10.11.14-MariaDB', machine.running)
        self.assertEqual('mariadb', (machine.layout.etc / 'autostart').read_text())
        self.assertEqual(
            [],
            list(machine.layout.on_volume.glob('*stash*'))
            if machine.layout.on_volume.exists()
            else [],
        )
        self.assertFalse(machine.guest().marks.has(Mark.QUIESCING))
        machine.boot()
        self.assertEqual('10.11.14-MariaDB', machine.running)

    def assert_upgraded(self, machine):
        self.assertEqual('11.8.6-MariaDB', machine.running)
        self.assertFalse(machine.isolated)
        self.assertTrue((machine.layout.data_directory / 'upgraded').exists())
        self.assertTrue(machine.guest().marks.has(Mark.RESTORED, fakes.UPGRADE))
        self.assertEqual(
            '[mysqld]\nwait_timeout = 1234\n',
            (machine.layout.etc / 'mysql' / 'conf.d' / 'custom.cnf').read_text(),
        )
        machine.boot()
        self.assertEqual('11.8.6-MariaDB', machine.running, 'a plain reboot does not serve')

    def _each_death(self, flow, prepare, *, lives):
        """Run `flow` once for each effect that it has, with the agent's death before it, and once
        with it after.
        """
        for after in (False, True):
            for life in lives:
                kill_at = 1
                while True:
                    machine = self.new_machine()
                    changes = prepare(machine)
                    wire = fakes.Tripwire(kill_at, after)
                    try:
                        flow(machine.work(wire, **changes))
                    except fakes.Killed:
                        life(machine)
                        yield (
                            machine,
                            changes,
                            (
                                f'{flow.__name__} killed {"after" if after else "before"} effect '
                                f'{kill_at}, then {life.__name__}'
                            ),
                        )
                        kill_at += 1
                    else:
                        self.assertGreater(kill_at, 4, 'the wire was never touched')
                        break

    def agent_restart(self, machine):
        """Nothing else has happened."""

    def reboot(self, machine):
        machine.boot()


class TestCheck(FlowTestCase):
    """check_upgrade, and what it brings here before a hold."""

    def check(self, **changes):
        work = self.machine.work(target={'version_number': '11.8.6'}, **changes)
        return check.check(work).result['checks']

    def bring(self):
        return self.check(options=GuestOptions(bring_image=True))

    def test_checks_alone_bring_nothing(self):
        self.check()
        self.assertEqual([], self.machine.brought)

    def test_the_image_is_brought_once_all_checks_have_passed(self):
        last = self.bring()[-1]
        self.assertEqual(['11.8.6'], self.machine.brought)
        self.assertEqual(('guest_target', 'ok'), (last['name'], last['outcome']))
        self.assert_serves_as_before(self.machine)

    def test_nothing_is_brought_where_a_check_says_no(self):
        refused = CheckResult.refused('fake', 'Not this one.', 'CHECK_REFUSED')
        self.machine.fail['checks'] = [refused]
        self.assertIn('CHECK_REFUSED', [each['code'] for each in self.bring()])
        self.assertEqual([], self.machine.brought)

    def test_an_image_that_cannot_be_had_is_a_check_that_says_no(self):
        for failure, code in (
            (
                exceptions.StepFailed('No such image.', 'CONTAINER_DISK_SPACE'),
                'CONTAINER_DISK_SPACE',
            ),
            (OSError(28, 'No space left on device'), 'FILES_NOT_READ'),
        ):
            self.machine.fail['bring_target'] = failure
            last = self.bring()[-1]
            self.assertEqual(('refused', code), (last['outcome'], last['code']))
            self.assert_serves_as_before(self.machine)

    def test_one_that_is_ended_meanwhile_has_found_nothing(self):
        for code in ('UPGRADE_ABORTED', 'DEADLINE_PASSED'):
            self.machine.fail['bring_target'] = exceptions.StepRefused('It was ended.', code)
            self.assertEqual(code, self.assertRaises(exceptions.StepRefused, self.bring).code)
            self.assert_serves_as_before(self.machine)


class CheckTest(FlowTestCase):
    def test_directories_that_are_nested_too_deep_are_refused_while_the_database_serves(self):
        for place in (self.machine.layout.data_directory, self.machine.layout.etc / 'mysql'):
            place.joinpath(*'d' * 40).mkdir(parents=True)
            work = self.machine.work()
            self.assertEqual(
                'DIRECTORIES_TOO_DEEP',
                self.assertRaises(exceptions.StepRefused, check.require, work).code,
            )
            self.assertEqual('10.11.14-MariaDB', self.machine.running)
            shutil.rmtree(place / 'd')

    def test_the_report_holds_the_agents_and_the_drivers_checks(self):
        names = [result['name'] for result in check.check(self.machine.work()).result['checks']]
        self.assertEqual(
            [
                'guest_volume',
                'guest_database',
                'guest_directories',
                'guest_volume_space',
                'guest_secrets',
                'guest_metadata',
                'fake',
            ],
            names,
        )

    def _codes(self):
        return [
            result['code']
            for result in check.check(self.machine.work()).result['checks']
            if result['outcome'] == 'refused'
        ]

    def test_a_volume_that_is_not_mounted_is_refused(self):
        self.machine.stop_all()
        self.assertEqual(['VOLUME_NOT_MOUNTED', 'DATABASE_NOT_SERVING'], self._codes())

    def test_too_little_space_is_refused(self):
        self.machine.fail['free_bytes'] = 1000
        self.assertEqual(['VOLUME_SPACE'], self._codes())

    def test_a_data_directory_elsewhere_is_refused(self):
        self.machine.layout.data_directory.rename(self.machine.layout.volume / 'other')
        self.assertEqual(['VOLUME_LAYOUT_UNKNOWN'], self._codes())

    def test_a_volume_that_the_database_owns_is_refused(self):
        os.chown(self.machine.layout.volume, 1234, 1234)
        self.assertEqual(['VOLUME_LAYOUT_UNKNOWN'], self._codes())

    def test_a_volume_that_others_can_write_to_is_refused(self):
        self.machine.layout.volume.chmod(0o775)
        self.assertEqual(['VOLUME_LAYOUT_UNKNOWN'], self._codes())

    def test_a_database_that_is_silent_is_refused_with_where_it_was_looked_for(self):
        self.machine.running = None
        work = self.machine.work()
        work.guest.driver.runs_as = (
            'The agent takes the database to run as a service: it is a test.'
        )
        found = next(
            result
            for result in check.check(work).result['checks']
            if result['name'] == 'guest_database'
        )
        self.assertEqual('DATABASE_NOT_SERVING', found['code'])
        self.assertIn(
            'can log in. The agent takes the database to run as a service: it is a test.',
            found['message'],
        )


class QuiesceTest(FlowTestCase):
    def test_the_database_is_stopped_kept_and_unmounted(self):
        wire = quiesce.quiesce(self.machine.work()).result['upgrade_info']
        info = UpgradeInfo.from_wire(json.loads(json.dumps(wire)))
        self.assertEqual(
            (fakes.UUID, '10.11.14-MariaDB', 'boot-1'),
            (info.volume_uuid, info.former_server_version, info.former_boot_id),
        )
        self.assertIsNone(self.machine.running)
        self.assertFalse(self.machine.mounted)
        self.assertTrue((self.machine.volume_directory / '.trove-upgrade' / info.stash).is_dir())
        self.machine.boot()
        self.assertIsNone(self.machine.running, 'the former image must not start it at boot')

    def test_it_tells_how_far_it_is(self):
        told = []
        work = dataclasses.replace(self.machine.work(), progress=lambda *said: told.append(said))
        quiesce.quiesce(work)
        self.assertEqual(
            [5, 10, 45, 80, 95], [percent for percent, _ in told if percent is not None]
        )

    def test_the_second_call_answers_the_same_and_stops_nothing(self):
        self.assertEqual(self.quiesced(), self.quiesced())

    def test_the_target_is_prepared_while_the_former_server_serves(self):
        prepared = []

        class Preparing(fakes.Driver):
            def prepare_target(self, target, options, progress):
                prepared.append((target, options, self.machine.running))

        work = self.machine.work(
            target={'server_version': '11.8.6'}, options=GuestOptions(lock_seconds=7)
        )
        quiesce.quiesce(
            dataclasses.replace(
                work, guest=dataclasses.replace(work.guest, driver=Preparing(self.machine))
            )
        )
        target = TargetFacts(server_version='11.8.6')
        self.assertEqual([(target, GuestOptions(lock_seconds=7), '10.11.14-MariaDB')], prepared)

    def test_an_undo_that_fails_has_the_cause_that_was_not_expected(self):
        first = exceptions.StepRefused('locked', 'LOCKED')
        for second, is_expected in (
            (exceptions.StepFailed('it did not come up', 'SERVICE_NOT_STARTED'), True),
            (ZeroDivisionError(), False),
        ):
            machine = self.new_machine()
            machine.fail.update(after_stop=first, start=second)
            error = self.assertRaises(exceptions.StepFailed, quiesce.quiesce, machine.work())
            self.assertIn('locked', error.message)
            self.assertIs(first if is_expected else second, error.__cause__)

    def test_a_check_that_refuses_leaves_everything_alone(self):
        self.machine.fail['checks'] = [
            CheckResult(
                name='fake', outcome='refused', message='A backup runs.', code='BACKUP_RUNNING'
            )
        ]
        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, self.machine.work())
        self.assertEqual('BACKUP_RUNNING', error.code)
        self.assert_serves_as_before(self.machine)

    def test_whatever_fails_after_the_start_is_undone(self):
        for name, error in (
            ('fingerprint_and_stop', exceptions.StepRefused('locked', 'LOCKED')),
            ('after_stop', RuntimeError('bug')),
            ('unclean', True),
            ('after_stop', OSError(28, 'No space')),
        ):
            machine = self.new_machine()
            machine.fail[name] = error
            self.assertRaises(exceptions.StepRefused, quiesce.quiesce, machine.work())
            self.assert_serves_as_before(machine)

    def test_a_taskmanager_that_took_over_while_the_job_ran_is_kept_on_the_volume(self):
        work = self.machine.work()
        work.guest.marks.see_generation(fakes.UPGRADE, 5)
        info = quiesce.quiesce(work).result['upgrade_info']
        self.machine.rebuild()
        error = self.assertRaises(
            exceptions.StepFailed,
            restore.restore,
            self.machine.work(upgrade_info=info, generation=4),
        )
        self.assertEqual('GENERATION_OLD', error.code)
        restore.restore(self.machine.work(upgrade_info=info, generation=6))
        restore.restore(self.machine.work(upgrade_info=info, generation=5))
        self.assert_upgraded(self.machine)

    def test_a_busy_volume_is_undone_and_the_holder_is_named(self):
        self.machine.others = ['4711 (rsync)']
        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, self.machine.work())
        self.assertEqual('VOLUME_BUSY', error.code)
        self.assertIn('4711 (rsync)', error.message)
        self.assert_serves_as_before(self.machine)

    def test_an_undo_that_fails_says_both_and_a_later_abort_goes_on(self):
        self.machine.fail.update(
            unclean=True,
            start=exceptions.StepFailed('The server did not come up.', 'SERVICE_NOT_STARTED'),
        )
        error = self.assertRaises(exceptions.StepFailed, quiesce.quiesce, self.machine.work())
        self.assertIn('not cleanly', error.message)
        self.assertIn('did not come up', error.message)
        undo.abort(self.machine.work(attempt=2))
        self.assert_serves_as_before(self.machine)

    def another_rebuild(self, machine):
        machine.rebuild(f'{fakes.UPGRADE}:2')

    def test_an_agent_that_dies_anywhere_in_quiesce_comes_to_the_same_end(self):
        for machine, _, story in self._each_death(
            quiesce.quiesce, lambda machine: {}, lives=[self.agent_restart, self.reboot]
        ):
            info = self.quiesced(machine)
            self.assertIsNone(machine.running, story)
            self.assertFalse(machine.mounted, story)
            machine.rebuild()
            restore.restore(machine.work(upgrade_info=info))
            self.assertEqual(4, self.rows(machine), story)
            self.assert_upgraded(machine)

    def test_an_agent_that_dies_anywhere_in_quiesce_can_be_aborted(self):
        for machine, _, _story in self._each_death(
            quiesce.quiesce, lambda machine: {}, lives=[self.agent_restart, self.reboot]
        ):
            if machine.running is None or machine.guest().marks.has(Mark.QUIESCING):
                undo.abort(machine.work())
            self.assert_serves_as_before(machine)

    def test_an_abort_that_dies_anywhere_can_be_repeated(self):
        def prepare(machine):
            self.quiesced(machine)
            return {}

        for machine, _, _story in self._each_death(
            undo.abort, prepare, lives=[self.agent_restart, self.reboot]
        ):
            undo.abort(machine.work())
            self.assert_serves_as_before(machine)

    def test_an_agent_that_dies_anywhere_in_restore_comes_to_the_same_end(self):
        def prepare(machine):
            return {'upgrade_info': self.rebuilt(machine)}

        lives = [self.agent_restart, self.reboot, self.another_rebuild]
        for machine, changes, story in self._each_death(restore.restore, prepare, lives=lives):
            result = restore.restore(machine.work(**changes)).result
            self.assertEqual(3, result['fingerprint']['rows_compared'], story)
            self.assertIsNotNone(result['opened_at'], story)
            self.assertGreaterEqual(self.rows(machine), 4, story)
            self.assert_upgraded(machine)


class AbortTest(FlowTestCase):
    def test_an_abort_of_what_never_began_finds_the_database_serving(self):
        undo.abort(self.machine.work())
        self.assert_serves_as_before(self.machine)

    def test_the_volume_is_mounted_as_it_was(self):
        self.quiesced()
        undo.abort(self.machine.work())
        self.assertEqual(['rw,noatime'], self.machine.mounts)
        self.assert_serves_as_before(self.machine)

    def test_a_database_that_is_down_for_other_reasons_is_no_success(self):
        self.machine.running = None
        error = self.assertRaises(exceptions.StepFailed, undo.abort, self.machine.work())
        self.assertEqual('DATABASE_NOT_SERVING', error.code)

    def test_nothing_is_undone_once_the_new_server_was_started_on_the_data(self):
        self.quiesced()
        self.machine.mount()
        self.machine.guest().marks.set(Mark.SERVER_STARTED, fakes.UPGRADE)
        error = self.assertRaises(exceptions.StepFailed, undo.abort, self.machine.work())
        self.assertEqual('SERVER_STARTED_ON_DATA', error.code)
        self.assertIsNone(self.machine.running)


class RestoreTest(FlowTestCase):
    def _restore(self, info, machine=None):
        return restore.restore((machine or self.machine).work(upgrade_info=info))

    def _refused(self, info, code):
        error = self.assertRaises(exceptions.StepFailed, self._restore, info)
        self.assertEqual(code, error.code)
        return error

    def test_the_new_server_serves_the_old_data(self):
        info = self.rebuilt()
        result = self._restore(info).result
        self.assertEqual([], result['fingerprint']['missing'])
        self.assertEqual([{'name': 'x', 'before': '1', 'after': '2'}], result['settings_changed'])
        self.assertEqual(info['stopped_at'], result['stopped_at'])
        self.assertIsNotNone(downtime.between(result['opening_at'], result['opened_at']))
        self.assertEqual(f'{fakes.UUID}\n', self.machine.layout.volume_uuid.read_text())
        self.assertFalse((self.machine.layout.etc / 'mysql' / 'debian-start').exists())
        self.assert_upgraded(self.machine)

    def test_the_end_of_the_stop_is_told_and_told_again(self):
        result = quiesce.quiesce(self.machine.work()).result
        self.assertIsNotNone(
            downtime.between(result['upgrade_info']['stopped_at'], result['quiesced_at'])
        )
        self.machine.clock.time += datetime.timedelta(seconds=30)
        self.assertEqual(result, quiesce.quiesce(self.machine.work()).result)

    def test_it_tells_how_far_it_is(self):
        told = []
        work = self.machine.work(upgrade_info=self.rebuilt())
        restore.restore(dataclasses.replace(work, progress=lambda *said: told.append(said)))
        self.assertEqual([0, 10, 20, 30, 40, 55, 70, 70, 89, 90], [percent for percent, _ in told])

    def test_remarks_of_an_earlier_run_on_this_root_disk_are_told_too(self):
        info = self.rebuilt()
        self.machine.guest().marks.record(
            ConfiguredFacts(upgrade_id=fakes.UPGRADE, remarks=['no user x'])
        )
        self.assertEqual(['no user x'], self._restore(info).result['remarks'])

    def test_the_second_call_answers_the_same_and_starts_nothing(self):
        info = self.rebuilt()
        first = self._restore(info)
        self.assertEqual(first, self._restore(info))
        self.assertEqual(4, self.rows(self.machine))

    def test_a_root_disk_that_is_lost_again_is_healed_and_keeps_what_clients_wrote(self):
        info = self.rebuilt()
        self._restore(info)
        self.machine.rebuild(f'{fakes.UPGRADE}:2')
        self.assertIsNone(self.machine.running)
        self._restore(info)
        self.assertEqual(5, self.rows(self.machine))
        self.assert_upgraded(self.machine)

    def test_an_info_that_is_not_ours_is_refused(self):
        info = self.rebuilt()
        for broken in (
            {},
            {**info, 'schema': 2},
            {**info, 'stash': '../../etc'},
            {**info, 'stash_digest': 'x'},
            {**info, 'more': 'x' * 70000},
        ):
            self._refused(broken, 'UPGRADE_INFO_INVALID')

    def test_another_volume_is_refused(self):
        self._refused(
            {**self.rebuilt(), 'volume_uuid': '00000000-0000-4000-8000-00000000000a'},
            'VOLUME_NOT_FOUND',
        )

    def test_a_stash_that_was_changed_is_refused_and_nothing_is_written(self):
        info = self.rebuilt()
        for name in ('manifest.json', 'content'):
            path = self.machine.volume_directory / '.trove-upgrade' / info['stash'] / name
            content = path.read_bytes()
            path.write_bytes(content[:20] + b'X' + content[21:])
            self._refused(info, 'STASH_BROKEN')
            self.machine.unmount()
            path.write_bytes(content)
            self.assertFalse((self.machine.layout.etc / 'mysql').exists())
            self.assertFalse(self.machine.guest().server_started(fakes.UPGRADE))

    def test_a_stash_that_is_gone_or_a_link_is_refused(self):
        info = self.rebuilt()
        stash = self.machine.volume_directory / '.trove-upgrade' / info['stash']
        stash.rename(stash.with_name('elsewhere'))
        self._refused(info, 'STASH_MISSING')
        self.machine.unmount()
        stash.symlink_to('elsewhere')
        self._refused(info, 'STASH_MISSING')

    def test_a_stash_that_others_can_write_to_is_refused(self):
        info = self.rebuilt()
        (self.machine.volume_directory / '.trove-upgrade').chmod(0o777)
        self._refused(info, 'STASH_MISSING')

    def test_data_that_was_written_to_since_is_refused(self):
        info = self.rebuilt()
        (self.machine.volume_directory / 'data' / 'rows').write_text('2')
        (self.machine.volume_directory / 'data' / 'new').write_text('')
        error = self._refused(info, 'DATA_CHANGED')
        self.assertIn("'rows' has changed", error.message)
        self.assertIn("'new' is new", error.message)
        self.assertFalse(self.machine.guest().server_started(fakes.UPGRADE))

    def test_a_server_that_the_agent_has_not_started_is_refused(self):
        info = self.rebuilt()
        self.machine.mount()
        self.machine.start(isolated=False)
        self._refused(info, 'SERVER_UNEXPECTED')

    def test_a_release_that_may_not_follow_is_refused_before_the_data_is_touched(self):
        asked = []

        class Strict(fakes.Driver):
            code = None

            def check_release(self, former, installed):
                asked.append((former, installed))
                return CheckResult(
                    name='release', outcome='refused', message='It is older.', code=self.code
                )

        info = self.rebuilt()
        for named, code in ((None, 'DOWNGRADE'), ('SERIES', 'SERIES')):
            work = self.machine.work(upgrade_info=info)
            driver = Strict(self.machine)
            driver.code = named
            work = dataclasses.replace(work, guest=dataclasses.replace(work.guest, driver=driver))
            error = self.assertRaises(exceptions.StepFailed, restore.restore, work)
            self.assertEqual(code, error.code)
            self.assertIn('It is older.', error.message)
        self.assertEqual([('10.11.14-MariaDB', '11.8.6-MariaDB')] * 2, asked)
        self.assertFalse(self.machine.guest().server_started(fakes.UPGRADE))

    def test_another_server_than_expected_upgrades_nothing_and_is_not_opened(self):
        class Silent(fakes.Driver):
            def installed_version(self):
                return None

        info = self.rebuilt()
        for expected in ('11.8.60', '10.11'):
            work = self.machine.work(upgrade_info=info, target={'server_version': expected})
            guest = dataclasses.replace(work.guest, driver=Silent(self.machine))
            error = self.assertRaises(
                exceptions.StepFailed, restore.restore, dataclasses.replace(work, guest=guest)
            )
            self.assertEqual('SERVER_VERSION_DIFFERS', error.code)
            self.assertIn(f'11.8.6-MariaDB, expected {expected}', error.message)
            self.assertTrue(self.machine.isolated)
            for mark in (Mark.UPGRADED, Mark.COMPARED, Mark.OPENED):
                self.assertFalse(guest.marks.has(mark, fakes.UPGRADE), mark)

    def test_troves_agent_is_muted_only_where_it_shares_the_volume(self):
        held = []

        class TroveAgentControl:
            def hold(self):
                held.append('held')

        info = self.rebuilt()
        for shared, expected in ((False, []), (True, ['held'])):
            work = self.machine.work(upgrade_info=info)
            driver = fakes.Driver(self.machine)
            driver.shares_volume = shared
            guest = dataclasses.replace(work.guest, driver=driver, trove_agent=TroveAgentControl())
            self.machine.fail['start_isolated'] = exceptions.StepFailed('it ended', 'ENDED')
            self.assertRaises(
                exceptions.StepFailed, restore.restore, dataclasses.replace(work, guest=guest)
            )
            self.assertEqual(expected, held)

    def test_the_stash_of_another_instance_is_refused(self):
        self.machine.layout.agent_files[0].write_text('[DEFAULT]\nguest_id = somebody-else\n')
        self._refused(self.rebuilt(), 'STASH_OF_ANOTHER_INSTANCE')

    def test_a_configuration_that_the_new_server_refuses_is_found_before_the_data_is_touched(self):
        (self.machine.layout.etc / 'mysql' / 'conf.d' / 'custom.cnf').write_text('bad_option = 1\n')
        info = self.rebuilt()
        self._refused(info, 'CONFIGURATION_REFUSED')
        self.assertIsNone(self.machine.running)
        self.assertFalse(self.machine.guest().server_started(fakes.UPGRADE))

    def test_the_data_has_its_owner_before_the_configuration_is_tried(self):
        done = []

        class Noting(fakes.Driver):
            def own_data(self):
                done.append('own_data')
                super().own_data()

            def check_configuration(self, options):
                done.append('check_configuration')
                return super().check_configuration(options)

        work = self.machine.work(upgrade_info=self.rebuilt())
        restore.restore(
            dataclasses.replace(
                work, guest=dataclasses.replace(work.guest, driver=Noting(self.machine))
            )
        )
        self.assertEqual(['own_data', 'check_configuration'], done)

    def test_a_first_start_that_fails_is_past_the_point_of_no_return_and_can_be_retried(self):
        info = self.rebuilt()
        self.machine.fail['start_isolated'] = exceptions.StepFailed(
            'it ended', 'SERVER_NOT_STARTED'
        )
        self._refused(info, 'SERVER_NOT_STARTED')
        self.assertTrue(self.machine.guest().server_started(fakes.UPGRADE))
        self._restore(info)
        self.assert_upgraded(self.machine)

    def test_what_was_mended_in_place_is_tried_at_each_retry_until_the_data_is_compared(self):
        looked = []

        class Mended(fakes.Driver):
            def check_again(self, options, progress):
                looked.append(self.machine.guest().marks.has(Mark.COMPARED))
                return (
                    CheckResult(
                        name='configuration',
                        outcome='refused',
                        message='unknown variable',
                        code='CONFIGURATION_REFUSED',
                    )
                    if len(looked) == 1
                    else None
                )

        work = self.machine.work(upgrade_info=self.rebuilt())
        work = dataclasses.replace(
            work, guest=dataclasses.replace(work.guest, driver=Mended(self.machine))
        )

        def fails(code):
            self.assertEqual(
                code, self.assertRaises(exceptions.StepFailed, restore.restore, work).code
            )

        self.machine.fail['start_isolated'] = exceptions.StepFailed(
            'it ended', 'SERVER_NOT_STARTED'
        )
        fails('SERVER_NOT_STARTED')
        self.assertEqual([], looked)
        fails('CONFIGURATION_REFUSED')
        self.machine.fail['open_for_clients'] = exceptions.StepFailed(
            'it is silent', 'DATABASE_NOT_REACHABLE'
        )
        fails('DATABASE_NOT_REACHABLE')
        restore.restore(work)
        self.assertEqual([False, False], looked)
        self.assert_upgraded(self.machine)

    def test_data_that_another_release_has_upgraded_is_upgraded_again_by_the_mended_one(self):
        info = self.rebuilt()
        self.machine.fail['start_isolated'] = exceptions.StepFailed(
            'it ended', 'SERVER_NOT_STARTED'
        )
        self._refused(info, 'SERVER_NOT_STARTED')
        self.machine.guest().marks.record(
            UpgradedFacts(upgrade_id=fakes.UPGRADE, server_version='11.8.5-MariaDB')
        )
        self._restore(info)
        self.assertEqual(
            '11.8.6-MariaDB', (self.machine.layout.data_directory / 'upgraded').read_text()
        )

    def test_a_missing_row_is_never_opened_for_clients(self):
        info = self.rebuilt()
        original = fakes.Driver.upgrade_data

        class Lossy(fakes.Driver):
            def upgrade_data(self, progress, former='', options=None):
                original(self, progress, former, options)
                (self.layout.data_directory / 'rows').write_text('2')

        work = self.machine.work(upgrade_info=info)
        work = dataclasses.replace(
            work, guest=dataclasses.replace(work.guest, driver=Lossy(self.machine))
        )
        error = self.assertRaises(exceptions.StepFailed, restore.restore, work)
        self.assertEqual('FINGERPRINT_DIFFERS', error.code)
        self.assertTrue(self.machine.isolated)
        self.assertFalse(work.guest.serving())
        self.assertEqual('', (self.machine.layout.etc / 'autostart').read_text())

        differences, accepted = (
            path(fakes.UPGRADE)
            for path in (self.machine.layout.differences, self.machine.layout.accepted)
        )
        self.assertEqual(
            {'differences': ['table a.t has other rows']}, json.loads(differences.read_text())
        )
        for unfit in (
            '{',
            '[]',
            '{"differences": ["table a.u has other rows"]}',
            '{"differences": 1}',
        ):
            accepted.write_text(unfit)
            self.assertEqual(
                'FINGERPRINT_DIFFERS',
                self.assertRaises(exceptions.StepFailed, restore.restore, work).code,
            )
        accepted.write_bytes(differences.read_bytes())
        self.assertEqual(
            ['table a.t has other rows'], restore.restore(work).result['fingerprint']['accepted']
        )
        self.assertTrue(work.guest.serving())


class VerifyTest(FlowTestCase):
    def setUp(self):
        super().setUp()
        restore.restore(self.machine.work(upgrade_info=self.rebuilt()))

    def _refused(self, code, **changes):
        error = self.assertRaises(
            exceptions.StepFailed, verify.verify, self.machine.work(**changes)
        )
        self.assertEqual(code, error.code)

    def test_an_upgraded_guest_is_verified(self):
        result = verify.verify(self.machine.work(target={'server_version': '11.8.6'})).result
        self.assertEqual('11.8.6-MariaDB', result['server_version'])
        self.assertEqual(['ok'] * 3, [each['outcome'] for each in result['checks']])

    def test_a_series_is_satisfied_by_its_patch_level_and_not_by_digits_alone(self):
        verify.verify(self.machine.work(target={'server_version': '11.8'}))
        self._refused('SERVER_VERSION_DIFFERS', target={'server_version': '11.8.60'})
        self._refused('SERVER_VERSION_DIFFERS', target={'server_version': '11.80'})

    def test_a_server_that_is_silent_fails(self):
        self.machine.running = None
        self._refused('DATABASE_NOT_SERVING')

    def test_a_mount_that_a_reboot_would_lose_fails(self):
        self.machine.layout.fstab.write_text('')
        self._refused('MOUNT_NOT_DURABLE')

    def test_a_service_that_a_reboot_would_not_start_fails(self):
        (self.machine.layout.etc / 'autostart').write_text('')
        self._refused('AUTOSTART_NOT_DURABLE')

    def test_a_probe_that_cannot_write_fails(self):
        self.machine.fail['write_probe'] = exceptions.StepFailed('read only', 'READ_ONLY')
        self._refused('READ_ONLY')


class FinishTest(FlowTestCase):
    def test_the_stash_goes_after_its_hours_and_not_before(self):
        info = self.rebuilt()
        restore.restore(self.machine.work(upgrade_info=info))
        stash = self.machine.layout.on_volume / info['stash']
        verify.verify(self.machine.work())
        first = finish.finish(self.machine.work())
        self.machine.clock.move(71 * 3600)
        self.assertEqual(
            first, finish.finish(self.machine.work()), 'a repetition begins the hours anew'
        )
        self.assertEqual(3600, finish.seconds_until_removal(self.machine.guest()))
        self.assertTrue(stash.is_dir())
        self.machine.clock.move(3600)
        self.assertIsNone(finish.seconds_until_removal(self.machine.guest()))
        self.assertFalse(stash.exists())
        self.assertIsNone(finish.seconds_until_removal(self.machine.guest()))
        self.assert_upgraded(self.machine)

    def test_a_guest_that_was_upgraded_once_can_be_upgraded_again(self):
        restore.restore(self.machine.work(upgrade_info=self.rebuilt()))
        verify.verify(self.machine.work())
        finish.finish(self.machine.work())
        second = quiesce.quiesce(self.machine.work(upgrade_id='second')).result['upgrade_info']
        self.assertEqual('stash-second-1', second['stash'])
        self.assertEqual(
            ['stash-second-1'],
            [
                path.name
                for path in (self.machine.volume_directory / '.trove-upgrade').glob('stash-*')
            ],
        )
        undo.abort(self.machine.work(upgrade_id='second'))
        self.assertTrue(self.machine.guest().serving())
