# SPDX-License-Identifier: Apache-2.0
"""A server as an old Trove made it, with injected files and no user data, on the real thing."""

from trove_upgrade.tests.functional.cloud.rollback_case import RollbackCase

INFO = '/etc/trove/conf.d/guest_info.conf'
CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'


class TestNoUserData(RollbackCase):
    @property
    def options(self):
        path = self.work_dir / 'trove-guestagent.conf'
        path.write_text(
            f'[DEFAULT]\ntransport_url = {self.maker.transport_url()}\n'
            'log_file = /var/log/trove/trove-upgrade-guestagent.log\n'
        )
        return {'guest_config_file': path, 'rollback_on_failure': True}

    def read(self, instance, path):
        return self.guest(instance).exec(['cat', path]).output

    def assert_told(self, instance, version):
        """The guest has what Trove gives a new one of this version, for root alone."""
        told = self.read(instance, INFO).splitlines()
        for line in (
            f'guest_id={instance.id}',
            f'tenant_id={self.project_id}',
            'datastore_manager=mariadb',
            f'datastore_version={version.name}',
        ):
            self.assertIn(line, told)
        self.assertIn('transport_url = ', self.read(instance, CONFIG))
        modes = self.guest(instance).exec(['stat', '-c', '%U:%G %a', INFO, CONFIG]).output
        self.assertEqual({'root:root 600'}, set(modes.splitlines()))

    def test_it_is_upgraded_and_told_what_trove_tells_a_new_guest(self):
        instance = self.create_instance('no-user-data', injected=True, rows=500)
        before = self.snapshot(instance)

        upgrade = self.upgrade(instance)

        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assertEqual(before.tables, self.snapshot(instance).tables)
        self.assert_serves(instance, self.target)
        self.assert_told(instance, self.target)

    def test_it_comes_back_where_our_agent_is_in_its_former_image(self):
        instance = self.create_instance('no-user-data-back', injected=True)
        before = self.snapshot(instance)
        self.turn(instance, spawn_error='no space left', times=1)

        self.assert_rolled_back(instance, before, self.upgrade(instance), 'REBUILD_FAILED')

        self.assert_told(instance, self.former)
        self.assertEqual('COMPLETED', self.upgrade(instance)['state'])
        self.assert_told(instance, self.target)


class TestNoTemplate(RollbackCase):
    def test_it_is_refused_before_anything_is_changed(self):
        instance = self.create_instance('no-template', injected=True)
        before = self.snapshot(instance)

        upgrade = self.upgrade(instance)

        self.assertEqual(
            ('ABORTED', 'USER_DATA_MISSING'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertIn('guest_config_file', upgrade['cause'])
        self.assertEqual(before.boot_id, self.snapshot(instance).boot_id)
        self.assert_serves(instance, self.former)
