# SPDX-License-Identifier: Apache-2.0
"""The composed agent over oslo.messaging's own in-memory transport, asked by the taskmanager's
client.
"""

import datetime
import logging
import pathlib
import threading

import fixtures
import oslo_messaging
from oslo_config import cfg
from oslo_log import formatters, log

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import guestagent as guestagent_conf
from trove_upgrade.domain import guests, logs
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent import agent
from trove_upgrade.guestagent.sealing.seal import NotSealed
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade import composition
from trove_upgrade.rpc import guestagent, serializer, transport
from trove_upgrade.sealing import envelope, messages
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain import test_logs
from trove_upgrade.tests.unit.guestagent import fakes

_LONG = 30


class Taskmanager:
    """Hears heartbeats."""

    target = oslo_messaging.Target(version='1.2')

    def __init__(self):
        self.heard, self.arrived = [], threading.Event()
        self.sealed_ones, self.sealed_arrived = [], threading.Event()

    def heartbeat(self, _context, heartbeat):
        self.heard.append(guests.Heartbeat.from_wire(heartbeat))
        self.arrived.set()

    def sealed(self, _context, envelope):
        self.sealed_ones.append(envelope)
        self.sealed_arrived.set()


class RpcCase(base.TestCase):
    transport_url = 'fake://'
    guest_transport_url = None

    def setUp(self):
        super().setUp()
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf.register_opts(guestagent_conf.IDENTITY_OPTS)
        transport.register_missing_opts(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        rpc_transport = transport.get_transport(conf)  # registers transport_url
        conf.set_override('transport_url', self.transport_url)
        conf.set_override('guest_transport_url', self.guest_transport_url, our_conf.GROUP)
        # the transport in memory is all tests' of a process
        conf.set_override('rpc_exchange', self.id(), our_conf.GROUP)
        conf.set_override('guest_id', fakes.INSTANCE)
        conf.set_override('datastore_manager', 'nothing-we-know')
        rpc_transport = transport.get_guest_transport(conf)
        self.taskmanager = Taskmanager()
        server = transport.get_server(
            rpc_transport, transport.taskmanager_target(conf, server='tm'), [self.taskmanager]
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        layout = Layout(
            pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        )
        self.prepare(layout)
        self.agent = agent.compose(conf, composition.guest(conf, layout))
        self.agent.start()
        self.addCleanup(self.agent.stop)
        self.client = guestagent.GuestAgentAPI.from_conf(conf)
        topic = transport.guest_target(conf, fakes.INSTANCE)
        self.raw = oslo_messaging.get_rpc_client(
            rpc_transport, topic, serializer=serializer.RequestContextSerializer()
        ).prepare(timeout=_LONG)

    def prepare(self, layout):
        """What is on the root disk before the agent starts."""


def new_call():
    return guests.GuestCall(
        instance_id=fakes.INSTANCE,
        upgrade_id=fakes.UPGRADE,
        attempt=1,
        generation=1,
        deadline=datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1),
        target=TargetFacts(),
    )


class RpcTest(RpcCase):
    def test_the_taskmanagers_client_gets_an_answer(self):
        call = new_call()
        answer = self.client.check_upgrade(call)
        self.assertEqual(
            (guests.JobState.DONE, guests.ServerState.STOPPED), (answer.state, answer.server_state)
        )
        self.assertEqual(
            ['VOLUME_NOT_MOUNTED', 'DATABASE_NOT_SERVING'],
            [check['code'] for check in answer.result['checks'] if check['code']],
        )
        refused = self.client.pre_upgrade(call)
        self.assertEqual(
            (guests.JobState.REFUSED, 'VOLUME_NOT_MOUNTED'), (refused.state, refused.code)
        )

    def test_the_guests_lines_carry_the_request_of_the_user(self):
        """Those of the call, in the server's thread, and of its job, in a thread of its own."""
        conf = cfg.ConfigOpts()
        log.register_options(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        kept = test_logs.Kept(formatters.ContextFormatter(config=conf))
        ours = logging.getLogger('trove_upgrade.guestagent')
        level = ours.level
        ours.setLevel(logging.INFO)
        ours.addHandler(kept)
        self.addCleanup(ours.setLevel, level)
        self.addCleanup(ours.removeHandler, kept)
        call = new_call()
        with logs.of_request('req-of-the-user'):
            self.client.pre_upgrade(call)
            self.client.check_upgrade(call)
        of_upgrade = [line for line in kept.lines if fakes.UPGRADE in line]
        self.assertLess(3, len(of_upgrade))
        self.assertEqual([], [line for line in of_upgrade if 'req-of-the-user ' not in line])

    def test_a_guest_that_has_just_booted_is_heard(self):
        self.assertTrue(self.taskmanager.arrived.wait(_LONG))
        heartbeat = self.taskmanager.heard[0]
        self.assertEqual(
            (fakes.INSTANCE, None, False),
            (heartbeat.instance_id, heartbeat.marker, heartbeat.restored),
        )


class SealedRpcTest(RpcCase):
    """The same agent with a key file."""

    def prepare(self, layout):
        self.key = GuestKey.new(fakes.INSTANCE)
        layout.guest_key.parent.mkdir(parents=True)
        layout.guest_key.touch(0o600)
        layout.guest_key.write_bytes(self.key.to_file())

    def test_a_sealed_call_and_its_answer_travel_whole(self):
        sealed = envelope.seal(
            self.key,
            MessageDirection.TO_GUEST,
            messages.Request(
                method='greet', session=messages.NO_SESSION, number=1, latest=0, arguments={}
            ).to_bytes(),
        )
        wire = self.raw.call(serializer.service_context(), 'sealed', envelope=sealed.to_wire())
        answer = messages.Answer.from_bytes(
            envelope.unseal(
                self.key, MessageDirection.TO_TASKMANAGER, envelope.Envelope.from_wire(wire)
            )
        )
        self.assertEqual(
            (sealed.digest, messages.Refusal.SESSION), (answer.request, answer.refused)
        )

    def test_what_is_forged_is_answered_with_an_error_of_one_text(self):
        """The transport in memory hands over the error itself."""
        self.assertRaises(
            NotSealed, self.raw.call, serializer.service_context(), 'sealed', envelope={}
        )

    def test_what_is_unsealed_is_not_answered(self):
        """An older taskmanager would take an answer for the guest's own failure."""
        soon = self.raw.prepare(timeout=0.5)
        self.assertRaises(
            oslo_messaging.MessagingTimeout, soon.call, serializer.service_context(), 'pre_upgrade'
        )

    def test_its_heartbeats_are_sealed_alone(self):
        self.assertTrue(self.taskmanager.sealed_arrived.wait(_LONG))
        sealed = envelope.Envelope.from_wire(self.taskmanager.sealed_ones[0])
        report = messages.Report.from_bytes(
            envelope.unseal(self.key, MessageDirection.TO_TASKMANAGER, sealed)
        )
        self.assertEqual(fakes.INSTANCE, report.heartbeat['instance_id'])
        self.assertEqual([], self.taskmanager.heard)


class VirtualHostOfGuestsTest(RpcTest):
    """The agent needs no account where the services and Trove's agent are."""

    transport_url = 'rabbit://u:p@127.0.0.1:1/'
    guest_transport_url = 'fake://'
