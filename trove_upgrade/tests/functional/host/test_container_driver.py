# SPDX-License-Identifier: Apache-2.0
"""The driver for Trove's container with a real container engine and real images: the whole way, refusals, undo, rollback."""
import time

from testtools import content

from trove_upgrade.guestagent.flows import quiesce, restore, verify
from trove_upgrade.lab.containers import recipes
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_engine, trove_guest

SEED = (
    'CREATE DATABASE app', 'USE app', 'CREATE TABLE app.words (id INT PRIMARY KEY AUTO_INCREMENT, word TEXT, FULLTEXT (word))',
    "INSERT INTO app.words (word) SELECT CONCAT('word ', seq) FROM seq_1_to_5000",
    'CREATE TABLE app.history (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING', 'INSERT INTO app.history VALUES (1, 1)',
    'UPDATE app.history SET n = 3', "CREATE USER reader@'%' IDENTIFIED BY 'secret'", "GRANT SELECT ON app.* TO reader@'%'",
    'CREATE EVENT app.nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.words')


class ContainerTestCase(base.TestCase):
    def setUp(self):
        images = private_engine.Images()     # before the test's own HOME: the user's cache
        super().setUp()
        self.guest = self.useFixture(trove_guest.TroveGuest(images))

    def seed(self, **how):
        self.guest.create('10.11', **how)
        self.guest.sql(*SEED)

    def container(self, name='database'):
        return self.guest.client().inspect(name)

    def assert_serves_as_before(self):
        self.guest.sql("INSERT INTO app.words (word) VALUES ('still')")
        self.assertIn('10.11.', self.guest.driver().server_version())
        self.assertEqual('unless-stopped', self.container().restart_policy)
        self.assertIsNotNone(self.guest.volume.mounted())
        self.assertEqual([], list(self.guest.layout.on_volume.glob('*stash*')))

    def quiesced(self):
        return quiesce.quiesce(self.guest.work()).result['upgrade_info']


class TestTheWholeWay(ContainerTestCase):
    def upgraded(self):
        self.seed()
        self.guest.load(recipes.MARIADB_11_8)
        before = self.container()
        info = self.quiesced()
        self.assertFalse(self.container().running)
        self.assertEqual(('no', 0), (self.container().restart_policy, self.container().exit_code))
        kept = b''.join(path.read_bytes() for path in (self.guest.path / 'volume/.trove-upgrade').rglob('*') if path.is_file())
        self.assertIn(b'MARIADB_AUTO_UPGRADE', kept)
        self.assertNotIn(trove_guest.PASSWORD.encode(), kept)
        self.guest.rebuild('11.8')
        began = time.monotonic()
        said = []
        result = restore.restore(self.guest.work(lambda percent, message: said.append(f'{time.monotonic() - began:.1f} {message}'),
                                                 upgrade_info=info)).result
        self.addDetail('restore', content.text_content('\n'.join(said)))
        self.assertEqual([], result['fingerprint']['missing'])
        after = self.container()
        self.assertEqual(('mariadb:11.8', 'unless-stopped', True), (after.image, after.restart_policy, after.running))
        self.assertIsNone(self.container('trove-upgrade-first-start'))
        for key in ('Binds', 'PortBindings', 'Privileged', 'IpcMode', 'NetworkMode'):
            self.assertEqual(before.definition['HostConfig'][key], after.definition['HostConfig'][key], key)
        for entry in (f'MYSQL_ROOT_PASSWORD={trove_guest.PASSWORD}', 'MARIADB_AUTO_UPGRADE=1'):
            self.assertIn(entry, after.definition['Config']['Env'])
        self.assertEqual(before.definition['Config']['Healthcheck'], after.definition['Config']['Healthcheck'])
        self.assertEqual(before.definition['Config']['Cmd'], after.definition['Config']['Cmd'])
        self.assertEqual([(5000,)], self.guest.sql('SELECT COUNT(*) FROM app.words'))
        self.assertEqual([(2,)], self.guest.sql('SELECT COUNT(*) FROM app.history FOR SYSTEM_TIME ALL'))
        self.assertEqual([(1234,)], self.guest.sql('SELECT @@global.wait_timeout'))
        self.assertEqual(['mute', 'unmute'], self.guest.watchers.told)
        return info

    def test_a_major_upgrade_on_a_new_root_disk_keeps_all(self):
        info = self.upgraded()
        outcome = verify.verify(self.guest.work(upgrade_info=info))
        self.assertIn('11.8.', outcome.result['server_version'])
        started = self.container().definition['State']['StartedAt']
        restore.restore(self.guest.work(upgrade_info=info))
        self.assertEqual(started, self.container().definition['State']['StartedAt'], 'a second call has restarted the database')
        self.assertTrue(private_engine.wait_until(lambda: self.container().health == 'healthy'))
        self.guest.engine.stop()
        self.guest.engine.start()
        self.assertTrue(private_engine.wait_until(lambda: self.guest.driver().server_version() is not None), 'a plain reboot does not serve')
