# SPDX-License-Identifier: Apache-2.0
"""RPC clients and servers on oslo.messaging's driver in memory, and beside a broker that is
down.
"""

import datetime
import json
import socket
import threading
import time

import fixtures
import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_messaging._drivers import common as oslo_common

from trove_upgrade import conf as our_conf
from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.events import OutboxEvent
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.rpc import guestagent, notifier, serializer, taskmanager, transport
from trove_upgrade.sealing import envelope
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.unit import base, database

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
CALL = guests.GuestCall(
    instance_id='i1',
    upgrade_id='u1',
    attempt=1,
    generation=2,
    deadline=NOW,
    target=TargetFacts(server_version='11.8.6'),
)
ANSWER = guests.GuestAnswer(
    state=guests.JobState.DONE,
    message='done',
    boot_id='boot',
    server_state=guests.ServerState.RUNNING,
    agent_version='1.0',
)
BEAT = guests.Heartbeat(
    instance_id='i1',
    boot_id='b1',
    marker='u1:1',
    restored=False,
    agent_version='1.0',
    server_version=None,
    server_state=guests.ServerState.STOPPED,
)


def configuration(url, **options):
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    conf(args=[])
    transport.get_transport(conf)
    conf.set_override('transport_url', url)
    for name, value in options.items():
        conf.set_override(name, value, 'trove_upgrade')
    return conf


def unused_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


