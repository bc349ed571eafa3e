# SPDX-License-Identifier: Apache-2.0
"""What tests with real Trove and its real guests stand on: `make functional` brings the cloud up;
so does `trove-upgrade-lab up --trove --product`.
"""

import pathlib
import tempfile

from lab import following, rest
from lab.demo import application
from lab.layout import Layout
from lab.trove import database
from lab.trove.instances import DATABASE
from trove_upgrade.tests import base
from trove_upgrade.tests.functional import who_serves

UPGRADE_SECONDS = 400.0
TICKS = f'{DATABASE}.ticks'


class TroveGuestTestCase(base.TestCase):
    """A test with real Trove, its real agent and ours in real guests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stage = who_serves.beside_trove(Layout.from_environ())
        cls.handle, cls.side, cls.instances = cls.stage.handle, cls.stage.side, cls.stage.instances
        cls.product, cls.former, cls.target = cls.stage.product, cls.stage.former, cls.stage.target

    def setUp(self):
        super().setUp()
        self.work_dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def create_instance(self, name, **options):
        instance = self.instances.create(name, options.pop('version', self.former), **options)
        self.addCleanup(self.instances.delete, instance.id)
        return instance

    def session(self, user='demo'):
        found = self.handle.users[user]
        return rest.Session.of(found)

    def get(self, path):
        """Of the project's API."""
        return self.session().request('GET', f'{self.instances.base_url}{path}')

    def sql(self, instance, statements):
        """By the client in the database's own container."""
        return database.asker(self.instances.guest(instance))(statements + ';').strip()

    def ended(self, instance, seconds=UPGRADE_SECONDS):
        """The newest upgrade of the instance, once it has ended."""
        return following.Follower(self.get, print).until_ended(instance.id, seconds)

    def writes_to(self, instance):
        """What application.writing takes: a table of ticks is made for it."""
        self.sql(
            instance,
            f'CREATE TABLE IF NOT EXISTS {TICKS} (number BIGINT PRIMARY KEY, written_at '
            'DATETIME(6) DEFAULT NOW(6))',
        )
        return application.database_of(
            instance, self.stage.host.fabric, instance.user, instance.password, TICKS
        )
