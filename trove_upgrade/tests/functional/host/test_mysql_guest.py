# SPDX-License-Identifier: Apache-2.0
"""The guest agent with a real MySQL: its own version on a new image, and what it refuses.  Neither
Nova nor a broker.

No two MySQL servers can be had of which one may follow the other, so the data is never converted
here.
"""

import dataclasses
import uuid

from lab.images import provision, recipes
from trove_upgrade.domain import guests as wire
from trove_upgrade.tests.functional.host.test_guest_agent import PYTHON, AgentTestCase

PACKAGE_FILE = '/etc/mysql/mysql.conf.d/mysqld.cnf'
#: What the agent asks itself after it has stopped a server.
IS_CLEAN = (
    'import pathlib; from trove_upgrade.guestagent.datastores.mysql_family import redo_log; '
    "print(redo_log.is_clean(pathlib.Path('/var/lib/mysql/data')))"
)
PROCESS_FILE = '/run/mysqld/trove-upgrade-database.pid'


#: An event that changes data each second would be seen by a comparison, if it ran before.
_KEPT_BY_THE_SERVER = """
    CREATE ROLE everywhere; SET PERSIST mandatory_roles = 'everywhere'; SET PERSIST \
sort_buffer_size = 1048576; SET PERSIST event_scheduler = ON;
    CREATE DATABASE clock; CREATE TABLE clock.ticks (at TIMESTAMP(6) NOT NULL DEFAULT \
CURRENT_TIMESTAMP(6));
    CREATE EVENT clock.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO clock.ticks VALUES ();
"""


class MySQLCase(AgentTestCase):
    manager = 'mysql'
    former_recipe = target_recipe = recipes.MYSQL_SID

    def wait_for_database(self, guest):
        self.wait_until(
            lambda: guest.exec(['mysqladmin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )

    def refusals(self, answer):
        return {
            check['code']
            for check in answer.result['checks']
            if check['outcome'] not in {'ok', 'warning'}
        }


class MySQLUpgradeTest(MySQLCase):
    def test_mysql_goes_to_its_own_version_on_a_new_image_and_serves_again_after_a_plain_reboot(
        self,
    ):
        guest = self.provisioned(
            rows=20000, settings={'event_scheduler': 'ON', 'character_set_server': 'latin1'}
        )
        provision.sql(guest, _KEPT_BY_THE_SERVER)
        before = self.snapshot(guest)
        self.assertIn('157\tlatin1\tON', before)
        self.assertEqual(set(), self.refusals(self.ask(guest, 'check_upgrade')))

        stopped = self.ask(guest, 'pre_upgrade')
        self.assertEqual((wire.ServerState.STOPPED, False), (stopped.server_state, stopped.serving))
        guest = self.rebuild(guest)
        self.assertEqual(
            '',
            self.shell(guest, f'cat {provision.CLIENT_FILE} 2>/dev/null || true'),
            'a new root disk',
        )
        restored = self.ask(guest, 'post_upgrade', upgrade_info=stopped.result['upgrade_info'])
        self.assertTrue(restored.serving)
        fingerprint = restored.result['fingerprint']
        self.assertEqual(([], []), (fingerprint['missing'], restored.result['settings_changed']))
        self.assertGreaterEqual(fingerprint['rows_compared'], 20005)
        verified = self.ask(guest, 'verify_upgrade', upgrade_info=stopped.result['upgrade_info'])
        self.assertTrue(
            verified.result['server_version'].startswith(self.target.facts['server_version'])
        )
        self.ask(guest, 'finish_upgrade')

        self.assertEqual(before, self.snapshot(guest))
        self.assertEqual(
            '1',
            self.shell(guest, 'ps -o ppid= -C mysqld | tr -d " "'),
            'the server is the child of another process',
        )
        self.assertIn(b'9.7', self.greeting())
        guest.reboot()
        self.wait_for_database(guest)
        self.assertEqual(before, self.snapshot(guest))

    def snapshot(self, guest):
        return self.checksum(guest) + provision.sql(
            guest,
            """
            SELECT @@max_connections, @@character_set_server, @@event_scheduler;
            SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.persisted_variables ORDER \
BY 1; SELECT @@mandatory_roles, @@sort_buffer_size;
            SHOW GRANTS FOR 'app'@'%'; SHOW GRANTS FOR reporting; SHOW GRANTS FOR \
os_admin@localhost;""",
        )


class MySQLRefusalTest(MySQLCase):
    def test_what_cannot_work_is_refused_while_the_database_serves_or_its_data_is_untouched(self):
        guest = self.provisioned(rows=100)
        before, target = self.checksum(guest), self.target
        lacks = [name for name in target.facts['options'] if name != 'max_connections']
        for code, changes in (
            ('UNKNOWN_OPTION', {'options': lacks}),
            ('DOWNGRADE', {'server_version': '8.4.7'}),
            ('UPGRADE_PATH', {'server_version': '10.7.1'}),
        ):
            self.target = dataclasses.replace(target, facts={**target.facts, **changes})
            self.assertEqual({code}, self.refusals(self.ask(guest, 'check_upgrade')))
            answer = self.ask(guest, 'pre_upgrade', state=wire.JobState.REFUSED)
            self.assertEqual((code, True), (answer.code, answer.serving), answer.message)
            self.upgrade_id = str(uuid.uuid4())
        self.target = target
        self.assertEqual(before, self.checksum(guest))
        self.shell(guest, f'kill -9 "$(cat {PROCESS_FILE})"')
        self.assertEqual({'DATABASE_NOT_SERVING'}, self.refusals(self.ask(guest, 'check_upgrade')))
        self.assertEqual('False', self.shell(guest, f'{PYTHON} -c "{IS_CLEAN}"'))
        self.upgrade_id = str(uuid.uuid4())
        provision.start_database(guest)

        info = self.ask(guest, 'pre_upgrade').result['upgrade_info']
        guest = self.rebuild(guest)
        self.shell(guest, f'echo no_such_option = 1 >> {PACKAGE_FILE}')
        failed = self.ask(guest, 'post_upgrade', upgrade_info=info, state=wire.JobState.FAILED)
        self.assertEqual(
            ('CONFIGURATION_REFUSED', False),
            (failed.code, failed.server_started_on_data),
            failed.message,
        )
        self.assertIn('no_such_option', failed.message)

        self.shell(guest, f'sed -i /no_such_option/d {PACKAGE_FILE}')
        self.assertTrue(self.ask(guest, 'post_upgrade', upgrade_info=info, attempt=2).serving)
        self.assertEqual(before, self.checksum(guest))
