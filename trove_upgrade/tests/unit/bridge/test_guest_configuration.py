# SPDX-License-Identifier: Apache-2.0
"""Configuration of our agent in an old guest, as oslo.config and oslo.messaging then read it."""

import pathlib

import fixtures
import oslo_messaging
from hypothesis import example, given
from hypothesis import strategies as st
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge import guest_configuration, old_broker, option_text
from trove_upgrade.bridge.guest_configuration import (
    Composed,
    GuestConfigurationUnusable,
    OldGuest,
    compose,
)
from trove_upgrade.bridge.old_broker import Broker
from trove_upgrade.conf import guestagent
from trove_upgrade.tests.unit import base

INSTANCE = '11111111-2222-3333-4444-555555555555'
PROJECT = 'a' * 32
JUNO_INFO = f'[DEFAULT]\nguest_id={INSTANCE}\nservice_type=mysql\ntenant_id={PROJECT}\n'
JUNO_AGENT = """
# of a release with an option for each part
[DEFAULT]
rabbit_host = 10.0.0.5
rabbit_userid = trove
rabbit_password = p/w:d@%
control_exchange = trove
verbose = True
log_file = logfile.txt
[oslo_messaging_rabbit]
rabbit_use_ssl = True
kombu_ssl_ca_certs = /etc/trove/ca.pem
fake_rabbit = maybe
"""
LATER_AGENT = """[DEFAULT]
transport_url = rabbit://trove:secret@10.0.0.5:5671,trove:secret@[fd00::5]:5671/v
datastore_version = 5.7
[mysql]
mount_point = /var/lib/mysql
"""
#: As a value of an option can be in a file: one line.
_text = st.text(
    st.characters(blacklist_categories=('Cs', 'Cc', 'Zl', 'Zp')), min_size=1, max_size=20
)
_password = _text.filter(str.strip)


def guest(*files, **fields) -> OldGuest:
    return OldGuest(
        **{
            'instance_id': INSTANCE,
            'project_id': PROJECT,
            'datastore_manager': 'mariadb',
            'files': files,
            **fields,
        }
    )


def as_file(value):
    """Return a value as an operator writes it who wants it literally."""
    dollar = (
        '\\$' if '\\$' in value else '$$'
    )  # after a backslash oslo.config takes one for the other
    return f'"{value.replace("$", dollar)}"'


class ReadingCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'agent.conf')
        self.conf = cfg.ConfigOpts()
        self.conf.register_opts(guestagent.IDENTITY_OPTS)
        our_conf.register_opts(self.conf)
        self.conf.register_opts([cfg.StrOpt('control_exchange'), cfg.StrOpt('transport_url')])
        self.conf.register_opts(
            [cfg.BoolOpt('ssl'), cfg.StrOpt('ssl_ca_file')], group='oslo_messaging_rabbit'
        )

    def read(self, composed: Composed) -> cfg.ConfigOpts:
        """Return it as our agent reads it."""
        self.path.write_text(composed.text, 'utf-8')
        self.conf(['--config-file', str(self.path)], project='x', default_config_files=[])
        return self.conf


