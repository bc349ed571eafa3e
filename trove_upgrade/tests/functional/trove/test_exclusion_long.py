# SPDX-License-Identifier: Apache-2.0
"""Trove's own actions, sent to real Trove while an upgrade of ours is held in a step.
doc/source/admin/exclusion.rst is what must come of it.
"""

import dataclasses
import pathlib

from lab.services import trove, trove_deployment
from lab.supervisor import Supervisor
from trove_upgrade.domain.instances import Task
from trove_upgrade.tests.exclusion_table import ACTIONS, Group
from trove_upgrade.tests.functional.trove import base, holding

UNFILTERED_PORT = 18783


class TestWhatTroveRefuses(holding.HoldingCase):
    NAMES = ('refusals',)

    def test_every_action_that_trove_refuses_is_refused_in_every_step(self):
        instance = self.made['refusals']
        self.fill(instance)
        self.values = self.placeholders(instance)
        for group in (Group.STOPPED, Group.REBUILDING):
            self.hold(instance, group)
        self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])

        self.send_all(instance, Group.CHECKING)
        self.go_on()
        self.until(instance, Group.STOPPED)
        self.send_all(instance, Group.STOPPED)
        self.no_effect_while_stopped(instance)
        self.let_go(instance, Group.STOPPED)
        self.until(instance, Group.REBUILDING)
        self.send_all(instance, Group.REBUILDING)
        self.let_go(instance, Group.REBUILDING)
        self.until(instance, Group.RESTORING)
        self.pause()
        self.send_all(instance, Group.RESTORING)
        self.go_on()

        self.assertEqual('COMPLETED', self.ended(instance)['state'])
        self.assert_serves(instance, self.target)

    def placeholders(self, instance):
        (rules,) = self.side.settings.venv.path.glob(
            'lib/python3*/site-packages/trove/templates/mariadb/validation-rules.json'
        )
        self.side.manage(
            'db_load_datastore_config_parameters', 'mariadb', self.former.name, str(rules)
        )
        status, body = self.call(
            'POST',
            '/configurations',
            {
                'configuration': {
                    'name': f'group-{instance.id[:8]}',
                    'values': {'max_connections': 60},
                    'datastore': {'type': 'mariadb', 'version': self.former.name},
                }
            },
        )
        self.assertEqual(200, status, body)
        self.addCleanup(self.call, 'DELETE', f'/configurations/{body["configuration"]["id"]}')
        return {
            'id': instance.id,
            'configuration': body['configuration']['id'],
            'other_flavor': self.side.flavors()['trove.medium'],
            'image': self.target.image_id,
            'other_version': self.target.id,
        }

    def filled(self, found):
        if isinstance(found, dict):
            return {name: self.filled(value) for name, value in found.items()}
        return found.format(**self.values) if isinstance(found, str) else found

    def send_all(self, instance, group):
        before = self.instances.row(instance.id)
        answers = {}
        for action in ACTIONS:
            if action.refused:
                answers[action.name] = self.call(
                    action.method,
                    self.filled(action.path),
                    self.filled(action.body),
                    user='admin' if action.admin else 'demo',
                )
        expected = dict.fromkeys(answers, 422) | {
            'configuration_attach': 400,
            'resize_volume': 400,
        }  # this cloud has no volumes to resize
        self.assertEqual(
            expected, {name: answer[0] for name, answer in answers.items()}, f'{group}: {answers}'
        )
        after = self.instances.row(instance.id)
        self.assertEqual(
            (before['task_id'], before['datastore_version_id']),
            (after['task_id'], after['datastore_version_id']),
        )
        self.assertEqual('UPGRADE', self.instances.show(instance.id)['status'])

    def no_effect_while_stopped(self, instance):
        """Users and an administrator's stop: no task is looked at, and our agent answers in the
        place of Trove's.
        """
        answers = {
            'users': self.call(
                'POST',
                f'/instances/{instance.id}/users',
                {'users': [{'name': 'late', 'password': 'of-the-lab', 'databases': []}]},
            ),
            'stop': self.call(
                'POST', f'/mgmt/instances/{instance.id}/action', {'stop': {}}, user='admin'
            ),
        }
        for name, (status, body) in answers.items():
            self.assertGreaterEqual(status, 400, f'{name}: {body}')
        status, body = self.call(
            'PUT', f'/instances/{instance.id}', {'instance': {'name': 'renamed'}}
        )
        self.assertEqual(202, status, body)


