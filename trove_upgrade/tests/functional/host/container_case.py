# SPDX-License-Identifier: Apache-2.0
"""A guest of Trove's with a database in a container, on a real engine."""

from trove_upgrade.guestagent.upgrade import quiesce
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_engine, trove_guest

SEED = (
    'CREATE DATABASE app',
    'USE app',
    'CREATE TABLE app.words (id INT PRIMARY KEY AUTO_INCREMENT, word TEXT, FULLTEXT (word))',
    "INSERT INTO app.words (word) SELECT CONCAT('word ', seq) FROM seq_1_to_5000",
    'CREATE TABLE app.history (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING',
    'INSERT INTO app.history VALUES (1, 1)',
    'UPDATE app.history SET n = 3',
    "CREATE USER reader@'%' IDENTIFIED BY 'secret'",
    "GRANT SELECT ON app.* TO reader@'%'",
    'CREATE EVENT app.nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.words',
)


class ContainerTestCase(base.TestCase):
    def setUp(self):
        images = private_engine.Images()  # before the test's own HOME: the user's cache
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