class TestComposedConfiguration(ReadingCase):
    def test_options_of_a_part_each_become_a_url(self):
        composed = compose(guest(JUNO_INFO, JUNO_AGENT), '')
        conf = self.read(composed)
        url = oslo_messaging.TransportURL.parse(cfg.ConfigOpts(), conf.transport_url)
        host = url.hosts[0]
        self.assertEqual(
            ('10.0.0.5', 5672, 'trove', 'p/w:d@%'),
            (host.hostname, host.port, host.username, host.password),
        )
        self.assertEqual(
            (INSTANCE, PROJECT, 'mariadb', 'trove'),
            (conf.guest_id, conf.tenant_id, conf.datastore_manager, conf.control_exchange),
        )
        self.assertEqual([Broker('10.0.0.5', 5672)], composed.brokers)

    def test_names_of_former_releases_are_translated_and_others_stay_behind(self):
        composed = compose(guest(JUNO_INFO, JUNO_AGENT), '')
        conf = self.read(composed)
        self.assertTrue(conf.oslo_messaging_rabbit.ssl)
        self.assertEqual('/etc/trove/ca.pem', conf.oslo_messaging_rabbit.ssl_ca_file)
        for name in ('verbose', 'log_file', 'fake_rabbit', 'rabbit_', 'kombu_'):
            self.assertNotIn(name, composed.text)

    def test_our_agent_has_a_topic_of_its_own_and_knows_the_old_ones_service(self):
        services = ('trove-guestagent', 'x,y\n[z]')
        composed = compose(guest(JUNO_INFO, JUNO_AGENT, agent_services=services), '')
        ours = self.read(composed).trove_upgrade
        self.assertEqual('trove-upgrade-guest.', ours.guest_topic_prefix)
        self.assertEqual('guestagent.', ours.trove_agent_topic_prefix)
        self.assertEqual(['trove-guestagent'], ours.trove_agent_services)

    def test_an_option_of_the_operators_counts_more(self):
        operators = (
            '[DEFAULT]\ntransport_url = rabbit://new:pw@192.0.2.1/\nlog_file = x.log\n'
            'guest_id = other\n[trove_upgrade]\nguest_topic_prefix = guestagent.\n'
            'upgrade_marker = x:1\nstash_keep_hours = 5\n'
        )
        conf = self.read(composed := compose(guest(JUNO_INFO, LATER_AGENT), operators))
        self.assertEqual('rabbit://new:pw@192.0.2.1/', conf.transport_url)
        self.assertEqual(INSTANCE, conf.guest_id)
        self.assertEqual(5, conf.trove_upgrade.stash_keep_hours)
        self.assertEqual('trove-upgrade-guest.', conf.trove_upgrade.guest_topic_prefix)
        self.assertIsNone(conf.trove_upgrade.upgrade_marker)
        self.assertNotIn('log_file', composed.text)
        self.assertEqual([Broker('192.0.2.1', 5672)], composed.brokers)

    def test_the_brokers_of_guests_are_those_that_a_guest_must_reach(self):
        operators = '[trove_upgrade]\nguest_transport_url = rabbit://g:p@[fd00::1]:5671/guests\n'
        composed = compose(guest(JUNO_INFO, LATER_AGENT), operators)
        self.assertEqual([Broker('fd00::1', 5671)], composed.brokers)

    def test_all_brokers_of_a_url_are_named(self):
        composed = compose(guest(JUNO_INFO, LATER_AGENT), '')
        self.assertEqual([Broker('10.0.0.5', 5671), Broker('fd00::5', 5671)], composed.brokers)
        self.assertEqual('5.7', self.read(composed).datastore_version)

    def test_references_of_the_old_file_are_what_the_old_agent_saw(self):
        old = '[DEFAULT]\nhost_ip = 10.1.1.1\npw = a$$b\ntransport_url = rabbit://t:$pw@$host_ip/\n'
        conf = self.read(compose(guest(JUNO_INFO, old), ''))
        self.assertEqual('rabbit://t:a$b@10.1.1.1/', conf.transport_url)

    def test_no_secret_is_shown_by_mistake(self):
        old = guest(JUNO_INFO, LATER_AGENT)
        self.assertNotIn('secret', repr(old) + repr(compose(old, '')))


class TestRefusals(base.TestCase):
    def refused(self, old, operators=''):
        error = self.assertRaises(GuestConfigurationUnusable, compose, old, operators)
        self.assertEqual('BRIDGE_GUEST_CONFIGURATION_UNUSABLE', error.code)
        return error.message

    def test_a_guest_that_is_another_instance_is_refused(self):
        other = JUNO_INFO.replace('1111', '9999')
        self.assertIn('has the id', self.refused(guest(other, JUNO_AGENT)))

    def test_a_volume_elsewhere_is_refused(self):
        old = '[mariadb]\nmount_point = /data\n'
        self.assertIn("'/data'", self.refused(guest(JUNO_INFO, LATER_AGENT, old)))

    def test_a_guest_without_a_broker_is_refused(self):
        self.assertIn('name a broker', self.refused(guest(JUNO_INFO)))

    def test_an_operators_file_that_our_agent_could_not_read_is_refused(self):
        found = self.refused(guest(JUNO_INFO, LATER_AGENT), '[DEFAULT\npassword = secret\nrest')
        self.assertIn('no options', found)
        self.assertNotIn('secret', found)


