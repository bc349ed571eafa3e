# SPDX-License-Identifier: Apache-2.0
"""Back to the former image, on the real thing: by itself where the operator chose so, on his word, and never past the point of no return."""
import json

from trove_upgrade.lab import stage
from trove_upgrade.lab.hypervisor.knobs import Knobs, KnobStore
from trove_upgrade.lab.product import TASKMANAGER
from trove_upgrade.tests.functional.cloud import base

_PLANT = '''set -e
mkdir -p /mnt/volume
mount UUID={uuid} /mnt/volume
cat > /mnt/volume/.trove-upgrade/mark-server_started_on_data.json
umount /mnt/volume
'''


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

    def test_an_image_without_an_agent_ends_on_the_former_image(self):
        instance = self.create_instance('back-from-boot')
        before = self.picture(instance)
        self.turn(instance, no_agent=True, times=1)

        self.assert_rolled_back(instance, before, self.upgrade(instance), 'BOOT_TIMEOUT')

    def test_a_wrong_image_is_found_before_its_server_touches_the_data(self):
        instance = self.create_instance('back-from-restore')
        before = self.picture(instance)
        self.turn(instance, wrong_image='former', times=1)

        self.assert_rolled_back(instance, before, self.upgrade(instance), 'SERVER_VERSION_DIFFERS')


class TestRollsBackWhenTold(RollbackCase):

    options = {'boot_timeout': 12}

    def test_an_operator_leads_a_failed_one_back(self):
        instance = self.create_instance('back-on-demand')
        before = self.picture(instance)
        self.turn(instance, spawn_error='no space left', times=1)
        upgrade = self.upgrade(instance)
        self.assertEqual('FAILED', upgrade['state'], upgrade)
        self.assertIn('upgrade rollback', self.product.manage('upgrade', 'show', upgrade['id']))

        self.product.manage('upgrade', 'rollback', upgrade['id'])

        self.assert_rolled_back(instance, before, self.wait_ended(instance), 'REBUILD_FAILED')

    def test_the_former_image_refuses_where_the_new_server_has_been_and_a_retry_completes(self):
        """The taskmanager does not know of the mark: only the volume does."""
        instance = self.create_instance('no-way-back')
        self.turn(instance, no_agent=True, times=1)
        upgrade = self.upgrade(instance)
        self.assertEqual('BOOT_TIMEOUT', upgrade['error_code'], upgrade)
        row = json.loads(self.product.manage('upgrade', 'show', '--json', upgrade['id']))
        self.guest(instance).exec(['sh', '-c', _PLANT.format(uuid=row['data']['upgrade_info']['volume_uuid'])],
                                  input_text=json.dumps({'upgrade_id': upgrade['id']}))

        self.product.manage('upgrade', 'rollback', upgrade['id'])

        upgrade = self.wait_ended(instance)
        self.assertEqual(('FAILED', 'SERVER_STARTED_ON_DATA'), (upgrade['state'], upgrade['error_code']), upgrade)
        self.assertEqual('ERROR', self.show(instance)['status'])
        self.assertNotEqual(0, self.guest(instance).exec(['mariadb', '-e', 'SELECT 1'], check=False).returncode)

        self.product.manage('upgrade', 'retry', upgrade['id'])

        upgrade = self.wait_ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)
