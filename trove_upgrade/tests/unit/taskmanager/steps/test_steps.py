# SPDX-License-Identifier: Apache-2.0
"""Precheck, quiesce, boot, restore, verify and undo: each with all that it can find."""

import dataclasses
import datetime

from trove_upgrade.db import trove_tables
from trove_upgrade.db.configuration_parameters import ConfigurationParameter
from trove_upgrade.domain import compute, exceptions, guests, instances, states, versions
from trove_upgrade.domain.guests import JobState
from trove_upgrade.domain.outcomes import Done, Wait
from trove_upgrade.tests import user_data_forms as forms
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.taskmanager import fakes

Step = states.Step


class _StepCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.guest = self.stage.guest


class TestPrecheck(_StepCase):
    def refusal(self, **changes):
        self.stage.nova.change(**changes)
        return self.assertRaises(
            exceptions.StepRefused, self.stage.precheck.run, self.stage.row()
        ).code

    def test_it_remembers_what_later_steps_compare_with(self):
        done = self.stage.precheck.run(self.stage.row())
        self.assertIsInstance(done, Done)
        self.assertEqual(fakes.FORMER_BOOT, stored.entries_of(done.upgrade)['former_boot_id'])
        self.assertEqual(
            (database.IMAGE_10_11, database.IMAGE_11_8),
            (done.upgrade.former_image_id, done.upgrade.target_image_id),
        )

    def test_a_server_that_is_not_active_refuses(self):
        self.assertEqual('SERVER_NOT_ACTIVE', self.refusal(status='SHUTOFF'))

    def test_a_locked_server_refuses(self):
        self.assertEqual('SERVER_LOCKED', self.refusal(locked=True))

    def test_a_busy_server_refuses(self):
        self.assertEqual('SERVER_BUSY', self.refusal(task_state='rebooting'))

    def test_a_server_that_reboots_refuses_as_a_busy_one(self):
        self.assertEqual('SERVER_BUSY', self.refusal(status='REBOOT'))

    def test_a_host_that_is_down_refuses(self):
        self.stage.nova.up = False
        self.assertEqual('COMPUTE_DOWN', self.refusal())

    def test_a_root_on_a_volume_needs_a_newer_nova(self):
        self.stage.nova.microversion = (2, 90)
        self.assertEqual('VOLUME_BACKED_ROOT', self.refusal(volume_backed=True, image_id=None))

    def test_a_full_metadata_quota_refuses(self):
        self.stage.nova.quota = 1
        self.assertEqual('METADATA_QUOTA', self.refusal())

    def test_user_data_of_another_kind_refuses(self):
        self.assertEqual('USER_DATA_NOT_CLOUD_CONFIG', self.refusal(user_data=b'#!/bin/sh\n'))

    def test_user_data_that_would_keep_the_former_version_refuses(self):
        self.assertEqual(
            'USER_DATA_UNREADABLE', self.refusal(user_data=forms.KEPT['a script beside it'])
        )

    def test_a_guest_that_would_not_be_heard_refuses_before_the_present_one_is_asked(self):
        broker = fakes.FakeGuestBroker('the broker refuses it the queue q')
        self.stage.precheck = dataclasses.replace(
            self.stage.precheck, preflight=dataclasses.replace(self.stage.preflight, broker=broker)
        )
        config = forms.config(
            forms.entry(),
            {
                'path': '/etc/trove/conf.d/trove-guestagent.conf',
                'content': '[DEFAULT]\ntransport_url = t\n',
            },
        )
        self.assertEqual('GUEST_BROKER_MISMATCH', self.refusal(user_data=config.encode()))
        [(instance_id, files)] = broker.asked
        self.assertEqual(
            (database.INSTANCE, '[DEFAULT]\ntransport_url = t\n'),
            (instance_id, files['trove-guestagent.conf']),
        )
        self.assertEqual(
            ['guest_info.conf', 'trove-guestagent.conf', 'trove-upgrade-marker.conf'], list(files)
        )
        self.assertEqual([], self.stage.guest.calls)

    def test_a_broker_that_accepts_it_is_one_check_more(self):
        preflight = dataclasses.replace(self.stage.preflight, broker=fakes.FakeGuestBroker(None))
        done = dataclasses.replace(self.stage.precheck, preflight=preflight).run(self.stage.row())
        self.assertIn('checks were made', done.message)

    def test_a_nova_that_keeps_the_user_data_refuses(self):
        self.stage.nova.microversion = (2, 56)
        self.assertEqual('USER_DATA_KEPT', self.refusal())

    def test_a_nova_that_keeps_user_data_without_files_of_troves_does_not(self):
        self.stage.nova.microversion = (2, 56)
        self.stage.nova.change(user_data=b'#cloud-config\nwrite_files: [{path: /a, content: x}]\n')
        files = dataclasses.replace(
            self.stage.files, guest_config_file='/x', read=lambda _path: '[DEFAULT]\n'
        )
        preflight = dataclasses.replace(self.stage.preflight, files=files)
        precheck = dataclasses.replace(self.stage.precheck, preflight=preflight)
        self.assertIsInstance(precheck.run(self.stage.row()), Done)

    def test_an_image_that_is_too_large_refuses(self):
        self.stage.images.known[database.IMAGE_11_8] = compute.Image(
            id=database.IMAGE_11_8,
            name='i',
            status='active',
            min_disk_gb=5,
            min_ram_mb=0,
            size_bytes=0,
        )
        self.assertEqual('IMAGE_NEEDS_DISK', self.refusal())

    def test_an_image_that_is_gone_refuses(self):
        del self.stage.images.known[database.IMAGE_11_8]
        self.assertEqual('IMAGE_NOT_FOUND', self.refusal())

    def test_a_task_of_somebody_else_refuses(self):
        row = self.stage.row()
        self.stage.db.update_instance(task_id=int(instances.Task.RESIZING))
        self.assertEqual(
            'INSTANCE_CHANGED',
            self.assertRaises(exceptions.StepRefused, self.stage.precheck.run, row).code,
        )

    def configure(self, known, **parameters):
        """The instance has a group that sets `parameters`; `known` are loaded for the target."""
        database_, group = self.stage.db, '00000000-0000-4000-8000-00000000cf01'
        database_.insert(
            trove_tables.configurations,
            id=group,
            name='g',
            tenant_id=database.PROJECT,
            deleted=False,
            datastore_version_id=database.MARIADB_10_11,
        )
        for name, deleted in parameters.items():
            database_.insert(
                trove_tables.configuration_parameters,
                configuration_id=group,
                configuration_key=name,
                configuration_value='1',
                deleted=deleted,
            )
        database_.update_instance(configuration_id=group)
        self.stage.repos.datastores.save_configuration_parameters(
            database.MARIADB_11_8,
            [
                ConfigurationParameter(
                    name=name,
                    restart_required=False,
                    data_type='integer',
                    max_size=None,
                    min_size=None,
                )
                for name in known
            ],
        )

    def test_a_parameter_of_the_configuration_group_that_the_target_lacks_refuses_and_is_named(
        self,
    ):
        self.configure(['max_connections'], max_connections=False, max_tmp_tables=False)
        error = self.assertRaises(exceptions.StepRefused, self.stage.precheck.run, self.stage.row())
        self.assertEqual('CONFIGURATION_PARAMETER_UNKNOWN', error.code)
        self.assertIn('max_tmp_tables, which 11.8.6 does not have', error.message)
        self.assertEqual([], self.guest.calls)

    def test_parameters_that_the_target_has_and_those_that_were_taken_out_refuse_nothing(self):
        self.configure(['max-connections'], max_connections=False, max_tmp_tables=True)
        self.assertEqual((), self.stage.precheck.run(self.stage.row()).upgrade.notes.warnings)

    def test_a_target_without_loaded_parameters_is_warned_about_only(self):
        self.configure([], max_tmp_tables=False)
        (warning,) = stored.entries_of(self.stage.precheck.run(self.stage.row()).upgrade)[
            'warnings'
        ]
        self.assertEqual(
            ('precheck', 'CONFIGURATION_PARAMETERS_NOT_LOADED'), (warning['step'], warning['code'])
        )
        self.assertIn('no configuration parameters are loaded', warning['message'])

    def test_without_a_configuration_group_loaded_parameters_do_not_matter(self):
        self.configure(['max_connections'], max_tmp_tables=False)
        self.stage.db.update_instance(configuration_id=None)
        self.assertIsInstance(self.stage.precheck.run(self.stage.row()), Done)

    def test_what_the_guest_refuses_has_its_code(self):
        self.guest.says(
            'check_upgrade',
            fakes.answer(
                result={
                    'checks': [
                        {'name': 'a', 'outcome': 'ok', 'message': ''},
                        {'name': 'b', 'outcome': 'refused', 'message': 'xa', 'code': 'XA'},
                    ]
                }
            ),
        )
        self.assertEqual('XA', self.refusal())

    def test_what_the_guest_could_not_check_refuses(self):
        self.guest.says(
            'check_upgrade',
            fakes.answer(
                result={
                    'checks': [
                        {'name': 'a', 'outcome': 'from the future', 'message': 'eh', 'code': 'EH'}
                    ]
                }
            ),
        )
        self.assertEqual('EH', self.refusal())

    def test_a_guest_that_fails_as_a_whole_refuses(self):
        self.guest.says('check_upgrade', fakes.answer(JobState.FAILED, code='BROKEN'))
        self.assertEqual('BROKEN', self.refusal())

    def test_a_guest_that_works_is_asked_again(self):
        self.guest.says('check_upgrade', fakes.answer(JobState.RUNNING))
        self.assertIsInstance(self.stage.precheck.run(self.stage.row()), Wait)

    def test_a_nova_that_is_away_is_asked_again(self):
        self.stage.nova.unavailable = 'timed out'
        self.assertRaises(exceptions.ComputeUnavailable, self.stage.precheck.run, self.stage.row())


