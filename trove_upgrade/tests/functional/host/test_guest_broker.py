# SPDX-License-Identifier: Apache-2.0
"""A rebuilt guest's options of the broker, against what is at a real broker: it refuses before the
guest is stopped.
"""

import uuid

from trove_upgrade.rpc import queues, transport
from trove_upgrade.rpc.guest_queues import GuestQueues
from trove_upgrade.tests.functional.host import broker_case

INSTANCE = 'i1'
TIMEOUT = 10


class GuestBrokerTest(broker_case.BrokerCase):
    def setUp(self):
        super().setUp()
        self.prefix = f'{uuid.uuid4().hex[:8]}.'  # names of queues are bounded

    def taskmanager(self, url=None):
        return broker_case.configured(
            url or self.broker.url, self.id(), guest_topic_prefix=self.prefix
        )

    def listen_as_guest(self, **rabbit):
        """A guest that runs, with these options of the broker."""
        conf = self.taskmanager()
        for name, value in rabbit.items():
            conf.set_override(name, value, 'oslo_messaging_rabbit')
        rpc_transport = transport.get_answering_transport(conf)
        server = transport.get_server(
            rpc_transport, transport.guest_target(conf, INSTANCE), [object()]
        )
        server.start()
        self.addCleanup(rpc_transport.cleanup)
        self.addCleanup(self.leave, conf, server)
        own = f'{self.prefix}{INSTANCE}'
        self.wait_until(lambda: queues.find(conf, [own], TIMEOUT)[0].consumers, 'the guest')

    def leave(self, conf, server):
        own = f'{self.prefix}{INSTANCE}'
        self.end(server, conf, [own, f'{own}.{own}'])
        queues.remove(conf, [own, f'{own}.{own}'], TIMEOUT)
        queues.remove_exchange(conf, TIMEOUT)

    def files(self, rabbit='', url=None, exchange=None):
        """As the user data of a rebuild has them."""
        return {
            'guest_info.conf': f'[DEFAULT]\nguest_id = {INSTANCE}\n',
            'trove-guestagent.conf': (
                '[DEFAULT]\ntransport_url = '
                f'{url or self.broker.url}\n[oslo_messaging_rabbit]\n{rabbit}\n'
                f'[trove_upgrade]\ntaskmanager_topic = {self.id()}\nrpc_exchange = '
                f'{exchange or self.id()}\n'
            ),
        }

    def refusal(self, *arguments, conf=None, **words):
        asked = GuestQueues(conf or self.taskmanager(), TIMEOUT)
        return asked.refusal(INSTANCE, self.files(*arguments, **words))

    def test_the_options_of_the_running_guest_are_accepted(self):
        for rabbit in (
            {},
            {'amqp_durable_queues': True},
            {'rabbit_quorum_queue': True, 'rabbit_quorum_delivery_limit': 3},
        ):
            with self.subTest(rabbit=rabbit):
                self.listen_as_guest(**rabbit)
                text = ''.join(f'{name} = {value}\n' for name, value in rabbit.items())
                self.assertIsNone(self.refusal(text))
                self.doCleanups()

    def test_what_the_user_data_lacks_is_named(self):
        self.listen_as_guest(rabbit_quorum_queue=True)
        found = self.refusal()
        self.assertIn(f'exchange {self.id()} (durable False', found)
        self.assertIn("inequivalent arg 'durable'", found)

    def test_a_guest_that_is_quorum_later_finds_its_own_former_queue(self):
        self.listen_as_guest(amqp_durable_queues=True)
        found = self.refusal('rabbit_quorum_queue = true')
        self.assertIn(f'queue {self.prefix}{INSTANCE} (durable True', found)
        self.assertIn("inequivalent arg 'x-queue-type'", found)
        self.assertIn(
            "inequivalent arg 'x-queue-type'",
            self.refusal(url=f'{self.broker.url}?rabbit_quorum_queue=true'),
        )

    def test_another_limit_of_a_quorum_queue_is_another_argument(self):
        self.listen_as_guest(rabbit_quorum_queue=True)
        self.assertIn(
            'x-delivery-limit',
            self.refusal('rabbit_quorum_queue = true\nrabbit_quorum_delivery_limit = 3'),
        )

    def test_durable_falls_back_as_an_agent_does_and_quorum_cannot(self):
        self.listen_as_guest()
        self.assertIsNone(self.refusal('amqp_durable_queues = true'))
        self.assertIn("inequivalent arg 'durable'", self.refusal('rabbit_quorum_queue = true'))

    def test_nothing_is_made_for_a_guest_that_does_not_listen(self):
        self.assertIsNone(self.refusal('rabbit_quorum_queue = true'))
        self.assertEqual([], [name for name in self.queues_at_the_broker() if self.id() in name])
        exchanges = self.broker.rabbitmqctl(
            'list_exchanges', '-p', 'trove', '--no-table-headers', 'name'
        )
        self.assertNotIn(self.id(), exchanges)

    def test_a_guest_that_would_listen_elsewhere_is_named(self):
        self.assertIn(
            'virtual host "other"', self.refusal(url=f'{self.broker.url.rpartition("/")[0]}/other')
        )
        self.assertIn('rpc_exchange is "elsewhere"', self.refusal(exchange='elsewhere'))

    def test_what_cannot_be_known_refuses_nothing(self):
        self.listen_as_guest(rabbit_quorum_queue=True)
        conf = self.taskmanager()
        self.assertIsNone(GuestQueues(conf, TIMEOUT).refusal(INSTANCE, {}))
        self.assertIsNone(
            GuestQueues(conf, TIMEOUT).refusal(INSTANCE, {'trove-guestagent.conf': 'junk\n'})
        )
        for url in (self.without_rights(), 'rabbit://u:p@127.0.0.1:1/trove'):
            self.assertIsNone(self.refusal(conf=self.taskmanager(url)))
        self.assertIsNone(self.refusal(url='fake:///trove'))