class TestLaws(ReadingCase):
    """Whatever is in the files, nothing of what counts is lost, and nothing else breaks a start."""

    @given(_password, _password, st.one_of(st.just('/'), _password))
    def test_an_account_survives(self, user, password, place):
        old = (
            f'[oslo_messaging_rabbit]\nrabbit_hosts = 10.0.0.5:1,fd00::1\n'
            f'rabbit_userid = {as_file(user)}\nrabbit_password = {as_file(password)}\n'
            f'rabbit_virtual_host = {as_file(place)}\n'
        )
        conf = self.read(compose(guest(JUNO_INFO, old), ''))
        url = oslo_messaging.TransportURL.parse(cfg.ConfigOpts(), conf.transport_url)
        self.assertEqual(
            [('10.0.0.5', 1, user, password), ('fd00::1', 5672, user, password)],
            [(host.hostname, host.port, host.username, host.password) for host in url.hosts],
        )
        self.assertEqual(place.removeprefix('/'), url.virtual_host)

    @given(_text)
    @example('\\$')
    def test_a_key_of_troves_survives(self, key):
        key = key.strip() or 'key'
        old = f'[DEFAULT]\ninstance_rpc_encr_key = {as_file(key)}\n'
        conf = self.read(compose(guest(JUNO_INFO, LATER_AGENT, old), ''))
        self.assertEqual(key, conf.instance_rpc_encr_key)

    @given(_text)
    def test_what_the_operator_wrote_is_read_alike(self, value):
        operators = f'[trove_upgrade]\nguest_transport_url = {as_file(value)}\n'
        conf = self.read(compose(guest(JUNO_INFO, LATER_AGENT), operators))
        self.assertEqual(value, conf.trove_upgrade.guest_transport_url)

    @given(st.lists(st.text(max_size=80), max_size=3))
    def test_no_old_file_breaks_our_agents_start(self, junk):
        operators = '[DEFAULT]\ntransport_url = rabbit://a:b@c/\n'
        try:
            composed = compose(guest(*junk), operators)
        except GuestConfigurationUnusable:
            return
        conf = self.read(composed)
        self.assertEqual('rabbit://a:b@c/', conf.transport_url)
        self.assertEqual(INSTANCE, conf.guest_id)

    @given(st.text(st.sampled_from('ssl=_rabbit[]DEFAULT\n :#"$x{}truedurable'), max_size=200))
    def test_no_file_like_an_old_one_does(self, junk):
        operators = '[DEFAULT]\ntransport_url = rabbit://a:b@c/\n'
        try:
            composed = compose(guest(LATER_AGENT, junk), operators)
        except GuestConfigurationUnusable:
            return
        self.read(composed)

    @given(_text)
    def test_a_literal_is_read_back(self, value):
        text = f'[a]\nb = {option_text.literal(value)}\n'
        options, left_out = option_text.read([text])
        self.assertEqual(0, left_out)
        self.assertEqual(value, option_text.Resolved(options).value('a', 'b'))


class TestTexts(base.TestCase):
    def test_a_name_that_leads_to_itself_stays(self):
        options, _ = option_text.read(['[DEFAULT]\na = $b\nb = ${a}\nc = $DEFAULT.d\nd = 1\n'])
        resolved = option_text.Resolved(options)
        self.assertIn('$', resolved.value('DEFAULT', 'a'))
        self.assertEqual('1', resolved.value('DEFAULT', 'c'))

    def test_options_below_a_broken_heading_are_no_other_groups(self):
        options, left_out = option_text.read(['[a]\nx = 1\n[b\nx = 2\n  3\nnonsense\n'])
        self.assertEqual(({'a': {'x': ['1']}}, 2), (options, left_out))

    def test_a_url_of_another_form_names_no_broker(self):
        self.assertEqual([], old_broker.brokers('nonsense'))
        self.assertEqual([], old_broker.brokers('rabbit://a:b@c:port/'))

    def test_its_prefix_is_the_one_of_an_agent_beside_troves(self):
        from trove_upgrade.conf import messaging

        self.assertEqual(messaging.PREFIX_BESIDE_TROVE, guest_configuration.PREFIX)
