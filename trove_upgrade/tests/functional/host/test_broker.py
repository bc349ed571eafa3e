# SPDX-License-Identifier: Apache-2.0
"""Queues at a real broker that no taskmanager reads.

Classic and quorum ones, made by this release or by the one before.
"""

import contextlib
import functools
import io
import pathlib
import socket
import threading
from urllib import parse

import fixtures
import oslo_messaging
from oslo_config import cfg

import trove_upgrade
from trove_upgrade import conf as our_conf
from trove_upgrade.cmd import manage
from trove_upgrade.domain import guest
from trove_upgrade.rpc import queues, serializer, taskmanager, transport
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_broker
from trove_upgrade.tests.functional.waiting import Waiting

_PAGES = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'admin'
BEAT = guest.Heartbeat('i1', 'b1', 'u1:1', False, '1.0', None, guest.ServerState.STOPPED)


class Listener:
    """An endpoint of a taskmanager."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self):
        self.heard = threading.Event()

    def heartbeat(self, _context, heartbeat):
        self.heard.set()


class TestBroker(Waiting, base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = private_broker.Broker()
        cls.broker.setUp()
        cls.addClassCleanup(cls.broker.cleanUp)

    def conf(self, *, quorum=False, **options):
        """A topic and an exchange of this test's own."""
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        conf(args=[], default_config_files=[], default_config_dirs=[])
        transport.get_transport(conf).cleanup()
        conf.set_override('transport_url', self.broker.url)
        conf.set_override('rabbit_quorum_queue', quorum, 'oslo_messaging_rabbit')
        for name, value in {
            'taskmanager_topic': self.id(),
            'rpc_exchange': self.id(),
            **options,
        }.items():
            conf.set_override(name, value, 'trove_upgrade')
        self.addCleanup(self.delete_queues, conf)
        return conf

    def delete_queues(self, conf):
        queues.remove(conf, queues.of_taskmanagers(conf, [socket.gethostname(), 'host-1']), 10)

    def listen(self, conf, rpc_transport, host='host-1'):
        """(server, endpoint), as a taskmanager listens."""
        endpoint = Listener()
        server = transport.get_server(
            rpc_transport, transport.taskmanager_target(conf, server=host), [endpoint]
        )
        server.start()
        self.addCleanup(rpc_transport.cleanup)
        shared = [conf.trove_upgrade.taskmanager_topic]
        self.wait_until(lambda: queues.find(conf, shared, 10)[0].consumers, 'the consumer')
        return server, endpoint

    def end(self, server):
        server.stop()
        server.wait()

    def declare_as_before(self, conf):
        """As a taskmanager of the release before has left them.

        Its transport gave no cast a time to live.
        """
        server, _ = self.listen(conf, oslo_messaging.get_rpc_transport(conf))
        self.end(server)

    def send(self, conf, count=1):
        rpc_transport = transport.get_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        api = taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport)
        for _ in range(count):
            api.heartbeat(serializer.service_context(), BEAT)

    def assert_unread_messages_vanish(self, conf):
        self.declare_as_before(conf)
        self.send(conf, 5)
        self.wait_until(lambda: self.broker.messages(self.id()) == 5, 'the messages')
        self.wait_until(lambda: self.broker.messages(self.id()) == 0, 'their end')

    def test_unread_messages_vanish(self):
        self.assert_unread_messages_vanish(self.conf(taskmanager_message_ttl=5))

    def test_unread_messages_vanish_from_a_quorum_queue(self):
        self.assert_unread_messages_vanish(self.conf(quorum=True, taskmanager_message_ttl=5))

    def send_as_before(self, conf):
        """As an agent of the release before: without an end."""
        rpc_transport = oslo_messaging.get_rpc_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport).heartbeat(
            serializer.service_context(), BEAT
        )

    def send_mixed(self, conf):
        """One of the release before, three of this one; returns when later ones elsewhere have ended."""
        self.send_as_before(conf)
        self.wait_until(lambda: self.broker.messages(self.id()) == 1, 'the first message')
        self.send(conf, 3)
        name = f'{self.id()}-other'
        other = self.conf(taskmanager_topic=name, rpc_exchange=name, taskmanager_message_ttl=1)
        self.declare_as_before(other)
        self.send(other, 3)
        self.wait_until(lambda: self.broker.messages(name) == 0, 'the end of others')

    def assert_held_back(self, conf):
        self.declare_as_before(conf)
        self.send_mixed(conf)
        self.assertEqual(4, self.broker.messages(self.id()))
        self.assertIn(self.id(), self.bound_queues())
        self.delete_queues(conf)
        self.send_as_before(conf)
        self.send(conf)
        self.assertIsNone(self.broker.messages(self.id()))
        self.assertNotIn(self.id(), self.bound_queues())

    def test_a_message_without_an_end_holds_back_all_behind_it_until_the_queue_is_deleted(self):
        self.assert_held_back(self.conf(taskmanager_message_ttl=1))

    def test_so_it_does_in_a_quorum_queue(self):
        self.assert_held_back(self.conf(quorum=True, taskmanager_message_ttl=1))

    def bound_queues(self):
        """As the page looks for them."""
        command = self.page_line('remove.rst', 'list_bindings').partition('|')[0]
        return {line.split('\t')[-1] for line in self.broker.shell(command).splitlines()}

    def test_the_policy_of_the_page_ends_a_message_that_has_no_end(self):
        self.set_policy('beside-trove.rst', '3600000', '1000')
        for quorum in (False, True):
            topic = f'trove-upgrade-mixed-{quorum}'
            conf = self.conf(quorum=quorum, taskmanager_topic=topic, rpc_exchange=topic)
            self.declare_as_before(conf)
            self.send_as_before(conf)
            self.send(conf, 3)
            self.wait_until(functools.partial(self.is_empty, topic), 'the end of all')

    def is_empty(self, queue):
        return self.broker.messages(queue) == 0

    def set_policy(self, page, value, shorter):
        """As the page has it, with one time made shorter."""
        line = self.page_line(page, 'set_operator_policy')
        self.assertIn(value, line)
        self.broker.shell(line.replace(value, shorter))
        self.addCleanup(
            self.broker.rabbitmqctl, 'clear_operator_policy', '-p', 'trove', 'trove-upgrade'
        )

    def test_the_policy_of_an_installation_alone_ends_queues_of_guests_too(self):
        conf = self.conf(taskmanager_topic='guestagent.gone', rpc_exchange='e-alone')
        self.declare_as_before(conf)
        self.assertIn('guestagent.gone', self.queues_at_the_broker())
        self.set_policy('install.rst', '86400000', '1000')
        self.wait_until(lambda: 'guestagent.gone' not in self.queues_at_the_broker(), 'its end')

    def assert_heard(self, conf):
        self.declare_as_before(conf)
        self.send(conf)
        server, endpoint = self.listen(conf, transport.get_transport(conf))
        self.addCleanup(self.end, server)
        self.assertTrue(endpoint.heard.wait(30))

    def test_a_queue_of_the_release_before_is_taken_over_with_what_waits_in_it(self):
        self.assert_heard(self.conf())

    def test_so_is_a_quorum_queue(self):
        self.assert_heard(self.conf(quorum=True))

    def test_what_is_sent_after_the_queue_has_gone_makes_none(self):
        conf = self.conf()
        self.declare_as_before(conf)
        self.send(conf)
        removed = queues.remove(conf, [self.id(), queues.of_host(conf, 'host-1'), 'never-made'], 10)
        self.assertEqual(
            [queues.Queue(self.id(), 1, 0), queues.Queue(f'{self.id()}.host-1', 0, 0)], removed
        )
        self.send(conf)
        self.assertEqual([], queues.find(conf, [self.id()], 10))

    def test_a_queue_that_is_listened_on_stays(self):
        for quorum in (False, True):
            conf = self.conf(quorum=quorum)
            self.addCleanup(self.delete_queues, conf)
            server, _ = self.listen(conf, transport.get_transport(conf))
            self.assertEqual([], queues.remove(conf, [self.id()], 10))
            self.assertEqual([queues.Queue(self.id(), 0, 1)], queues.find(conf, [self.id()], 10))
            self.assertFalse(queues.remove_exchange(conf, 10))
            self.end(server)
            self.delete_queues(conf)
            self.assertTrue(queues.remove_exchange(conf, 10))
            self.assertTrue(queues.remove_exchange(conf, 10))

    def run_tool(self, *arguments, url=None):
        """(exit code, stdout, stderr) of trove-upgrade-manage."""
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove.conf')
        path.write_text(
            f'[DEFAULT]\ntransport_url = {url or self.broker.url}\n[database]\nconnection = sqlite://\n'
            f'[trove_upgrade]\ntaskmanager_topic = {self.id()}\nrpc_exchange = {self.id()}\n'
        )
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = manage.main(['--config-file', str(path), *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_an_operator_deletes_what_is_left(self):
        conf = self.conf()
        server, _ = self.listen(conf, transport.get_transport(conf))
        code, _, refused = self.run_tool('queue', 'remove', '--host', 'host-1')
        self.assertEqual((1, True), (code, 'ERROR QUEUES_IN_USE' in refused), refused)
        self.end(server)
        self.send(conf, 2)
        self.assertRegex(
            self.run_tool('queue', 'list', '--host', 'host-1')[1],
            rf'{self.id()} +2 +0\n{self.id()}\.host-1 +0 +0\n',
        )
        code, told, _ = self.run_tool('queue', 'remove', '--host', 'host-1')
        self.assertEqual(
            (0, True, True),
            (
                code,
                f'Queue {self.id()} is deleted; messages in it: 2.' in told,
                'The exchange is deleted.' in told,
            ),
            told,
        )
        self.assertEqual([], queues.find(conf, queues.of_taskmanagers(conf, ['host-1']), 10))

    def without_rights(self):
        """URL of a user who is let in and may do nothing."""
        found = parse.urlsplit(self.broker.url)
        self.broker.rabbitmqctl('add_user', 'poor', 's3cret-XYZ')
        self.addCleanup(self.broker.rabbitmqctl, 'delete_user', 'poor')
        self.broker.rabbitmqctl('set_permissions', '-p', 'trove', 'poor', '^$', '^$', '^$')
        return found._replace(
            netloc=f'poor:s3cret-XYZ@{found.hostname}:{found.port}'
        ).geturl()

    def test_a_broker_that_refuses_the_user_is_one_line_and_nothing_is_deleted(self):
        conf = self.conf()
        self.declare_as_before(conf)
        url = self.without_rights()
        code, _, refused = self.run_tool('queue', 'remove', '--host', 'host-1', url=url)
        self.assertEqual(1, code)
        self.assertRegex(refused, r'\AERROR BROKER_REFUSED: [^\n]*403[^\n]*\n\Z')
        self.assertNotIn('s3cret-XYZ', refused)
        self.assertEqual(2, len(queues.find(conf, [self.id(), f'{self.id()}.host-1'], 10)))
        self.delete_queues(conf)
        code, _, refused = self.run_tool('queue', 'remove', url=url)
        self.assertEqual((1, True), (code, 'ERROR BROKER_REFUSED' in refused), refused)

    def queues_at_the_broker(self):
        """Not by `find`: a declaration counts as a use."""
        return self.broker.rabbitmqctl(
            'list_queues', '-p', 'trove', '--no-table-headers', 'name'
        ).split()

    def page_line(self, page, words):
        """The command of a page that holds `words`, for the virtual host of this broker."""
        text = (_PAGES / page).read_text().replace('\\\n', ' ')
        return next(
            line for line in text.splitlines() if words in line and 'rabbitmqctl' in line
        ).replace('-p /', '-p trove')

    def test_the_policy_of_the_page_ends_queues_that_were_made_before_it(self):
        """Both kinds; sooner than the page has it."""
        for quorum in (False, True):
            self.declare_as_before(
                self.conf(
                    quorum=quorum,
                    taskmanager_topic=f'trove-upgrade-{quorum}',
                    rpc_exchange=f'e-{quorum}',
                )
            )
        self.assertEqual(
            4,
            len(
                [name for name in self.queues_at_the_broker() if name.startswith('trove-upgrade-')]
            ),
        )
        self.set_policy('beside-trove.rst', '86400000', '1000')
        self.wait_until(
            lambda: (
                not [
                    name
                    for name in self.queues_at_the_broker()
                    if name.startswith('trove-upgrade-')
                ]
            ),
            'the end of all',
        )

    def test_the_line_of_the_page_deletes_what_is_left_and_not_what_is_listened_on(self):
        gone = self.conf(taskmanager_topic='trove-upgrade-gone', rpc_exchange='e-gone')
        self.declare_as_before(gone)
        self.send(gone, 3)
        used = self.conf(taskmanager_topic='trove-upgrade-used', rpc_exchange='e-used')
        server, _ = self.listen(used, transport.get_transport(used))
        self.addCleanup(self.end, server)
        foreign = self.conf()
        self.declare_as_before(foreign)
        self.broker.shell(self.page_line('remove.rst', 'xargs'))
        left = self.queues_at_the_broker()
        self.assertIn('trove-upgrade-used', left)
        self.assertIn(self.id(), left)
        self.assertNotIn('trove-upgrade-gone', left)
