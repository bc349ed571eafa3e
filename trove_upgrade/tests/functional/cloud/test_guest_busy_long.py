# SPDX-License-Identifier: Apache-2.0
"""A guest that cannot be stopped in time: the upgrade is undone, and the database serves on."""

from lab.images import provision
from trove_upgrade.tests.functional.cloud import base


class TestGuestIsBusy(base.CloudTestCase):
    def test_a_long_write_that_does_not_end(self):
        instance = self.create_instance('busy')
        guest = self.guest(instance)
        guest.exec(
            [
                'sh',
                '-c',
                (
                    f'(setsid mariadb -e "LOCK TABLES {provision.DATABASE}.heartbeat WRITE; SELECT '
                    'SLEEP(120)" >/dev/null 2>&1 &)'
                ),
            ]
        )
        self.wait_until(lambda: 'SLEEP' in self.sql(instance, 'SHOW PROCESSLIST'), 'the lock')
        upgrade = self.upgrade(instance)
        self.sql(
            instance,
            "SELECT CONCAT('KILL ', id) INTO @k FROM information_schema.processlist WHERE info "
            "LIKE 'SELECT SLEEP%'; EXECUTE IMMEDIATE @k",
        )
        self.assertEqual('ABORTED', upgrade['state'], upgrade)
        self.assert_serves(instance, self.former)