class _Endpoint:
    target = oslo_messaging.Target(version='1.1')

    def __init__(self, answer):
        self.answer, self.calls = answer, []

    def pre_upgrade(self, context, **arguments):
        self.calls.append((context, arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class _OldEndpoint:
    target = oslo_messaging.Target(version='1.0')

    def __init__(self):
        self.calls = []

    def pre_upgrade(self, context):
        self.calls.append('pre_upgrade')
        return {'stash': 'stash-s'}

    def post_upgrade(self, context, upgrade_info):
        self.calls.append(upgrade_info)


class _Remote:
    """oslo.messaging's client: answers in turn."""

    def __init__(self, answers):
        self.answers = list(answers)

    def prepare(self, **target):
        return self

    def call(self, context, method, **arguments):
        answer = self.answers.pop(0)
        if isinstance(answer, _Failure):
            raise oslo_common.deserialize_remote_exception(json.dumps(answer.wire), [])
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Failure:
    """What a guest sends in the place of an answer."""

    def __init__(self, wire):
        self.wire = wire


class TestGuestAgentAPI(base.TestCase):
    def serve(self, endpoint, prefix='guestagent.'):
        conf = configuration(f'fake://{self.id()}', guest_call_timeout=5, guest_topic_prefix=prefix)
        shared = transport.get_transport(conf)
        server = transport.get_server(shared, transport.guest_target(conf, 'i1'), [endpoint])
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        return guestagent.GuestAgentAPI.from_conf(conf, shared)

    def test_a_call_and_its_answer_travel_whole(self):
        endpoint = _Endpoint(ANSWER.to_wire())
        self.assertEqual(ANSWER, self.serve(endpoint).pre_upgrade(CALL))
        context, arguments = endpoint.calls[0]
        self.assertEqual(CALL, guests.GuestCall.from_wire(arguments))
        self.assertIsInstance(context, oslo_context.RequestContext)

    def test_beside_troves_agent_the_topic_is_another(self):
        self.assertEqual(
            ANSWER,
            self.serve(_Endpoint(ANSWER.to_wire()), 'trove-upgrade-guest.').pre_upgrade(CALL),
        )

    def test_an_agent_of_1_0_is_asked_in_its_own_way(self):
        endpoint = _OldEndpoint()
        api = self.serve(endpoint)
        self.assertEqual({'stash': 'stash-s'}, api.pre_upgrade(CALL).result['upgrade_info'])
        self.assertTrue(api.post_upgrade(CALL).server_started_on_data)
        self.assertEqual(['pre_upgrade', {}], endpoint.calls)
        self.assertEqual(
            (guests.JobState.REFUSED, 'GUEST_AGENT_TOO_OLD'),
            (api.check_upgrade(CALL).state, api.check_upgrade(CALL).code),
        )
        self.assertEqual(guests.JobState.FAILED, api.abort_upgrade(CALL).state)
        self.assertEqual(guests.JobState.DONE, api.finish_upgrade(CALL).state)
        self.assertEqual(guests.JobState.FAILED, api.verify_upgrade(CALL).state)

    def over_a_broker(self, *answers):
        """On a real broker an error comes as RemoteError, whatever it was there."""
        return guestagent.GuestAgentAPI(
            _Remote(answers), topic_prefix='guestagent.', timeout_seconds=1
        )

    def test_an_agent_that_breaks_has_failed(self):
        answer = self.over_a_broker(oslo_messaging.RemoteError('RuntimeError', 'boom')).pre_upgrade(
            CALL
        )
        self.assertEqual((guests.JobState.FAILED, 'GUEST_AGENT_ERROR'), (answer.state, answer.code))
        self.assertIn('boom', answer.message)

    def test_the_place_where_an_agent_breaks_is_named(self):
        lines = [
            'Traceback (most recent call last):\n',
            '  File "/opt/agent/server.py", line 7, in dispatch\n    call()\n',
            '  File "/opt/agent/job.py", line 42, in run\n    raise error\n',
            'RuntimeError: boom\n',
        ]
        answer = self.over_a_broker(
            oslo_messaging.RemoteError('RuntimeError', 'boom', lines)
        ).pre_upgrade(CALL)
        self.assertIn(
            'could not carry out pre_upgrade: RuntimeError at /opt/agent/job.py:42 (run): boom. ',
            answer.message,
        )

    def test_an_agent_of_1_0_behind_a_broker_is_asked_in_its_own_way(self):
        answer = self.over_a_broker(
            oslo_messaging.RemoteError('UnsupportedVersion', 'x'), {'stash': 'stash-s'}
        ).pre_upgrade(CALL)
        self.assertEqual({'upgrade_info': {'stash': 'stash-s'}}, answer.result)

    def test_whatever_an_answer_makes_the_library_raise_has_failed_in_one_line(self):
        """A guest names the exception: any of Python's own, one that cannot be made, or nothing
        that is one.
        """
        words = 'forged\n2026 ERROR\x1b[2J' * 10_000
        named = [
            {'class': name, 'module': 'builtins', 'message': words, 'args': [words]}
            for name in (
                'RuntimeError',
                'MemoryError',
                'StopIteration',
                'AssertionError',
                'ExceptionGroup',
                'UnicodeDecodeError',
                'SystemExit',
                'Warning',
                'print',
            )
        ]
        for failure in (
            [],
            'x',
            5,
            None,
            {},
            {'class': ['x'], 'module': 'm', 'message': words},
            {'class': words, 'module': 'm', 'message': [words]},
            {'class': 'X', 'module': 'm', 'message': words, 'tb': [words]},
            {'class': 'X', 'module': 'm', 'tb': [5]},
            *named,
        ):
            for before in ((), (oslo_messaging.RemoteError('UnsupportedVersion', 'x'),)):
                answer = self.over_a_broker(*before, _Failure(failure)).pre_upgrade(CALL)
                self.assertEqual(
                    (guests.JobState.FAILED, 'GUEST_AGENT_ERROR'),
                    (answer.state, answer.code),
                    failure,
                )
                self.assertTrue(answer.message.isprintable())
                self.assertLess(len(answer.message), 5000)

    def test_an_agent_that_knows_neither_version_has_failed(self):
        for error in (
            oslo_messaging.UnsupportedVersion('1.0'),
            oslo_messaging.RemoteError('UnsupportedVersion', 'x'),
        ):
            answer = self.over_a_broker(error, error).post_upgrade(CALL)
            self.assertEqual(
                (guests.JobState.FAILED, 'GUEST_AGENT_ERROR'), (answer.state, answer.code)
            )

    def test_an_answer_of_another_form_has_failed(self):
        self.assertEqual(
            'GUEST_AGENT_ERROR', self.serve(_Endpoint({'state': 'DONE'})).pre_upgrade(CALL).code
        )

    def test_a_silent_guest_is_unavailable(self):
        conf = configuration('fake://silent', guest_call_timeout=0.5)
        error = self.assertRaises(
            exceptions.GuestUnavailable, guestagent.GuestAgentAPI.from_conf(conf).pre_upgrade, CALL
        )
        self.assertEqual('GUEST_UNAVAILABLE', error.code)

    def test_a_broker_that_is_down_does_not_hang_the_first_call(self):
        conf = configuration(f'rabbit://u:p@127.0.0.1:{unused_port()}/')
        started = time.monotonic()
        self.assertRaises(
            exceptions.GuestNotAsked, guestagent.GuestAgentAPI.from_conf(conf).pre_upgrade, CALL
        )
        self.assertLess(time.monotonic() - started, 10)


class _Client:
    """oslo.messaging's client: keeps casts, or raises."""

    def __init__(self, *, newest='1.1', error=None):
        self.newest, self.error, self.casts = newest, error, []
        self.version = None
        self.sent = threading.Event()

    def can_send_version(self, version):
        return version <= self.newest

    def prepare(self, version, version_cap='unset'):
        self.version = version
        return self

    def cast(self, context, method, **arguments):
        self.sent.set()
        if self.error is not None:
            raise self.error
        self.casts.append((self.version, method, arguments))


class TestTaskManagerAPI(base.TestCase):
    def setUp(self):
        super().setUp()
        self.row = self.useFixture(database.SampleDatabase()).begin()
        self.context = serializer.service_context()

    def nudge(self, client):
        taskmanager.TaskManagerAPI(client, taskmanager.Nudger(10)).upgrade(self.context, self.row)
        self.assertTrue(client.sent.wait(10))

    def test_a_nudge_names_the_row(self):
        client = _Client()
        self.nudge(client)
        self.assertEqual('1.1', client.version)

    def test_an_older_taskmanager_is_nudged_in_its_own_way(self):
        client = _Client(newest='1.0')
        self.nudge(client)
        self.assertEqual('1.0', client.version)

    def test_a_lost_nudge_raises_nothing_and_warns_once(self):
        log = self.useFixture(fixtures.FakeLogger('trove_upgrade.rpc.taskmanager'))
        client = _Client(error=oslo_messaging.MessageDeliveryFailure('down'))
        nudger = taskmanager.Nudger(10)
        taskmanager.TaskManagerAPI(client, nudger).check(self.context, 'c1')
        after = threading.Event()
        nudger.submit('another', after.set)
        self.assertTrue(after.wait(10), 'the thread lives on')
        self.assertEqual(1, log.output.count('was not sent'))

    def test_a_full_queue_drops_and_does_not_block(self):
        log = self.useFixture(fixtures.FakeLogger('trove_upgrade.rpc.taskmanager'))
        go_on, begun = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        nudger = taskmanager.Nudger(1)
        nudger.submit('stuck', lambda: (begun.set(), go_on.wait(10)))
        begun.wait(10)
        nudger.submit('waits', lambda: None)
        nudger.submit('dropped', lambda: None)
        self.assertIn('dropped', log.output)

    def test_a_broker_that_is_down_neither_fails_nor_delays(self):
        api = taskmanager.TaskManagerAPI.from_conf(
            configuration(f'rabbit://u:p@127.0.0.1:{unused_port()}/')
        )
        started = time.monotonic()
        api.upgrade(self.context, self.row)
        self.assertLess(time.monotonic() - started, 1)
        self.assertRaises(exceptions.MessagingUnavailable, api.heartbeat, self.context, BEAT)

    def test_a_heartbeat_arrives_as_it_was(self):
        client = _Client()
        taskmanager.TaskManagerAPI(client, taskmanager.Nudger(1)).heartbeat(self.context, BEAT)
        self.assertEqual(BEAT, guests.Heartbeat.from_wire(client.casts[0][2]['heartbeat']))

    def test_a_cap_of_the_apis_holds_no_sealed_heartbeat_back(self):
        conf = configuration('fake://capped', taskmanager_rpc_version_cap='1.1')
        api = taskmanager.TaskManagerAPI.from_conf(conf, transport.get_transport(conf))
        api.sealed(
            self.context, envelope.seal(GuestKey.new('i1'), MessageDirection.TO_TASKMANAGER, b'{}')
        )


class TestSerializer(base.TestCase):
    def test_no_token_travels(self):
        context = oslo_context.RequestContext(
            auth_token='secret', user_id='u', project_id='p', request_id='req-1', overwrite=False
        )
        wire = serializer.RequestContextSerializer().serialize_context(context)
        self.assertNotIn('secret', str(wire))
        back = serializer.RequestContextSerializer().deserialize_context(wire)
        self.assertEqual(('u', 'p', 'req-1'), (back.user_id, back.project_id, back.request_id))

    def test_a_messages_context_is_not_the_threads(self):
        seen = []

        def work():
            serializer.service_context('req-2')
            serializer.RequestContextSerializer().deserialize_context({'request_id': 'req-3'})
            seen.append(oslo_context.get_current())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        self.assertEqual([None], seen)


class _Transport:
    """A notification transport that keeps what is sent, or raises."""

    def __init__(self, error=None):
        self.error, self.sent = error, []

    def _send_notification(self, target, context, message, version, retry):
        if self.error is not None:
            raise self.error
        self.sent.append((target.topic, message, version, retry))


class TestNotifier(base.TestCase):
    def setUp(self):
        super().setUp()
        self.event = OutboxEvent(
            id='e1',
            upgrade_id='u1',
            kind='error',
            attempt=2,
            payload={'upgrade_id': 'u1', 'request_id': 'req-1'},
            created_at=NOW,
        )

    def make(self, sink, drivers=('messagingv2',)):
        return notifier.MessagingNotifier(
            sink, publisher_id='p', drivers=drivers, topics=['a', 'b'], now=lambda: NOW
        )

    def test_an_event_goes_to_every_topic_with_its_id(self):
        sink = _Transport()
        self.make(sink).send(self.event)
        self.assertEqual(['a.error', 'b.error'], [topic for topic, *_ in sink.sent])
        message = sink.sent[0][1]
        self.assertEqual(
            ('trove.upgrade.error', 'ERROR', 'e1', '1.0'),
            (
                message['event_type'],
                message['priority'],
                message['payload']['event_id'],
                message['payload']['payload_version'],
            ),
        )

    def test_what_was_not_sent_is_said(self):
        for error in (oslo_messaging.MessageDeliveryFailure('down'), ConnectionRefusedError()):
            self.assertRaises(
                exceptions.MessagingUnavailable, self.make(_Transport(error)).send, self.event
            )

    def test_nobody_who_listens_is_sent(self):
        sink = _Transport()
        self.make(sink, ()).send(self.event)
        self.assertEqual([], sink.sent)

    def test_it_is_made_from_the_configuration(self):
        conf = configuration(f'rabbit://u:p@127.0.0.1:{unused_port()}/')
        notifier.MessagingNotifier.from_conf(conf, host='h', now=lambda: NOW).send(self.event)
        conf.set_override('driver', ['messagingv2', 'log'], 'oslo_messaging_notifications')
        self.assertRaises(
            exceptions.MessagingUnavailable,
            notifier.MessagingNotifier.from_conf(conf, host='h', now=lambda: NOW).send,
            self.event,
        )