class TestResetStatus(holding.HoldingCase):
    NAMES = ('reset',)

    def test_a_reset_of_the_status_ends_what_has_not_been_rebuilt_and_does_not_end_what_has(self):
        instance = self.made['reset']
        self.fill(instance)
        before = self.container(instance)

        self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.assertEqual(202, self.reset_status(instance)[0])
        self.go_on()
        upgrade = self.ended(instance)
        self.assertEqual(
            ('ABORTED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertEqual(before, self.container(instance))

        self.hold(instance, Group.STOPPED)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.STOPPED)
        self.assertEqual(202, self.reset_status(instance)[0])
        self.let_go(instance, Group.STOPPED)
        upgrade = self.ended(instance)
        self.assertEqual(
            ('ABORTED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assert_serves(instance, self.former)
        self.assertEqual(before.split()[:2], self.container(instance).split()[:2])

        self.hold(instance, Group.REBUILDING)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.REBUILDING)
        self.assertEqual(202, self.reset_status(instance)[0])
        self.let_go(instance, Group.REBUILDING)
        upgrade = self.ended(instance)
        self.assertEqual(('COMPLETED', None), (upgrade['state'], upgrade['error_code']), upgrade)
        kept = self.side.sql(f"SELECT data FROM instance_upgrades WHERE id = '{upgrade['id']}';")
        self.assertIn('back to NONE', str(kept))
        self.assert_serves(instance, self.target)
        self.assertEqual('ACTIVE', self.instances.show(instance.id)['status'])


class TestResetStatusWhileRestoring(holding.HoldingCase):
    NAMES = ('reset-restoring',)

    def test_a_reset_of_the_status_does_not_end_what_has_been_rebuilt(self):
        instance = self.made['reset-restoring']
        self.fill(instance)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.RESTORING)
        self.pause()
        self.assertEqual(202, self.reset_status(instance)[0])
        self.go_on()
        upgrade = self.ended(instance)
        self.assertEqual(('COMPLETED', None), (upgrade['state'], upgrade['error_code']), upgrade)
        self.assert_serves(instance, self.target)
        self.assertEqual('ACTIVE', self.instances.show(instance.id)['status'])


class TestStop(holding.HoldingCase):
    NAMES = ('stopped-by-admin',)

    def test_a_database_that_an_administrator_stops_before_the_checks_is_not_upgraded_and_serves_when_it_is_started(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance = self.made['stopped-by-admin']
        self.fill(instance)
        self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])
        status, body = self.call(
            'POST', f'/mgmt/instances/{instance.id}/action', {'stop': {}}, user='admin'
        )
        self.assertEqual(202, status, body)
        self.go_on()
        upgrade = self.ended(instance)
        self.assertEqual(
            ('ABORTED', 'DATABASE_NOT_SERVING'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertEqual(self.former.id, self.instances.row(instance.id)['datastore_version_id'])
        self.assertFalse(self.serves(instance))
        self.guest(instance).exec(['docker', 'start', 'database'])
        self.wait_until(lambda: self.serves(instance), 'the database that was started by hand')
        self.assert_serves(instance, self.former)


class TestDelete(holding.HoldingCase):
    NAMES = ('delete-checking', 'delete-stopped', 'delete-rebuilding', 'delete-restoring')
    PAUSED = frozenset({Group.CHECKING, Group.RESTORING})

    def delete_while(self, group):
        instance = self.made[f'delete-{group}']
        self.hold(instance, group)
        if group is Group.CHECKING:
            self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])
        if group is not Group.CHECKING:
            self.until(instance, group)
        if group is Group.RESTORING:
            self.pause()
        upgrade_id = self.upgrades_of(instance)[0]['id']
        status, body = self.call('DELETE', f'/instances/{instance.id}')
        self.assertEqual(202, status, body)
        if group in self.PAUSED:
            self.go_on()
        if group is not Group.STOPPED:  # not raced with a rebuild: see the page
            self.let_go(instance, group)
        gone = f"SELECT 1 FROM instances WHERE id = '{instance.id}' AND deleted = 1;"
        self.wait_until(lambda: self.side.sql(gone), 'Trove to delete the instance')
        self.wait_until(
            lambda: self.upgrade_row(upgrade_id)['state'] == 'FAILED', 'the upgrade to end'
        )
        self.assertIn(
            self.upgrade_row(upgrade_id)['error_code'], {'INSTANCE_CHANGED', 'INSTANCE_DELETED'}
        )
        self.wait_until(
            lambda: instance.server_id not in [guest.id for guest in self.stage.host.guests.all()],
            'Nova to remove the server',
        )
        self.assertEqual(
            [],
            self.side.sql(
                f"SELECT * FROM instance_faults WHERE instance_id = '{instance.id}' AND deleted = "
                '0;'
            ),
        )

    def test_an_instance_that_is_deleted_before_the_checks_is_gone(self):
        self.delete_while(Group.CHECKING)

    def test_an_instance_that_is_deleted_between_stop_and_rebuild_is_gone(self):
        self.delete_while(Group.STOPPED)

    def test_an_instance_that_is_deleted_while_nova_rebuilds_is_gone(self):
        self.delete_while(Group.REBUILDING)

    def test_an_instance_that_is_deleted_while_the_new_guest_restores_is_gone(self):
        self.delete_while(Group.RESTORING)