class TestQuiesce(_StepCase):
    def test_that_the_guest_will_be_touched_is_committed_first(self):
        wait = self.stage.quiesce.run(self.stage.row(Step.QUIESCE))
        self.assertEqual(
            (0, {'guest_touched_in_attempt': 1}), (wait.seconds, stored.entries_of(wait.upgrade))
        )
        self.assertEqual([], self.guest.calls)

    def test_it_keeps_what_the_guest_hands_on(self):
        done = self.stage.quiesce.run(
            self.stage.row(Step.QUIESCE, data={'guest_touched_in_attempt': 1})
        )
        self.assertEqual(
            ('stash-s1', fakes.FORMER_BOOT),
            (
                stored.entries_of(done.upgrade)['upgrade_info']['stash'],
                stored.entries_of(done.upgrade)['former_boot_id'],
            ),
        )

    def test_facts_that_would_be_options_of_the_next_root_disk_are_refused_before_they_are_kept(
        self,
    ):
        row = self.stage.row(Step.QUIESCE, data={'guest_touched_in_attempt': 1})
        for info in (
            {'volume_uuid': 'x\ntransport_url = rabbit://e@e/'},
            {'volume_uuid': 'x\u2028y'},
            {'other': 'a\x85b'},
            {'image_archive': 'x'},
            {'image_archive': {'sha256': 'a' * 64, 'size_bytes': 1, 'image_id': 'x\ny = z'}},
            'x',
            ['x'],
            {'schema': 1},
        ):
            self.guest.says('pre_upgrade', fakes.answer(result={'upgrade_info': info}))
            error = self.assertRaises(exceptions.StepRefused, self.stage.quiesce.run, row)
            self.assertEqual('UPGRADE_INFO_INVALID', error.code)
            self.assertTrue(error.message.isprintable())

    def test_somebody_elses_task_stops_it_before_the_guest_is_touched(self):
        row = self.stage.row(Step.QUIESCE)
        self.stage.db.update_instance(task_id=int(instances.Task.DELETING))
        self.assertRaises(exceptions.StepRefused, self.stage.quiesce.run, row)
        self.assertEqual([], self.guest.calls)


