# SPDX-License-Identifier: Apache-2.0
"""Guests apart at a real broker, by the commands of the operator's page: what an account of one
guest can do to others.
"""

import contextlib
import datetime
import io
import pathlib
import re
import threading
from urllib import parse

import amqp.exceptions
import fixtures
import oslo_messaging
from kombu import connection as kombu_connection

from trove_upgrade.cmd import manage
from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.rpc import guestagent, place, queues, serializer, taskmanager, transport
from trove_upgrade.rpc.guest_queues import GuestQueues
from trove_upgrade.rpc.listener import Listener
from trove_upgrade.tests.functional.host import broker_case

A = '0aaaaaaa-0000-4000-8000-000000000001'
B = '0aaaaaaa-0000-4000-8000-000000000002'
VIRTUAL_HOST = 'trove-guests'
EXCHANGE = 'trove-upgrade'
TOPIC = 'trove-upgrade-taskmanager'
PASSWORD = 's3cret-XYZ'
TIMEOUT = 10
PAGE = 'broker.rst'


class Agent:
    """The endpoint of a guest."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self, name):
        self._name = name

    def check_upgrade(self, _context, **_call):
        return guests.GuestAnswer(
            state=guests.JobState.DONE,
            message=self._name,
            boot_id='b1',
            server_state=guests.ServerState.RUNNING,
            agent_version='1.0',
        ).to_wire()


class Heard:
    """The endpoint of a taskmanager."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self):
        self.from_instances = set()
        self.came = threading.Event()

    def heartbeat(self, _context, heartbeat):
        self.from_instances.add(heartbeat['instance_id'])
        self.came.set()


def topic(instance):
    return f'guestagent.{instance}'