class AdminRebuildCase(holding.HoldingCase):
    """Never during an upgrade, the operator's page says; and this is what comes of it.

    Its Nova part needs `<datastore>.cloudinit`: without that file Trove 26's rebuild ends before
    it.
    """

    #: Trove's own patience with a guest that does not speak, and with one that does not answer; 600
    #: s each as they come.
    RESIZE_SECONDS = 90
    CALL_SECONDS = 30

    def setUp(self):
        super().setUp()
        file = self.side.settings.state(trove_deployment.NAME) / 'cloudinit' / 'mariadb.cloudinit'
        file.write_text('runcmd: []\n')
        self.addCleanup(file.unlink)
        self.addCleanup(self.restart_taskmanager, {})
        self.restart_taskmanager(
            {
                'DEFAULT': {
                    'resize_time_out': self.RESIZE_SECONDS,
                    'agent_call_high_timeout': self.CALL_SECONDS,
                }
            }
        )

    def restart_taskmanager(self, sections):
        self.side.taskmanager.stop()
        self.side.configure(sections=sections)
        self.side.taskmanager.start()

    def rebuild(self, instance):
        status, body = self.call(
            'POST',
            f'/mgmt/instances/{instance.id}/action',
            {'rebuild': {'image_id': self.target.image_id}},
            user='admin',
        )
        self.assertEqual(202, status, body)

    def rebuilt_by_trove(self, instance):
        """Once Trove's own work has ended, one way or the other."""
        self.wait_until(
            lambda: self.instances.row(instance.id)['task_id'] != str(int(Task.BUILDING)),
            "Trove's own rebuild to end",
            300,
        )