class TestBoot(_StepCase):
    def setUp(self):
        super().setUp()
        self.row = self.stage.row(
            Step.BOOT,
            rebuild_attempt=1,
            data={'former_boot_id': fakes.FORMER_BOOT, 'rebuild_for_attempt': 1},
        )

    def test_no_heartbeat_is_waited_for(self):
        self.assertIsInstance(self.stage.boot.run(self.row), Wait)

    def test_a_heartbeat_of_an_earlier_rebuild_is_not_it(self):
        self.stage.heartbeat(self.row, marker=f'{self.row.id}:0')
        self.assertIsInstance(self.stage.boot.run(self.row), Wait)

    def test_the_former_guest_with_new_user_data_is_not_it(self):
        self.stage.heartbeat(self.row, boot_id=fakes.FORMER_BOOT)
        self.assertIsInstance(self.stage.boot.run(self.row), Wait)

    def test_marker_and_another_boot_is_it(self):
        self.stage.heartbeat(self.row)
        self.assertEqual(
            fakes.NEW_BOOT, stored.entries_of(self.stage.boot.run(self.row).upgrade)['boot_id']
        )


class TestRestore(_StepCase):
    def setUp(self):
        super().setUp()
        self.row = self.stage.row(
            Step.RESTORE,
            data={'post_upgrade_sent_in_attempt': 1, 'upgrade_info': {'stash': 'stash-s1'}},
        )

    def test_that_it_was_sent_is_committed_first(self):
        wait = self.stage.restore.run(self.row.evolve(progress=stored.progress()))
        self.assertEqual(
            (0, 1), (wait.seconds, stored.entries_of(wait.upgrade)['post_upgrade_sent_in_attempt'])
        )
        self.assertEqual([], self.guest.calls)

    def test_the_guest_gets_what_it_handed_on(self):
        self.stage.restore.run(self.row)
        self.assertEqual({'stash': 'stash-s1'}, self.guest.asked('post_upgrade')[0].upgrade_info)

    def test_a_refusal_is_a_failure_now(self):
        self.guest.says('post_upgrade', fakes.answer(JobState.REFUSED, code='CONFIG'))
        self.assertEqual(
            'CONFIG',
            self.assertRaises(exceptions.StepFailed, self.stage.restore.run, self.row).code,
        )

    def test_without_both_times_the_downtime_is_unknown(self):
        self.assertIsNone(self.downtime(opened_at=None))

    def test_by_a_clock_that_was_set_back_the_downtime_is_unknown(self):
        times = {'stopped_at': '2026-12-01T12:00:10+00:00'}
        self.assertEqual(2.5, self.downtime(opened_at='2026-12-01T12:00:12.5+00:00', **times))
        self.assertIsNone(self.downtime(opened_at='2026-12-01T11:59:40+00:00', **times))

    def downtime(self, **result):
        self.guest.says('post_upgrade', fakes.answer(result=result))
        return self.stage.restore.run(self.row).upgrade.progress.restore.downtime_seconds


