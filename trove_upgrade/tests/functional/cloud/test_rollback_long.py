# SPDX-License-Identifier: Apache-2.0
"""Every way back to the former image, on the real thing, and the one that is refused."""

import json

from trove_upgrade.tests.functional.cloud.rollback_case import RollbackCase

_PLANT = """set -e
mkdir -p /mnt/volume
mount UUID={uuid} /mnt/volume
cat > /mnt/volume/.trove-upgrade/mark-server_started_on_data.json
umount /mnt/volume
"""


class TestRollsBackByItself(RollbackCase):
    options = {'rollback_on_failure': True, 'boot_timeout': 12}

    def test_a_rebuild_that_fails_ends_on_the_former_image_with_every_row_and_the_next_upgrade_completes(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance = self.create_instance('back-from-rebuild')
        before = self.snapshot(instance)
        self.turn(instance, spawn_error='no space left', times=1)

        upgrade = self.upgrade(instance)

        self.assert_rolled_back(instance, before, upgrade, 'REBUILD_FAILED')
        self.assertIn('no space left', upgrade['cause'])
        self.assertEqual(2, self.rebuilds(instance))
        self.guest(instance).reboot()
        self.wait_until(
            lambda: (
                self.guest(instance).exec(['mariadb', '-e', 'SELECT 1'], check=False).returncode
                == 0
            ),
            'the database to serve after a reboot',
        )

        self.assertEqual('COMPLETED', self.upgrade(instance)['state'])
        self.assert_serves(instance, self.target)

    def test_an_image_without_an_agent_ends_on_the_former_image(self):
        instance = self.create_instance('back-from-boot')
        before = self.snapshot(instance)
        self.turn(instance, no_agent=True, times=1)

        self.assert_rolled_back(instance, before, self.upgrade(instance), 'BOOT_TIMEOUT')

    def test_a_wrong_image_is_found_before_its_server_touches_the_data(self):
        instance = self.create_instance('back-from-restore')
        before = self.snapshot(instance)
        self.turn(instance, wrong_image='former', times=1)

        self.assert_rolled_back(instance, before, self.upgrade(instance), 'SERVER_VERSION_DIFFERS')


class TestRollsBackWhenTold(RollbackCase):
    options = {'boot_timeout': 12}

    def test_an_operator_leads_a_failed_one_back(self):
        instance = self.create_instance('back-on-demand')
        before = self.snapshot(instance)
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
        self.guest(instance).exec(
            ['sh', '-c', _PLANT.format(uuid=row['data']['upgrade_info']['volume_uuid'])],
            input_text=json.dumps({'upgrade_id': upgrade['id']}),
        )

        self.product.manage('upgrade', 'rollback', upgrade['id'])

        upgrade = self.wait_ended(instance)
        self.assertEqual(
            ('FAILED', 'SERVER_STARTED_ON_DATA'), (upgrade['state'], upgrade['error_code']), upgrade
        )
        self.assertEqual('ERROR', self.show(instance)['status'])
        self.assertNotEqual(
            0, self.guest(instance).exec(['mariadb', '-e', 'SELECT 1'], check=False).returncode
        )

        self.product.manage('upgrade', 'retry', upgrade['id'])

        upgrade = self.wait_ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.target)