class TestAdminRebuildWhileChecking(AdminRebuildCase):
    NAMES = ('rebuilt-checking',)

    def test_before_the_checks_ours_is_given_up_and_the_former_version_serves(self):
        instance = self.made['rebuilt-checking']
        self.fill(instance)
        self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.rebuild(instance)
        self.go_on()
        upgrade = self.ended(instance)
        self.assertEqual(
            ('FAILED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.rebuilt_by_trove(instance)
        self.assert_serves(instance, self.former)


class TestAdminRebuildWhileRebuilding(AdminRebuildCase):
    NAMES = ('rebuilt-rebuilding',)

    def test_nova_refuses_the_second_rebuild_and_ours_completes(self):
        instance = self.made['rebuilt-rebuilding']
        self.fill(instance)
        self.hold(instance, Group.REBUILDING)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.REBUILDING)
        self.rebuild(instance)
        self.rebuilt_by_trove(instance)
        self.let_go(instance, Group.REBUILDING)
        upgrade = self.ended(instance)
        self.assertEqual(('COMPLETED', None), (upgrade['state'], upgrade['error_code']), upgrade)
        self.assert_serves(instance, self.target)


class TestAdminRebuildWhileStopped(AdminRebuildCase):
    NAMES = ('rebuilt-stopped',)

    def test_between_stop_and_rebuild_ours_is_given_up_and_no_row_is_lost(self):
        instance = self.made['rebuilt-stopped']
        self.fill(instance)
        self.hold(instance, Group.STOPPED)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.STOPPED)
        self.rebuild(instance)
        upgrade = self.ended(instance)
        self.let_go(instance, Group.STOPPED)
        self.assertEqual(
            ('FAILED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.rebuilt_by_trove(instance)
        self.assert_serves(instance, self.former)


class TestAdminRebuildWhileRestoring(AdminRebuildCase):
    NAMES = ('rebuilt-restoring',)

    def test_the_former_server_is_not_started_on_the_data_and_a_retry_completes(self):
        instance = self.made['rebuilt-restoring']
        self.fill(instance)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.RESTORING)
        self.wait_until(
            lambda: self.begun_to_change(instance), 'the new server to be started on the data'
        )
        self.pause()
        booted = self.guest(instance).boot_id
        self.rebuild(instance)
        self.wait_until(
            lambda: self.guest(instance).boot_id != booted and self.guest(instance).reachable,
            "Trove's rebuild to boot the server",
        )
        self.rebuilt_by_trove(instance)
        guest = self.guest(instance)
        self.assertEqual('', guest.exec(['docker', 'ps', '--all', '--quiet']).output)
        self.assertNotEqual(
            0, guest.exec(['/etc/init.d/trove-guestagent', 'status'], check=False).returncode
        )
        self.go_on()
        upgrade = self.ended(instance)
        if upgrade['state'] == 'FAILED':
            self.product.manage('upgrade', 'retry', upgrade['id'])
            upgrade = self.ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)

    def begun_to_change(self, instance):
        return (
            self.guest(instance)
            .exec(
                ['test', '-e', '/var/lib/mysql/.trove-upgrade/mark-server_started_on_data.json'],
                check=False,
            )
            .returncode
            == 0
        )


class TestTrovesOwnUpgrade(holding.HoldingCase):
    NAMES = ('own-checking', 'own-stopped')

    def setUp(self):
        super().setUp()
        self.url = self.unfiltered_api()

    def unfiltered_api(self):
        """A second API process that an operator forgot to give the filter."""
        settings, layout = self.side.settings, self.stage.layout
        conf, paste = (
            pathlib.Path(self.work_dir) / name for name in ('trove.conf', 'api-paste.ini')
        )
        paste.write_text((settings.venv.path / 'etc/trove/api-paste.ini').read_text())
        conf.write_text(
            self.side.conf_path.read_text().replace(str(self.side.paste_path), str(paste))
        )
        command = trove.api_process(
            settings, dataclasses.replace(self.side.deployment, port=UNFILTERED_PORT, processes=1)
        )
        argv = tuple(part.replace(str(self.side.conf_path), str(conf)) for part in command.argv)
        supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
        supervisor.start(dataclasses.replace(command, name='trove-api-unfiltered', argv=argv))
        self.addCleanup(supervisor.stop, ('trove-api-unfiltered',))
        port = str(self.side.deployment.port)
        url = self.handle.database_api_url.replace(port, str(UNFILTERED_PORT))
        self.wait_until(
            lambda: self.answers(url), 'the API without the filter', base.UPGRADE_SECONDS
        )
        return url

    def answers(self, url):
        try:
            return self.call('GET', '/instances?limit=1', url=url)[0] == 200
        except OSError:
            return False

    def test_before_the_checks_ours_is_given_up_and_nothing_is_lost(self):
        instance = self.made['own-checking']
        self.fill(instance)
        self.pause()
        self.assertEqual(202, self.patch(instance, self.target)[0])
        status, body = self.patch(instance, self.target, url=self.url)
        self.assertEqual(202, status, body)
        self.go_on()
        upgrade = self.ended(instance)
        self.assertEqual(
            ('FAILED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertTrue(self.serves(instance))

    def test_between_stop_and_rebuild_ours_is_undone_and_nothing_is_lost(self):
        instance = self.made['own-stopped']
        self.fill(instance)
        self.hold(instance, Group.STOPPED)
        self.assertEqual(202, self.patch(instance, self.target)[0])
        self.until(instance, Group.STOPPED)
        status, body = self.patch(instance, self.target, url=self.url)
        self.assertEqual(202, status, body)
        self.let_go(instance, Group.STOPPED)
        upgrade = self.ended(instance)
        self.assertEqual(
            ('FAILED', 'INSTANCE_CHANGED'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertTrue(self.serves(instance))