class TestVerify(_StepCase):
    def setUp(self):
        super().setUp()
        self.row = self.stage.row(
            Step.VERIFY, rebuild_attempt=1, data={'restored_boot_id': fakes.NEW_BOOT}
        )

    def test_the_server_says_the_target_version(self):
        self.assertEqual(
            '11.8.6-MariaDB-0+deb13u1',
            stored.entries_of(self.stage.verify.run(self.row).upgrade)['server_version'],
        )

    def test_another_version_fails(self):
        self.guest.says(
            'verify_upgrade', fakes.answer(result={'server_version': '10.11.14-MariaDB'})
        )
        self.assertEqual(
            'SERVER_VERSION_DIFFERS',
            self.assertRaises(exceptions.StepFailed, self.stage.verify.run, self.row).code,
        )

    def test_a_plain_reboot_before_verify_changes_nothing(self):
        self.stage.heartbeat(self.row, boot_id='boot-3', restored=True)
        self.assertIsInstance(self.stage.verify.run(self.row), Done)

    def test_an_old_heartbeat_from_before_the_restore_changes_nothing(self):
        self.stage.heartbeat(self.row, restored=False)
        self.assertIsInstance(self.stage.verify.run(self.row), Done)

    def test_versions_are_compared_as_far_as_the_target_names_them(self):
        for target, running, same in (
            ('11.8.6', '11.8.6-MariaDB-log', True),
            ('11.8', '11.8.6-MariaDB', True),
            ('11.8.6', '11.8.7-MariaDB', False),
            ('11.8', '11.80.1', False),
            ('mariadb-11.8', '11.8.6', True),
            ('11.8.6', None, False),
            ('latest', '11.8.6', True),
            ('11.8.6', 'junk', False),
        ):
            self.assertEqual(same, versions.is_same(target, running), (target, running))


class TestUndo(_StepCase):
    def test_a_guest_that_serves_again_is_done(self):
        self.assertIsInstance(self.stage.undo.run(self.stage.row(Step.QUIESCE)), Done)

    def test_a_guest_that_works_is_asked_again(self):
        self.guest.says('abort_upgrade', fakes.answer(JobState.RUNNING))
        self.assertIsInstance(self.stage.undo.run(self.stage.row(Step.QUIESCE)), Wait)

    def test_done_without_serving_is_a_failure(self):
        self.guest.says('abort_upgrade', fakes.answer(JobState.DONE, serving=False))
        error = self.assertRaises(
            exceptions.StepFailed, self.stage.undo.run, self.stage.row(Step.QUIESCE)
        )
        self.assertEqual('UNDO_NOT_SERVING', error.code)

    def test_every_time_out_says_what_was_waited_for(self):
        row = self.stage.row()
        for step in (
            self.stage.precheck,
            self.stage.quiesce,
            self.stage.rebuild,
            self.stage.boot,
            self.stage.restore,
            self.stage.verify,
            self.stage.undo,
        ):
            self.assertIn('the reason', step.expired(row, 'the reason').message)

    def test_the_call_carries_attempt_generation_and_a_deadline(self):
        self.stage.undo.run(self.stage.row(Step.QUIESCE, attempt=3))
        call = self.guest.asked('abort_upgrade')[0]
        self.assertEqual((3, 1), (call.attempt, call.generation))
        self.assertGreater(call.seconds, 0)
        self.assertEqual(
            call.deadline - self.stage.clock.now(), datetime.timedelta(seconds=call.seconds)
        )
        self.assertEqual(call, guests.GuestCall.from_wire(call.to_wire()))

    def test_seconds_of_a_call_are_whole_and_such_as_every_agent_reads(self):
        for seconds, whole in (
            (0.1, 1),
            (300.0, 300),
            (-5.0, 0),
            (1e18, 2**31 - 1),
            (float('inf'), 2**31 - 1),
        ):
            self.assertEqual(whole, guests.whole_seconds(seconds))
