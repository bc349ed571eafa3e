# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge run`: what it refuses before anything begins, and what it would do."""

from cryptography import fernet

from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_bundle, a_key

USAGE, FAILED = 2, 1
INSTANCE = database.INSTANCE


class TestRun(BridgeTestCase):
    def setUp(self):
        super().setUp()
        port = a_port('nic-1', server_id=database.SERVER)
        self.neutron.ports = {port.id: port}
        self.servers.found = [a_server(database.SERVER, port)]
        self.repositories = self.world.db.repositories

    def run_it(self, *words, code=0):
        key = a_key(self.folder)
        return self.tool('run', '--no-local', '--key-file', key, *words, code=code)

    def hear_our_agent(self):
        self.repositories.guests.record(
            Heartbeat(
                instance_id=INSTANCE,
                boot_id='b',
                marker=None,
                restored=False,
                agent_version='1.2.3',
                server_version='10.11.14',
                server_state=ServerState.RUNNING,
            )
        )

    def bundle(self):
        return ('--bundle', str(a_bundle(self.folder)))

    def nothing_began(self):
        self.assertEqual([], self.repositories.bridge_runs.all())

    def test_one_that_is_named_and_cannot_be_tried_is_told_with_its_reason(self):
        self.hear_our_agent()
        told = self.run_it('--instance', INSTANCE, *self.bundle(), code=USAGE)
        self.assertIn(f'{INSTANCE}: HAS_AGENT', told)
        self.nothing_began()

    def test_a_fleet_without_one_that_can_be_tried_ends_at_once_with_each_reason(self):
        self.hear_our_agent()
        for words in ((), ('--upgrade-to', '11.8.6')):
            self.assertIn('HAS_AGENT', self.run_it('--all', *self.bundle(), *words))

    def test_one_that_is_off_is_not_upgraded_for_its_agent(self):
        self.hear_our_agent()
        self.servers.found = [a_server(database.SERVER, status='SHUTOFF')]
        words = ('--instance', INSTANCE, '--upgrade-to', '11.8.6')
        self.assertIn('SERVER_NOT_ACTIVE', self.tool('run', '--no-local', *words, code=USAGE))

    def test_one_with_our_agent_that_is_named_would_only_be_upgraded_and_needs_no_bundle(self):
        self.hear_our_agent()
        words = ('--instance', INSTANCE, '--upgrade-to', '11.8.6', '--dry-run')
        shown = self.tool('run', '--no-local', *words)
        self.assertIn(f'{INSTANCE}: would upgrade mariadb 10.11.14', shown)
        for word in ('open', 'push', 'close'):
            self.assertNotIn(f'would {word}', shown)
        self.nothing_began()

    def test_an_agent_that_is_to_be_brought_in_needs_a_bundle_keys_and_the_operators_file(self):
        self.assertIn('--bundle', self.run_it('--instance', INSTANCE, code=USAGE))
        words = ('--instance', INSTANCE, *self.bundle())
        for dry in ((), ('--dry-run',)):
            told = self.run_it(*words, *dry, code=FAILED)
            self.assertIn('GUEST_KEY_ENCRYPTION_KEYS_UNSET', told)
        encrypting = fernet.Fernet.generate_key().decode()
        with self.conf.open('a') as conf:
            conf.write(
                f'[trove_upgrade]\nguest_config_file = {self.folder}/none\n'
                f'guest_key_encryption_keys = {encrypting}\n'
            )
        self.assertIn('GUEST_CONFIG_FILE_UNREADABLE', self.run_it(*words, code=FAILED))
        self.nothing_began()
