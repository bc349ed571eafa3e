# SPDX-License-Identifier: Apache-2.0
"""Where at the broker guests and taskmanagers meet, by two options."""

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.rpc import place, transport
from trove_upgrade.tests.unit import base

SERVICES = 'rabbit://trove:s3cret@h:5672/trove'


def configuration(guest_url, url=SERVICES):
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    conf(args=[], default_config_files=[], default_config_dirs=[])
    transport.get_transport(conf).cleanup()  # it registers the options of oslo.messaging
    conf.set_override('transport_url', url)
    conf.set_override('guest_transport_url', guest_url, 'trove_upgrade')
    return conf


class TestPlace(base.TestCase):
    def options(self, *urls):
        return [one.option for one in place.of_taskmanagers(configuration(*urls))]

    def test_without_the_option_there_is_one_place(self):
        for url in (None, ''):
            self.assertEqual(['[DEFAULT] transport_url'], self.options(url))
            self.assertEqual(place.SERVICES, place.of_guests(configuration(url)))

    def test_two_urls_that_mean_the_same_are_one_place(self):
        self.assertEqual(['[DEFAULT] transport_url'], self.options(SERVICES))
        self.assertEqual(
            ['[DEFAULT] transport_url'], self.options('rabbit://u:p@h//', 'rabbit://u:p@h')
        )

    def test_a_taskmanager_listens_at_both_the_guests_first(self):
        for url in (
            'rabbit://trove:s3cret@h:5672/guests',
            'rabbit://trove:s3cret@other:5672/trove',
            'rabbit://other:s3cret@h:5672/trove',
            f'{SERVICES}?ssl=1',
        ):
            self.assertEqual(
                ['[trove_upgrade] guest_transport_url', '[DEFAULT] transport_url'],
                self.options(url),
                url,
            )

    def test_queues_are_also_where_nova_is_heard_once_for_each_place(self):
        guests, nova = 'rabbit://trove:s3cret@h:5672/guests', 'rabbit://nova:s3cret@h:5672/nova'
        ours = ['[DEFAULT] transport_url']
        for guest_url, nova_url, options in (
            (None, None, ours),
            (None, SERVICES, ours),
            (guests, guests, ['[trove_upgrade] guest_transport_url', *ours]),
            (None, nova, [*ours, '[trove_upgrade] nova_notifications_transport_url']),
        ):
            conf = configuration(guest_url)
            conf.set_override('nova_notifications_transport_url', nova_url, 'trove_upgrade')
            self.assertEqual(options, [one.option for one in place.of_queues(conf)])

    def test_a_url_that_cannot_be_understood_is_refused_by_its_option_and_not_repeated(self):
        for url in ('s3cret-XYZ', 'rabbit://u:s3cret-XYZ@h:port/', 'none://u:s3cret-XYZ@h/'):
            conf = configuration(url)
            self.assertEqual(2, len(place.of_taskmanagers(conf)))
            error = self.assertRaises(
                transport.TransportInvalid, transport.get_guest_transport, conf
            )
            self.assertIn('[trove_upgrade] guest_transport_url', error.message)
            self.assertNotIn('s3cret-XYZ', error.message)
            transport.get_transport(conf).cleanup()  # the services' is none of its business

    def test_the_virtual_host_is_named_as_the_broker_names_it(self):
        for url, name in (
            ('rabbit://h/guests', 'guests'),
            ('rabbit://h', '/'),
            ('fake:///guests', None),
        ):
            conf = configuration(url)
            self.assertEqual(name, place.virtual_host(conf, place.of_guests(conf)), url)

    def test_the_option_is_a_secret(self):
        [option] = [one for one in our_conf.messaging.OPTS if one.name == 'guest_transport_url']
        self.assertTrue(option.secret)
