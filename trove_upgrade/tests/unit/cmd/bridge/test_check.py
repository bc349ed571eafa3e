# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge check`: what is wrong before a run is told, with what mends it."""

import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from trove_upgrade.bridge.bundle.archive import sha256_of
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_bundle, a_key

REFUSED = 1
NETWORK = '00000000-0000-4000-8000-0000000000e1'
#: Port 1 of loopback: a privileged one, on which nothing listens.
NOWHERE = '127.0.0.1:1'


def a_network(case):
    """Give the cloud a guest on NETWORK."""
    port = a_port('nic-1', server_id=database.SERVER, network_id=NETWORK)
    case.neutron.ports = {port.id: port}
    case.servers.found = [a_server(database.SERVER, port)]


class CheckTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.services = self.world.db.repositories.services
        self.services.register('host-1', 'trove-upgrade-taskmanager', '1')
        self.configured = self.conf.read_text()
        self.configure('guest_topic_prefix = trove-upgrade-guest.')

    def configure(self, *lines):
        self.conf.write_text('\n'.join((self.configured, '[trove_upgrade]', *lines, '')))

    def results(self, *words, code=0):
        shown = self.tool('check', '--no-local', '--json', *words, code=code)
        return {result['name']: result for result in json.loads(shown)}


class TestCheck(CheckTestCase):
    def test_where_all_is_well_each_version_has_what_may_follow_it(self):
        found = self.results()
        self.assertEqual({'ok', 'warning'}, {result['outcome'] for result in found.values()})
        self.assertIn('--broker', found['broker']['message'])
        self.assertIn('11.8.6', found['version mariadb 10.11.14']['message'])
        self.assertIn('0 do not pass', self.tool('check', '--no-local'))

    def test_a_version_whose_targets_have_no_image_in_glance_is_named(self):
        self.images.missing = {database.IMAGE_11_8}
        found = self.results(code=REFUSED)['version mariadb 10.11.14']
        self.assertEqual(('refused', 'BRIDGE_NO_TARGET'), (found['outcome'], found['code']))
        self.assertIn(database.IMAGE_11_8, found['message'])

    def test_a_taskmanager_of_an_earlier_release_is_no_control_plane_to_begin_with(self):
        self.services.register('old-1', 'trove-upgrade-taskmanager', '1', release='borealis', pid=1)
        found = self.results(code=REFUSED)['control plane']
        self.assertEqual('BRIDGE_CONTROL_PLANE_OLDER', found['code'])
        self.assertIn('old-1', found['message'])

    def test_without_a_taskmanager_no_run_can_go_well(self):
        for service in self.services.list():
            self.services.forget(service.id, force=True)
        found = self.results(code=REFUSED)['control plane']
        self.assertEqual('BRIDGE_CONTROL_PLANE_ABSENT', found['code'])

    def test_an_address_that_cannot_be_understood_is_refused_before_anything_is_asked(self):
        for text in ('broker', 'broker:', ':5672', 'broker:amqp'):
            self.assertIn('HOST:PORT', self.tool('check', '--broker', text, code=2))
        self.assertEqual([], self.clouds)


