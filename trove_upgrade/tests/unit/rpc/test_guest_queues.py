# SPDX-License-Identifier: Apache-2.0
"""Options of a rebuilt guest that no broker has to be asked about."""

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.rpc import transport
from trove_upgrade.rpc.guest_queues import GuestQueues
from trove_upgrade.tests.unit import base

USUAL = {'rpc_exchange': 'trove-upgrade', 'taskmanager_topic': 'trove-upgrade-taskmanager'}
AWAY = 'rabbit://u:p@127.0.0.1:1'


class TestGuestQueues(base.TestCase):
    def refusal(self, *texts, url=f'{AWAY}/trove', guest_url=None):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        transport.get_transport(conf).cleanup()  # it registers the options of oslo.messaging
        conf.set_override('transport_url', url)
        conf.set_override('guest_transport_url', guest_url, 'trove_upgrade')
        return GuestQueues(conf, 0.5).refusal(
            'i1', {f'{number}.conf': text for number, text in enumerate(texts)}
        )

    def test_another_virtual_host_is_named_and_no_password(self):
        found = self.refusal(
            '[DEFAULT]\ntransport_url = rabbit://own:s3cret@10.0.0.1:5672/elsewhere\n'
        )
        self.assertIn('virtual host "elsewhere"', found)
        self.assertNotIn('s3cret', found)

    def test_the_guests_own_virtual_host_counts_where_it_has_one(self):
        for services in ('trove', 'elsewhere'):  # the agent of Trove is there
            text = (
                f'[DEFAULT]\ntransport_url = {AWAY}/{services}\n'
                '[trove_upgrade]\nguest_transport_url = rabbit://own:s3cret@10.0.0.1/guests\n'
            )
            self.assertIsNone(self.refusal(text, guest_url=f'{AWAY}/guests'))
            for guest_url in (None, f'{AWAY}/other'):
                found = self.refusal(text, guest_url=guest_url)
                self.assertIn('its guest_transport_url names the virtual host "guests"', found)
                self.assertNotIn('s3cret', found)

    def test_a_guest_without_a_transport_url_is_judged_by_its_own_virtual_host(self):
        text = f'[trove_upgrade]\nguest_transport_url = {AWAY}/guests\n'
        self.assertIn('"guests"', self.refusal(text))
        self.assertIsNone(self.refusal(text, guest_url=f'{AWAY}/guests'))

    def test_a_guest_that_has_not_changed_over_is_heard_where_the_services_are(self):
        text = f'[DEFAULT]\ntransport_url = {AWAY}/trove\n'
        self.assertIsNone(self.refusal(text, guest_url=f'{AWAY}/guests'))

    def test_another_address_and_another_user_are_the_guests_own(self):
        self.assertIsNone(
            self.refusal(
                '[DEFAULT]\ntransport_url = rabbit://own:own@10.0.0.1,own:own@10.0.0.2/trove\n'
            )
        )

    def test_no_virtual_host_and_the_first_one_are_the_same(self):
        self.assertIsNone(self.refusal(f'[DEFAULT]\ntransport_url = {AWAY}//\n', url=AWAY))

    def test_another_exchange_or_topic_is_named_and_the_last_file_counts(self):
        broker = f'[DEFAULT]\ntransport_url = {AWAY}/trove\n'
        for name in ('rpc_exchange', 'taskmanager_topic'):
            text = f'[trove_upgrade]\n{name} = other\n'
            self.assertIn(f'{name} is "other"', self.refusal(broker, text))
            self.assertIsNone(
                self.refusal(broker + text, f'[trove_upgrade]\n{name} = {USUAL[name]}\n')
            )

    def test_a_guest_whose_broker_is_named_in_its_image_is_not_judged(self):
        self.assertIsNone(self.refusal('[trove_upgrade]\nrpc_exchange = other\n'))
        self.assertIsNone(self.refusal())

    def test_a_configuration_that_no_agent_could_read_is_not_judged(self):
        for text in (
            'junk\n',
            '[DEFAULT]\ntransport_url = nonsense\n',
            '[DEFAULT]\ntransport_url = $nothing\n',
            f'[DEFAULT]\ntransport_url={AWAY}/trove\n[oslo_messaging_rabbit]\nrabbit_quorum_queue=perhaps\n',
        ):
            self.assertIsNone(self.refusal(text), text)

    def test_a_transport_without_exchanges_is_not_judged(self):
        self.assertIsNone(self.refusal('[DEFAULT]\ntransport_url = fake:///trove\n'))

    def test_a_taskmanager_with_a_transport_without_exchanges_judges_no_virtual_host(self):
        self.assertIsNone(
            self.refusal(f'[DEFAULT]\ntransport_url = {AWAY}/trove\n', url='fake:///')
        )
