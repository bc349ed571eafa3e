# SPDX-License-Identifier: Apache-2.0
"""Back to the former image, on the real thing: by itself where the operator chose so, on his word, and never past the point of no return."""
from trove_upgrade.lab import stage
from trove_upgrade.lab.hypervisor.knobs import Knobs, KnobStore
from trove_upgrade.lab.product import TASKMANAGER
from trove_upgrade.tests.functional.cloud import base


class RollbackCase(base.CloudTestCase):

    options = {}

    def setUp(self):
        super().setUp()
        self.knobs = KnobStore(self.stage.layout.faults_dir)
        self.addCleanup(self._control, 'DELETE', '/__requests')
        before = self.product.config_file.read_text()
        self.addCleanup(self.restart, lambda: self.product.config_file.write_text(before))
        self.restart(lambda: self.product.configure({**stage.QUICK, **self.options}))

    def restart(self, configure):
        """Both services read their configuration once; only the taskmanager's part differs here."""
        self.product.stop(TASKMANAGER)
        configure()
        self.product.start_taskmanager()

    def turn(self, instance, **knobs):
        self.knobs.turn(instance.server_id, Knobs(**knobs))
        self.addCleanup(self.knobs.clear, instance.server_id)

    def rebuilds(self, instance):
        return self._control('GET', f'/__requests?method=POST&path={instance.server_id}/action')['count']

    def assert_rolled_back(self, instance, before, upgrade, code):
        self.assertEqual(('ROLLED_BACK', code), (upgrade['state'], upgrade['error_code']), upgrade)
        after = self.picture(instance)
        self.assertEqual((before.server_version, before.image, before.tables, before.users),
                         (after.server_version, after.image, after.tables, after.users))
        self.assertNotEqual(before.boot_id, after.boot_id)
        shown = self.show(instance)
        self.assertEqual(('ACTIVE', 'HEALTHY', self.former.name), (shown['status'], shown['operating_status'], shown['datastore']['version']))
        self.assert_serves(instance, self.former)


class TestRollsBackByItself(RollbackCase):

    options = {'rollback_on_failure': True, 'boot_timeout': 12}

    def test_a_rebuild_that_fails_ends_on_the_former_image_with_every_row_and_the_next_upgrade_completes(self):
        instance = self.create_instance('back-from-rebuild')
        before = self.picture(instance)
        self.turn(instance, spawn_error='no space left', times=1)

        upgrade = self.upgrade(instance)

        self.assert_rolled_back(instance, before, upgrade, 'REBUILD_FAILED')
        self.assertIn('no space left', upgrade['cause'])
        self.assertEqual(2, self.rebuilds(instance))
        self.guest(instance).reboot()
        self.wait_until(lambda: self.guest(instance).exec(['mariadb', '-e', 'SELECT 1'], check=False).returncode == 0,
                        'the database to serve after a reboot')

        self.assertEqual('COMPLETED', self.upgrade(instance)['state'])
        self.assert_serves(instance, self.target)