class TestGuestFile(CheckTestCase):
    """The control plane must hear the agents that are brought in, at the broker that is tried."""

    PREFIX = 'guest_topic_prefix = trove-upgrade-guest.'

    def guests_get(self, *lines):
        path = self.folder / 'guest.conf'
        path.write_text('\n'.join((*lines, '')))
        self.configure(self.PREFIX, f'guest_config_file = {path}')

    def test_a_control_plane_on_the_topic_of_troves_agents_is_refused(self):
        self.configure()
        found = self.results(code=REFUSED)['topic of guests']
        self.assertEqual('BRIDGE_TOPIC_OF_TROVE', found['code'])
        self.assertIn('guest_topic_prefix = trove-upgrade-guest.', found['message'])

    def test_so_is_one_on_a_topic_of_its_own(self):
        self.configure('guest_topic_prefix = elsewhere.')
        found = self.results(code=REFUSED)['topic of guests']
        self.assertEqual('BRIDGE_TOPIC_DIFFERS', found['code'])
        self.assertIn('elsewhere.', found['message'])

    def test_the_file_of_guests_must_name_the_same_topic(self):
        for prefix, code in (
            ('guestagent.', 'BRIDGE_TOPIC_OF_TROVE'),
            ('elsewhere.', 'BRIDGE_TOPIC_DIFFERS'),
        ):
            with self.subTest(prefix):
                self.guests_get('[trove_upgrade]', f'guest_topic_prefix = {prefix}')
                found = self.results(code=REFUSED)
                self.assertEqual('ok', found['topic of guests']['outcome'])
                found = found['topic of guests in guest_config_file']
                self.assertEqual(code, found['code'])
                self.assertIn(f'"{prefix}"', found['message'])

    def test_one_that_names_it_passes_and_one_that_names_none_is_a_warning(self):
        self.guests_get('[trove_upgrade]', self.PREFIX)
        found = self.results()['topic of guests in guest_config_file']
        self.assertEqual('ok', found['outcome'])
        self.guests_get('[DEFAULT]')
        found = self.results()['topic of guests in guest_config_file']
        self.assertEqual(('warning', 'BRIDGE_TOPIC_DIFFERS'), (found['outcome'], found['code']))

    def test_a_file_that_cannot_be_read_or_has_other_lines_is_refused(self):
        self.guests_get('[DEFAULT]', 'no option')
        found = self.results(code=REFUSED)['guest_config_file']
        self.assertEqual('BRIDGE_GUEST_CONFIGURATION_UNUSABLE', found['code'])
        (self.folder / 'guest.conf').unlink()
        found = self.results(code=REFUSED)['guest_config_file']
        self.assertEqual('GUEST_CONFIG_FILE_UNREADABLE', found['code'])

    def test_the_brokers_that_guests_are_told_are_tried_where_none_is_named(self):
        a_network(self)
        self.guests_get('[DEFAULT]', f'transport_url = rabbit://u:secret@{NOWHERE}/')
        found = self.results('--direct', NETWORK, code=REFUSED)
        self.assertNotIn('broker', found)
        found = found[f'network {NETWORK}']
        self.assertEqual('BRIDGE_SERVICE_UNREACHABLE', found['code'])
        self.assertIn(f'broker {NOWHERE}', found['message'])
        self.assertNotIn('secret', found['message'])

    def test_guest_transport_url_counts_more(self):
        self.guests_get(
            '[DEFAULT]',
            'transport_url = rabbit://u:p@one.example.org:5671/',
            '[trove_upgrade]',
            'guest_transport_url = rabbit://u:p@two.example.org/guests',
        )
        found = self.results('--broker', 'one.example.org:5671')['broker']
        self.assertEqual(('warning', 'BRIDGE_BROKER_DIFFERS'), (found['outcome'], found['code']))
        self.assertIn('names two.example.org:5672', found['message'])
        self.assertNotIn('broker', self.results('--broker', 'Two.example.org:5672'))


class TestBundle(CheckTestCase):
    def setUp(self):
        super().setUp()
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.archive = a_bundle(self.folder)
        line = (self.folder / 'bundle.tar.xz.sha256').read_bytes()
        (self.folder / 'bundle.tar.xz.sig').write_bytes(self.key.sign(line))

    def public(self, key):
        path = self.folder / 'key.pub'
        path.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return str(path)

    def checked(self, *words, code=0):
        return self.results('--bundle', str(self.archive), *words, code=code)['bundle']

    def test_one_that_is_whole_and_signed_by_the_key_passes(self):
        found = self.checked('--public-key', self.public(self.key))
        self.assertEqual('ok', found['outcome'])
        self.assertIn(sha256_of(self.archive), found['message'])

    def test_without_a_key_its_signature_is_not_looked_at_and_that_is_told(self):
        found = self.checked()
        self.assertEqual(('warning', 'BRIDGE_NOT_LOOKED_AT'), (found['outcome'], found['code']))
        self.assertIn('--public-key', found['message'])

    def test_one_of_another_key_or_that_is_damaged_is_refused(self):
        other = self.public(ed25519.Ed25519PrivateKey.generate())
        found = self.checked('--public-key', other, code=REFUSED)
        self.assertEqual('BRIDGE_BUNDLE_INVALID', found['code'])
        with self.archive.open('ab') as archive:
            archive.write(b'more')
        self.assertIn('SHA-256', self.checked(code=REFUSED)['message'])

    def test_where_none_is_named_that_is_told(self):
        self.assertIn('--bundle', self.results()['bundle']['message'])


