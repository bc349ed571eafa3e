# SPDX-License-Identifier: Apache-2.0
"""Status check of guests' keys: those that this host cannot open, and taskmanagers that
know none.
"""

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.status import guest_keys
from trove_upgrade.db import repositories
from trove_upgrade.db.services import TASKMANAGER
from trove_upgrade.sealing.at_rest import Wrapping, generate
from trove_upgrade.tests.unit import base, database

RELEASES, RELEASE = ('aurora', 'borealis', 'cygnus'), 'cygnus'


class TestGuestKeys(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.entry = generate()

    def checked(self, entry):
        """As the status check of a host whose list is this entry."""
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        conf.set_override('guest_key_encryption_keys', [entry], our_conf.GROUP)
        found = repositories.Repositories.of(self.db.database, wrapping=lambda: Wrapping([entry]))
        return str(guest_keys.check(conf, found, RELEASES, RELEASE).details)

    def mint(self):
        found = repositories.Repositories.of(
            self.db.database, wrapping=lambda: Wrapping([self.entry])
        )
        found.guest_keys.mint(database.INSTANCE, None)

    def test_a_key_that_only_another_hosts_list_opens_is_told(self):
        self.mint()
        self.assertNotIn('no entry', self.checked(self.entry))
        told = self.checked(generate())
        self.assertIn('no entry of guest_key_encryption_keys of this host opens: 1', told)
        self.assertIn(database.INSTANCE, told)
        self.assertNotIn('rotate', told)

    def test_a_taskmanager_of_any_release_that_is_not_known_is_told(self):
        """Keys are held back for each of them."""
        self.assertNotIn('Taskmanagers of an earlier release', self.checked(self.entry))
        for release in ('borealis', 'of-another-vendor'):
            with self.subTest(release):
                services = self.db.repositories.services
                services.register(release, TASKMANAGER, '1.0', release=release)
                self.assertIn(release, self.checked(self.entry))
