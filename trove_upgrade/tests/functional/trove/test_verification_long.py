# SPDX-License-Identifier: Apache-2.0
"""The bridge's look at an upgraded instance, and its smoke test, with real Trove: by the service
user, whose project is not the instance's.
"""

import secrets

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.smoke import Limits, Shape, SmokeTest, name_of
from trove_upgrade.bridge.verification.accounts import PREFIX
from trove_upgrade.bridge.verification.expected import Expected, addresses_of, groups_of
from trove_upgrade.bridge.verification.verifier import Verifier
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.clients.nova_servers import NovaServers
from trove_upgrade.clients.trove import Trove
from trove_upgrade.clock import SystemClock
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.conf import start
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.verified import Outcome
from trove_upgrade.tests.functional.trove import base


class Interrupted(BaseException):
    """Ctrl-C, at a moment that a test chooses."""


class BridgeOfTroveCase(base.TroveGuestTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.conf = cfg.ConfigOpts()
        our_conf.register_opts(cls.conf)
        compute_conf.register_credentials(cls.conf)
        database_conf.register_connection_opts(cls.conf)
        start.read(cls.conf, ['--config-file', str(cls.product.config_file)])
        cls.trove = Trove.from_conf(cls.conf)


class TestVerification(BridgeOfTroveCase):
    def setUp(self):
        super().setUp()
        self.neutron = Neutron.from_conf(self.conf)
        self.repositories = Repositories.from_conf(self.conf)
        self.addCleanup(self.repositories.database.dispose)
        self.server_ports = ServerPorts(NovaServers.from_conf(self.conf), self.neutron)
        self.verifier = Verifier(
            service=self.trove,
            server_ports=self.server_ports,
            upgrades=self.repositories.upgrades,
            clock=SystemClock(),
            pause=SystemClock(),
            token=secrets.token_hex,
        )

    def test_an_upgraded_instance_is_as_it_was_and_one_that_is_not_is_told_of(self):
        instance = self.create_instance('verified')
        before = self.trove.instance(instance.id)
        ports = self.server_ports.of(instance.server_id)
        self.assertNotEqual(self._own_project(), before.project_id)

        self.trove.upgrade(instance.id, self.target.id)
        upgrade = self.ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        expected = Expected(
            instance_id=instance.id,
            server_id=before.server_id,
            version_id=self.target.id,
            addresses=addresses_of(before, ports),
            groups=groups_of(ports),
            upgrade_id=upgrade['id'],
        )
        results = self.verifier.verify(expected)

        self.assertEqual({Outcome.OK}, {one.outcome for one in results}, results)
        self.assertEqual([], self._left_users(instance))
        self._tells_another_version(instance, expected)

    def _tells_another_version(self, instance, expected):
        self.sql(instance, f"CREATE USER '{PREFIX}left'@'%'")
        left = {'version_id': self.former.id, 'left_user': f'{PREFIX}left'}
        other = Expected(**{**vars(expected), **left})
        failed = [one.name for one in self.verifier.verify(other) if one.is_failure]
        self.assertEqual(['version', 'rows'], failed)
        self.assertEqual([], self._left_users(instance))

    def test_an_instance_that_is_not_there_is_told_from_what_is_not_offered(self):
        nowhere = '00000000-0000-4000-8000-000000000000'
        for ask in (self.trove.instance, self.trove.users, self.trove.backups):
            with self.subTest(ask.__name__):
                self.assertRaises(exceptions.InstanceNotFound, ask, nowhere)
        self.assertRaises(domain.DatabaseServiceRefused, self.trove.version, nowhere)

    def _own_project(self):
        return self.trove._adapter.get_project_id()

    def _left_users(self, instance):
        return [
            name
            for name in self.sql(instance, 'SELECT user FROM mysql.user').split()
            if name.startswith(PREFIX)
        ]


class TestSmoke(BridgeOfTroveCase):
    def setUp(self):
        super().setUp()
        self.run_id = secrets.token_hex(8)
        self.told = []
        self.shape = Shape(
            flavor_id=self.side.flavors()['trove.small'],
            volume_size_gb=None,
            network_id=self.handle.network_id,
        )

    def smoke(self, tell):
        return SmokeTest(
            service=self.trove,
            clock=SystemClock(),
            pause=SystemClock(),
            tell=tell,
            limits=Limits(serving=300, gone=180, building=10, look=2),
        )

    def left(self):
        """From Trove's own table."""
        name = name_of(self.run_id, self.target.id)
        return self.instances._side.sql(
            f"SELECT id FROM instances WHERE name = '{name}' AND deleted = 0;"
        )

    def test_a_new_instance_serves_and_is_gone(self):
        result = self.smoke(self.told.append).create(self.run_id, self.target.id, self.shape)
        self.assertEqual(Outcome.OK, result.outcome, (result, self.told))
        self.assertFalse(self.left())
        self.assertTrue(any('BUILD' in line for line in self.told), self.told)

    def test_one_that_is_being_built_is_gone_after_an_interruption(self):
        def interrupt(message):
            self.told.append(message)
            if len(self.told) == 2:
                raise Interrupted

        smoke = self.smoke(interrupt)
        self.assertRaises(Interrupted, smoke.create, self.run_id, self.target.id, self.shape)
        self.assertFalse(self.left())

    def test_a_version_that_cannot_be_made_is_a_failure_and_leaves_nothing(self):
        shape = Shape(flavor_id='no-such', volume_size_gb=None, network_id=None)
        result = self.smoke(self.told.append).create(self.run_id, self.target.id, shape)
        self.assertTrue(result.is_failure, result)
        self.assertFalse(self.left())