class GuestAccountsTest(broker_case.BrokerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        once, cls.each, cls.at_its_end, cls.anew = broker_case.page_blocks(PAGE, 'rabbitmqctl')
        cls.broker.shell(f'set -e\n{once}')
        for instance in (A, B):
            cls.broker.shell(f'set -e\nINSTANCE={instance}\nPASSWORD={PASSWORD}\n{cls.each}')

    def url(self, instance=None, virtual_host=VIRTUAL_HOST):
        """Of the services' account, or of a guest's."""
        found = parse.urlsplit(self.broker.url)
        if instance:
            account = f'guest-{instance}:{PASSWORD}@{found.hostname}:{found.port}'
            found = found._replace(netloc=account)
        return found._replace(path=f'/{virtual_host}').geturl()

    def configured(self, url, guest_url, **options):
        return broker_case.configured(
            url,
            TOPIC,
            rpc_exchange=EXCHANGE,
            guest_transport_url=guest_url,
            **{'guest_call_timeout': 2.0, **options},
        )

    def taskmanager(self, **options):
        """A taskmanager's configuration."""
        return self.configured(self.broker.url, self.url(), **options)

    def serve(self, host='host-1'):
        """(configuration, what it hears) of a taskmanager that listens."""
        conf, endpoint = self.taskmanager(), Heard()
        places = place.of_taskmanagers(conf)
        listeners = [Listener.of_rpc(conf, at, host, endpoint) for at in places]
        for listener in listeners:
            listener.start()
            self.addCleanup(listener.leave)
        for listener in listeners:
            self.addCleanup(listener.stop)
        for at in places:
            self.wait_until(lambda at=at: self.has_consumer(conf, TOPIC, at), at.option)
        return conf, endpoint

    def listen(self, instance, url=None, name='its answer'):
        """An agent that listens, with its account unless another URL is given; returns its
        configuration.
        """
        conf = self.configured('rabbit://u:p@127.0.0.1:1/', url or self.url(instance))
        rpc_transport = transport.get_guest_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        server = transport.get_server(
            rpc_transport, transport.guest_target(conf, instance), [Agent(name)]
        )
        server.start()
        self.addCleanup(self.end, server)
        return conf, server

    def has_consumer(self, conf, queue, at):
        found = queues.find(conf, [queue], TIMEOUT, at)
        return bool(found and found[0].consumers)

    def leave(self, server, virtual_host):
        """Its queues go too."""
        self.end(server)
        for queue in (topic(B), f'{topic(B)}.{topic(B)}'):
            self.broker.rabbitmqctl('delete_queue', '-p', virtual_host, queue)

    def beat(self, conf, instance):
        rpc_transport = transport.get_guest_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport).heartbeat(
            serializer.service_context(),
            guests.Heartbeat(
                instance_id=instance,
                boot_id='b1',
                marker='u1:1',
                restored=False,
                agent_version='1.0',
                server_version=None,
                server_state=guests.ServerState.STOPPED,
            ),
        )

    def call(self, instance):
        return guests.GuestCall(
            instance_id=instance,
            upgrade_id='u1',
            attempt=1,
            generation=1,
            deadline=datetime.datetime.now(datetime.UTC),
            target=TargetFacts(),
        )

    def asked(self, conf, instance):
        return guestagent.GuestAgentAPI.from_conf(conf).check_upgrade(self.call(instance)).message

    def as_a(self):
        """A connection with the account of guest A, as a program of its root has it."""
        connection = kombu_connection.Connection(self.url(A).replace('rabbit://', 'amqp://'))
        self.addCleanup(connection.release)
        return connection

    def assert_refused(self, what, do):
        """`do` is handed a channel in which each message is confirmed."""
        connection = self.as_a()
        channel = connection.channel()
        with self.subTest(what):
            self.assertRaises(amqp.exceptions.AccessRefused, do, channel)
        connection.release()

    def test_its_own_calls_answers_and_heartbeats_pass(self):
        services, endpoint = self.serve()
        conf, _ = self.listen(A)
        self.listen(B, name='of B')
        self.assertEqual('its answer', self.asked(services, A))
        self.assertEqual('of B', self.asked(services, B))
        self.beat(conf, A)
        self.assertTrue(endpoint.came.wait(30))
        self.assertEqual({A}, endpoint.from_instances)

    def test_no_queue_of_another_guest_or_of_the_taskmanagers_is_read_emptied_deleted_or_bound(
        self,
    ):
        self.serve()
        self.listen(A)
        self.listen(B)
        for other in (topic(B), f'{topic(B)}.{topic(B)}', TOPIC, f'{TOPIC}.host-1'):
            self.assert_refused(f'get {other}', lambda c, q=other: c.basic_get(q))
            self.assert_refused(f'consume {other}', lambda c, q=other: c.basic_consume(q))
            self.assert_refused(f'purge {other}', lambda c, q=other: c.queue_purge(q))
            self.assert_refused(f'delete {other}', lambda c, q=other: c.queue_delete(q))
            self.assert_refused(
                f'bind {other}', lambda c, q=other: c.queue_bind(q, EXCHANGE, topic(A))
            )
            self.assert_refused(
                f'unbind {other}', lambda c, q=other: c.queue_unbind(q, EXCHANGE, q)
            )
        for key in (
            topic(B),
            f'{topic(B)}.{topic(B)}',
            TOPIC,
            '#',
            '*.*',
            'guestagent.*',
            f'{topic(A)}.#',
        ):
            self.assert_refused(
                f'listen to {key}', lambda c, key=key: c.queue_bind(topic(A), EXCHANGE, key)
            )

    def test_nothing_of_another_name_is_made(self):
        self.listen(A)
        self.listen(B)
        for name in (
            'other',
            'reply_1',
            f'{topic(B)}_fanout_1',
            f'{topic(A)}x',
            f'{TOPIC}.x',
            f'x{topic(A)}',
        ):
            self.assert_refused(f'queue {name}', lambda c, name=name: c.queue_declare(name))
        for name in ('other', 'trove', f'{topic(B)}_fanout', f'{TOPIC}_fanout', f'{EXCHANGE}-2'):
            self.assert_refused(
                f'exchange {name}', lambda c, name=name: c.exchange_declare(name, 'fanout')
            )
        self.assert_refused('delete a fanout', lambda c: c.exchange_delete(f'{topic(B)}_fanout'))
        self.assert_refused('a queue that the broker names', lambda c: c.queue_declare(''))

    def test_nothing_is_published_to_the_topic_of_another_guest(self):
        self.listen(A)
        self.listen(B)
        for exchange, key in (
            (EXCHANGE, topic(B)),
            (EXCHANGE, f'{topic(B)}.{topic(B)}'),
            (f'{topic(B)}_fanout', ''),
            ('amq.topic', topic(B)),
            ('amq.direct', topic(B)),
        ):
            self.assert_refused(
                f'{exchange} {key}', lambda c, to=exchange, key=key: publish(c, to, key)
            )

    def test_it_is_not_let_in_where_the_services_are(self):
        for virtual_host in ('trove', '%2F'):
            url = self.url(A, virtual_host).replace('rabbit://', 'amqp://')
            with kombu_connection.Connection(url) as connection:
                self.assertRaises(amqp.exceptions.NotAllowed, connection.connect)

    def test_connections_and_channels_end_at_their_limits(self):
        open_ones = []
        with contextlib.suppress(amqp.exceptions.NotAllowed):
            for _ in range(30):
                connection = self.as_a()
                connection.connect()
                open_ones.append(connection)
        self.assertEqual(10, len(open_ones))
        opened = 0
        with contextlib.suppress(amqp.exceptions.NotAllowed):
            for opened in range(300):
                open_ones[opened % 10].channel()
        self.assertEqual(100, opened)

    def test_an_agent_holds_half_of_its_connections_at_most(self):
        services, endpoint = self.serve()
        conf, _ = self.listen(A)
        self.assertEqual('its answer', self.asked(services, A))
        self.beat(conf, A)
        self.assertTrue(endpoint.came.wait(30))
        users = self.broker.rabbitmqctl('list_connections', '--no-table-headers', 'user').split()
        self.assertLessEqual(1, users.count(f'guest-{A}'))
        self.assertLessEqual(users.count(f'guest-{A}'), 5)

    def test_a_queue_takes_no_more_than_its_length(self):
        _, server = self.listen(B)
        self.end(server)
        channel = self.as_a().channel()
        for _ in range(250):
            publish(channel, '', topic(B))
        self.assertEqual(200, self.waiting(topic(B)))

    def waiting(self, queue):
        conf = self.taskmanager()
        return queues.find(conf, [queue], TIMEOUT, place.of_guests(conf))[0].messages

    def test_what_is_left_is_a_queue_whose_name_it_knows(self):
        conf, _ = self.serve()
        _, server = self.listen(B)
        self.end(server)
        self.broker.rabbitmqctl('purge_queue', '-p', VIRTUAL_HOST, topic(B))
        channel = self.as_a().channel()
        publish(channel, '', topic(B))
        self.assertEqual(1, self.waiting(topic(B)))
        self.assertEqual(1, channel.queue_declare(topic(B), passive=True).message_count)
        self.assertTrue(self.has_consumer(conf, TOPIC, place.of_guests(conf)))

    def test_what_is_left_is_the_exchange_until_all_connect_anew(self):
        services, endpoint = self.serve()
        conf, _ = self.listen(B)
        self.assertEqual('its answer', self.asked(services, B))
        self.as_a().channel().exchange_delete(EXCHANGE)
        self.assertRaises(exceptions.GuestUnavailable, self.asked, services, B)
        self.broker.shell(self.anew)
        self.wait_until(lambda: self.is_heard(services, B), 'its answer')
        self.beat(conf, B)
        self.assertTrue(endpoint.came.wait(30))

    def is_heard(self, services, instance):
        with contextlib.suppress(exceptions.GuestUnavailable, exceptions.GuestNotAsked):
            return bool(self.asked(services, instance))
        return False

    def test_the_account_of_a_deleted_instance_is_let_in_no_more(self):
        gone = '0aaaaaaa-0000-4000-8000-000000000003'
        self.broker.shell(f'set -e\nINSTANCE={gone}\nPASSWORD={PASSWORD}\n{self.each}')
        url = self.url(gone).replace('rabbit://', 'amqp://')
        with kombu_connection.Connection(url) as connection:
            connection.connect()
        self.broker.shell(f'set -e\nINSTANCE={gone}\n{self.at_its_end}')
        with kombu_connection.Connection(url) as connection:
            self.assertRaises(amqp.exceptions.AccessRefused, connection.connect)

    def test_a_guest_that_has_not_changed_over_is_called_where_it_listens(self):
        services, _ = self.serve()
        api = guestagent.GuestAgentAPI.from_conf(services)
        _, server = self.listen(B, self.broker.url, 'as before')
        self.assertEqual('as before', api.check_upgrade(self.call(B)).message)
        self.leave(server, 'trove')
        _, server = self.listen(B, name='changed over')
        self.assertEqual('changed over', api.check_upgrade(self.call(B)).message)
        self.end(server)  # its queues stay, as those of a guest that Nova has rebuilt
        self.listen(B, self.broker.url, 'rolled back')
        self.assertRaises(exceptions.GuestUnavailable, api.check_upgrade, self.call(B))
        for _ in range(2):
            self.assertEqual('rolled back', api.check_upgrade(self.call(B)).message)

    def test_heartbeats_are_heard_at_both_places(self):
        _, endpoint = self.serve()
        for url, instance in ((self.broker.url, B), (self.url(A), A)):
            endpoint.came.clear()
            self.beat(self.configured('rabbit://u:p@127.0.0.1:1/', url), instance)
            self.assertTrue(endpoint.came.wait(30), url)
        self.assertEqual({A, B}, endpoint.from_instances)

    def test_a_taskmanager_that_ends_takes_its_queue_at_both_places(self):
        conf = self.taskmanager()
        for at in place.of_taskmanagers(conf):
            listener = Listener.of_rpc(conf, at, 'host-2', Heard())
            listener.start()
            own = f'{TOPIC}.host-2'
            self.wait_until(lambda at=at, own=own: self.has_consumer(conf, own, at), at.option)
            listener.stop()
            listener.leave()
            self.assertEqual([], queues.find(conf, [own], TIMEOUT, at))
            self.assertEqual(1, len(queues.find(conf, [TOPIC], TIMEOUT, at)))

    def test_the_question_about_a_rebuilt_guest_goes_to_its_virtual_host(self):
        _, server = self.listen(B)
        self.end(server)
        durable = (
            f'[trove_upgrade]\nguest_transport_url = {self.url(B)}\n'
            '[oslo_messaging_rabbit]\namqp_durable_queues = true\nrabbit_quorum_queue = {quorum}\n'
        )
        asked = GuestQueues(self.taskmanager(), TIMEOUT)
        self.assertIsNone(asked.refusal(B, {'a.conf': durable.format(quorum='false')}))
        found = asked.refusal(B, {'a.conf': durable.format(quorum='true')})
        self.assertIn(f'exchange {EXCHANGE} (durable True', found)
        for url in (self.url(B, 'other'), self.url(B, '')):
            found = asked.refusal(B, {'a.conf': f'[trove_upgrade]\nguest_transport_url = {url}\n'})
            self.assertIn('its guest_transport_url names the virtual host', found)
            self.assertNotIn(PASSWORD, found)

    def test_an_operator_sees_and_deletes_the_queues_of_both_places(self):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove.conf')
        path.write_text(
            f'[DEFAULT]\ntransport_url = {self.broker.url}\n[database]\nconnection = sqlite://\n'
            f'[trove_upgrade]\nguest_transport_url = {self.url()}\n'
        )
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = manage.main(['--config-file', str(path), 'queue', 'list', '--host', 'host-1'])
        self.assertEqual(0, code)
        for option in ('[DEFAULT] transport_url', '[trove_upgrade] guest_transport_url'):
            self.assertRegex(out.getvalue(), rf'(?m)^{re.escape(option)} +{TOPIC} ')
        with contextlib.redirect_stdout(out):
            self.assertEqual(
                0, manage.main(['--config-file', str(path), 'queue', 'remove', '--host', 'host-1'])
            )
        conf = self.taskmanager()
        for at in place.of_taskmanagers(conf):
            self.assertEqual([], queues.find(conf, [TOPIC, f'{TOPIC}.host-1'], TIMEOUT, at))


def publish(channel, exchange, key):
    """Wait until the broker has taken or refused it."""
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message('x'), exchange=exchange, routing_key=key)
