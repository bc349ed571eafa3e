# SPDX-License-Identifier: Apache-2.0
"""The real bundle, brought into an old guest by the bridge's pusher: a root disk of Debian 11 with
an agent of old under Python 2.7 and MariaDB 10.5 under mysqld_safe, and without systemd.
"""

import pathlib

import fixtures

from lab.commands import HostCommands
from lab.images import oldest
from lab.images.builder import checkout_version
from tools.bundle.maker import Maker
from tools.bundle.recipe import BULLSEYE
from trove_upgrade.bridge import pusher
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.tests.functional.host import bullseye_root, old_root, test_lab_guests
from trove_upgrade.tests.functional.waiting import Waiting
from trove_upgrade.tests.unit import base

PROJECT = pathlib.Path(__file__).resolve().parents[4]
LOG = '/var/log/trove/trove-upgrade-guestagent-bridge.log'


class TestPush(Waiting, base.TestCase):
    wait_seconds = 120.0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Before setUp: the base class replaces HOME, and the cache is the user's.
        cls.image = oldest.build(test_lab_guests.builder(), print).sysv

    def setUp(self):
        super().setUp()
        self.guest = self.useFixture(old_root.OldRoot(self.image.path))
        self.guest.start_database()
        dist = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        maker = Maker(BULLSEYE, bullseye_root.CACHE, PROJECT, HostCommands(), print)
        bundle = archive.check(maker.make(dist, checkout_version()), None)
        self.pusher = pusher.Pusher(bundle=bundle, operators_text='')

    def test_our_agent_runs_beside_the_old_one_and_goes_without_a_trace(self):
        before = self.guest.listing()
        instance = pusher.Instance(
            id=old_root.INSTANCE, project_id=old_root.PROJECT, datastore_manager='mariadb'
        )
        found, composed = self.pusher.prepare(self.guest, instance)
        key = GuestKey.new(old_root.INSTANCE).to_file()
        now = self.pusher.push(self.guest, found, composed, key)
        self.assertTrue(now.our_agent_runs)
        self.assertEqual(found.agent_processes, now.agent_processes)
        self.assertEqual(found.database_processes, now.database_processes)
        log = self.wait_until(
            lambda: self.guest.sh(f'grep "Guest agent" {LOG}', check=False), 'its first words'
        )
        self.assertIn(f'of instance {old_root.INSTANCE}, datastore manager mariadb', log)
        whole = self.guest.sh(f'cat {LOG}')
        self.assertIn('The key of this guest was read', whole)
        self.assertNotIn('of-the-broker', whole)
        self.assertNotIn('Traceback', whole)
        pusher.remove(self.guest)
        self.assertEqual(set(), set(before) ^ set(self.guest.listing()))
        after = self.pusher.look(self.guest)
        self.assertEqual(found.agent_processes, after.agent_processes)
        self.assertEqual(found.database_processes, after.database_processes)
