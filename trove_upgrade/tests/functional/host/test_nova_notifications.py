# SPDX-License-Identifier: Apache-2.0
"""Notifications as Nova sends them, by a real broker, and the taskmanager that they nudge."""

import queue
import threading

import oslo_messaging

from trove_upgrade.rpc import nova_notifications, place, queues, transport
from trove_upgrade.rpc.listener import Listener
from trove_upgrade.tests.functional.host.broker_case import BrokerCase

SERVER = '11111111-1111-4111-8111-111111111111'
UNVERSIONED = 'compute.instance.rebuild.end', {'instance_id': SERVER, 'state': 'active'}
VERSIONED = (
    'instance.rebuild.end',
    {'nova_object.name': 'InstanceActionRebuildPayload', 'nova_object.data': {'uuid': SERVER}},
)
FLOOD = 2000


class Heard:
    """An endpoint of Ceilometer, or of another listener to Nova; of a taskmanager's RPC as well."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self):
        self.types, self.beat = queue.Queue(), threading.Event()

    def info(self, _context, _publisher, event_type, _payload, _metadata):
        self.types.put(event_type)

    def heartbeat(self, _context, heartbeat):
        self.beat.set()


class TestNovaNotifications(BrokerCase):
    def setUp(self):
        super().setUp()
        self.topic = f'{self.id()}-nova'
        self.taskmanager = self.conf(
            nova_notifications_topics=[self.topic], nova_notifications_exchange=self.topic
        )
        self.told = queue.Queue()
        self.addCleanup(self.broker_forgets)
        self.notifier = self.nova(self.broker.url, self.topic)

    def nova(self, url, exchange):
        """Nova's side of its notifications."""
        conf = self.conf()
        conf.set_override('control_exchange', exchange)
        sending = oslo_messaging.get_notification_transport(conf, url=url)
        self.addCleanup(sending.cleanup)
        return oslo_messaging.Notifier(
            sending, 'compute.host', driver='messagingv2', topics=[self.topic]
        )

    def broker_forgets(self):
        names = [queues.of_nova(self.id()), f'{self.topic}.info', f'{self.topic}.error']
        queues.remove(self.taskmanager, names, 10)

    def own_queue(self):
        return queues.find(self.taskmanager, [queues.of_nova(self.id())], 10)

    def listens(self):
        [listener] = nova_notifications.listeners(self.taskmanager, self.id(), self.told.put)
        listener.start()
        self.addCleanup(listener.leave)
        self.addCleanup(listener.stop)
        self.wait_until(
            lambda: any(one.consumers for one in self.own_queue()), 'the consumer of the queue'
        )
        return listener

    def sends(self, event_type, payload, priority='info'):
        getattr(self.notifier, priority)({}, event_type, payload)

    def test_of_either_form_name_the_server_whose_rebuild_has_ended(self):
        self.listens()
        for notification in (UNVERSIONED, VERSIONED):
            self.sends(*notification)
            self.assertEqual(SERVER, self.told.get(timeout=30))
        self.sends('compute.instance.rebuild.error', UNVERSIONED[1], 'error')
        self.assertEqual(SERVER, self.told.get(timeout=30))

    def test_of_anything_else_or_of_another_form_name_none(self):
        self.listens()
        for payload in ('text', ['x'], {}, {'instance_id': 7}, {'instance_id': 'x' * 10_000}):
            self.sends(UNVERSIONED[0], payload)
        self.sends(VERSIONED[0], {'nova_object.data': {'uuid': ['x']}})
        self.sends('compute.instance.delete.end', {'instance_id': 'other'})
        self.sends('compute.instance.rebuild.start', {'instance_id': 'other'})
        self.sends(*UNVERSIONED)
        self.assertEqual(SERVER, self.told.get(timeout=30))
        self.assertTrue(self.told.empty())

    def test_reach_others_that_listen_to_nova_as_well(self):
        others = Heard()
        listening = oslo_messaging.get_notification_transport(self.taskmanager)
        self.addCleanup(listening.cleanup)
        theirs = oslo_messaging.get_notification_listener(
            listening,
            [oslo_messaging.Target(exchange=self.topic, topic=self.topic)],
            [others],
            executor='threading',
        )
        theirs.start()
        self.addCleanup(theirs.wait)
        self.addCleanup(theirs.stop)
        self.listens()
        for _ in range(3):
            self.sends(*UNVERSIONED)
        for _ in range(3):
            self.assertEqual(UNVERSIONED[0], others.types.get(timeout=30))
            self.assertEqual(SERVER, self.told.get(timeout=30))

    def test_leave_no_queue_at_the_broker_once_the_taskmanager_has_ended(self):
        listener = self.listens()
        listener.stop()
        listener.leave()
        self.assertEqual([], self.own_queue())
        self.sends(*UNVERSIONED)
        self.assertEqual([], self.own_queue())

    def test_are_heard_where_nova_s_exchange_is_durable_and_the_url_tells_it(self):
        durable = '?amqp_durable_queues=true'
        self.notifier = self.nova(self.broker.url + durable, f'{self.topic}-durable')
        self.sends(*UNVERSIONED)  # it makes the exchange
        conf = self.taskmanager
        for name, value in {
            'exchange': f'{self.topic}-durable',
            'transport_url': self.broker.url + durable,
        }.items():
            conf.set_override(f'nova_notifications_{name}', value, 'trove_upgrade')
        listener = self.listens()
        self.sends(*UNVERSIONED)
        self.assertEqual(SERVER, self.told.get(timeout=30))
        listener.stop()
        listener.leave()
        self.assertEqual([], self.own_queue())

    def test_in_a_flood_hold_up_no_heartbeat(self):
        self.listens()
        endpoint = Heard()
        beats = Listener.of_rpc(self.taskmanager, place.SERVICES, 'host-1', endpoint)
        beats.start()
        self.addCleanup(beats.leave)
        self.addCleanup(beats.stop)
        for number in range(FLOOD):
            self.sends(UNVERSIONED[0], {'instance_id': f'server-{number}'})
        self.wait_until(
            lambda: any(one.consumers for one in queues.find(self.taskmanager, [self.id()], 10)),
            'the consumer of heartbeats',
        )
        self.send(self.taskmanager)
        self.assertTrue(endpoint.beat.wait(30))
        for _ in range(FLOOD):
            self.told.get(timeout=30)

    def test_are_listened_to_only_where_a_topic_is_named(self):
        self.assertEqual([], nova_notifications.listeners(self.conf(), 'h', self.told.put))

    def test_from_a_place_that_cannot_be_understood_name_the_option_and_no_password(self):
        conf = self.conf(
            nova_notifications_topics=['x'],
            nova_notifications_transport_url='nonsense://u:s3cret-XYZ@h/',
        )
        error = self.assertRaises(
            transport.TransportInvalid, nova_notifications.listeners, conf, 'h', self.told.put
        )
        self.assertIn('nova_notifications_transport_url', error.message)
        self.assertNotIn('s3cret-XYZ', error.message)
