# SPDX-License-Identifier: Apache-2.0
"""What a taskmanager demands of the options of guests' keys before it starts, and what the status
program tells of them.
"""

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd.status import guest_keys as check
from trove_upgrade.db import errors, guest_security
from trove_upgrade.db.guest_keys import GuestKeys
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.sealing.at_rest import EncryptionKeysInvalid, KeyUnreadable, Wrapping, generate
from trove_upgrade.tests.unit import base, database

INSTANCE, SESSION = database.INSTANCE, '1' * 32


class SecurityTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.entry = generate()

    def conf(self, security='required', entries=()):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf([], project='trove-upgrade', default_config_files=[])
        conf.set_override('guest_rpc_security', security, group=our_conf.GROUP)
        conf.set_override('guest_key_encryption_keys', list(entries), group=our_conf.GROUP)
        return conf

    def repositories(self, entries=()):
        return Repositories.of(
            self.db.database, wrapping=lambda: Wrapping(entries) if entries else None
        )

    def seal(self, instance_id=INSTANCE):
        keys = GuestKeys(self.db.database, lambda: Wrapping([self.entry]))
        keys.met(keys.mint(instance_id, None), SESSION)

    def require(self, security='required', entries=()):
        guest_security.require_guest_keys(self.conf(security, entries), self.repositories(entries))


class TestStart(SecurityTestCase):
    def test_without_a_list_it_is_refused_unless_security_is_off(self):
        for security in ('required', 'preferred'):
            self.assertRaises(errors.GuestKeysUnset, self.require, security)
        self.require('off')

    def test_an_entry_that_is_no_key_is_refused_without_being_repeated(self):
        for wrong in ('s3cret', '', 'é', self.entry[:-1]):
            error = self.assertRaises(
                EncryptionKeysInvalid, self.require, 'required', [self.entry, wrong]
            )
            self.assertIn('entry 2', str(error))
            self.assertNotIn('s3cret', str(error))

    def test_off_is_refused_while_a_guest_has_a_key(self):
        self.seal(database.DELETED_INSTANCE)
        self.require('off')
        self.seal()
        self.assertIn(INSTANCE, str(self.assertRaises(errors.GuestKeysInUse, self.require, 'off')))

    def test_off_is_refused_while_a_rebuild_has_brought_a_key(self):
        """Its guest will speak under it alone."""
        GuestKeys(self.db.database, lambda: Wrapping([self.entry])).mint(INSTANCE, 'u1:1')
        self.assertIn(INSTANCE, str(self.assertRaises(errors.GuestKeysInUse, self.require, 'off')))

    def test_a_key_of_a_deleted_instance_that_no_entry_opens_keeps_none_from_starting(self):
        self.seal(database.DELETED_INSTANCE)
        self.require('required', [generate()])

    def test_a_list_that_does_not_open_the_newest_key_is_refused_where_it_is_required(self):
        self.seal()
        other = generate()
        self.require('required', [other, self.entry])
        self.assertRaises(KeyUnreadable, self.require, 'required', [other])
        self.require('preferred', [other])


class TestStatus(SecurityTestCase):
    def check(self, security='required', entries=None):
        entries = [self.entry] if entries is None else entries
        return check.check(
            self.conf(security, entries), self.repositories(entries), MAIN.releases(), RELEASE
        )

    def test_guests_are_counted_and_those_without_a_key_named(self):
        self.seal()
        found = self.check()
        self.assertEqual(upgradecheck.Code.SUCCESS, found.code)
        self.assertIn('sealed: 1, unsealed: 1', found.details)
        self.assertIn(database.OTHER_INSTANCE, found.details)

    def test_what_an_operator_should_do_is_a_warning(self):
        self.seal()
        for security, entries, said in (
            ('required', [generate(), self.entry], 'guest-key rotate'),
            ('preferred', [self.entry], 'is preferred'),
            ('required', [], 'is empty'),
        ):
            found = self.check(security, entries)
            self.assertEqual(upgradecheck.Code.WARNING, found.code)
            self.assertIn(said, found.details)

    def test_what_keeps_a_taskmanager_from_its_start_is_a_failure(self):
        self.seal()
        for security, entries in (('off', []), ('required', [generate()]), ('required', ['wrong'])):
            self.assertEqual(upgradecheck.Code.FAILURE, self.check(security, entries).code)

    def test_a_taskmanager_of_an_earlier_release_is_told(self):
        self.db.repositories.services.register(
            'host-9', 'trove-upgrade-taskmanager', '1', release=MAIN.releases()[-2], pid=1
        )
        self.assertIn('host-9', self.check().details)