class TestControllers(CheckTestCase):
    def test_what_cannot_be_meant_is_refused_before_anything_is_asked(self):
        for words, expected in (
            (('--controller', 'c1'), '--template-path'),
            (('--fix-templates',), '--template-path'),
            (('--controller', 'c1', '--template-path', 'templates'), 'from the root on'),
            (('--controller', '@c1', '--template-path', '/t'), '[USER@]HOST[:PORT]'),
            (('--not-this-host',), '--controller'),
            (('--controller', 'c1', '--template-path', '/t'), '--controller-key-file'),
            (('--node', 'n1'), '--node-key-file'),
        ):
            with self.subTest(words):
                self.assertIn(expected, self.tool('check', *words, code=2))
        self.assertEqual([], self.clouds)

    def test_one_whose_host_key_is_not_known_is_not_logged_in_to(self):
        found = self.results(
            *('--controller', 'c1', '--not-this-host', '--template-path', str(self.folder)),
            *('--known-hosts', str(self.folder / 'known_hosts')),
            *('--controller-key-file', a_key(self.folder)),
            code=REFUSED,
        )
        self.assertEqual('NODE_KEY_UNKNOWN', found['templates on c1']['code'])
        self.assertEqual([], [name for name in found if 'this host' in name])


class TestTemplates(CheckTestCase):
    def setUp(self):
        super().setUp()
        self.templates = self.folder / 'templates'

    def has(self, *directories):
        for directory in directories:
            (self.templates / directory).mkdir(parents=True)
            (self.templates / directory / 'config.template').write_text(directory)

    def of_1011(self, *words, code=0):
        found = self.results('--template-path', str(self.templates), *words, code=code)
        return found['template of mariadb 10.11.14 on this host']

    def test_a_version_without_any_is_refused(self):
        found = self.of_1011(code=REFUSED)
        self.assertEqual('BRIDGE_TEMPLATE_MISSING', found['code'])

    def test_the_directory_of_the_version_or_its_series_is_what_trove_takes(self):
        for directory in ('mariadb', 'mariadb/10', 'mariadb/10.11', 'mariadb/10.11.14'):
            with self.subTest(directory):
                self.has(directory)
                found = self.of_1011()
                self.assertEqual('ok', found['outcome'])
                self.assertIn(f'{directory}/config.template', found['message'])

    def test_one_of_the_series_under_another_name_is_reported_with_the_copy_and_copied(self):
        self.has('mariadb', 'mariadb/10.11-ga')
        found = self.of_1011()
        self.assertEqual(('warning', 'BRIDGE_TEMPLATE_CHANGES'), (found['outcome'], found['code']))
        target = self.templates / 'mariadb/10.11.14'
        self.assertIn(f'Copy {self.templates}/mariadb/10.11-ga to {target}.', found['message'])
        self.assertFalse(target.exists())
        self.assertIn('Copied', self.of_1011('--fix-templates')['message'])
        self.assertEqual('mariadb/10.11-ga', (target / 'config.template').read_text())
        self.assertIn(str(target), self.of_1011('--fix-templates')['message'])

    def test_a_copy_that_cannot_be_made_is_told_and_nothing_passes_by_it(self):
        self.has('mariadb/10.11-ga')
        (self.templates / 'mariadb/10.11.14').mkdir()
        found = self.of_1011('--fix-templates', code=REFUSED)
        self.assertEqual('BRIDGE_TEMPLATE_MISSING', found['code'])
        self.assertIn('could not be copied', found['message'])

    def test_the_operators_directory_comes_before_what_trove_ships(self):
        shipped = self.folder / 'shipped'
        self.has('mariadb/10.11-ga')
        self.templates, own = shipped, self.templates
        self.has('mariadb')
        found = self.results(
            '--template-path', str(own), '--template-path', str(shipped), '--fix-templates'
        )
        self.assertIn(
            f'to {own}/mariadb/10.11.14',
            found['template of mariadb 10.11.14 on this host']['message'],
        )
