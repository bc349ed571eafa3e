# SPDX-License-Identifier: Apache-2.0
"""A real broker with queues of this release, and of the one before."""

import contextlib
import io
import itertools
import multiprocessing
import pathlib
import socket
import textwrap
import threading
from urllib import parse

import fixtures
import oslo_messaging
from oslo_config import cfg

import trove_upgrade
from trove_upgrade import conf as our_conf
from trove_upgrade.cmd import manage
from trove_upgrade.domain import guests
from trove_upgrade.rpc import queues, serializer, taskmanager, transport
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_broker
from trove_upgrade.tests.functional.waiting import Waiting

_PAGES = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'admin'
BEAT = guests.Heartbeat(
    instance_id='i1',
    boot_id='b1',
    marker='u1:1',
    restored=False,
    agent_version='1.0',
    server_version=None,
    server_state=guests.ServerState.STOPPED,
)


def page_blocks(page, words):
    """The literal blocks of an operator's page that hold `words`, in their order: what a reader
    copies into a shell.
    """
    blocks = []
    for paragraph in (_PAGES / page).read_text().split('::\n\n')[1:]:
        lines = itertools.takewhile(
            lambda line: not line or line.startswith(' '), paragraph.splitlines()
        )
        blocks.append(textwrap.dedent('\n'.join(lines)).strip())
    return [block for block in blocks if words in block]


class Listener:
    """An endpoint of a taskmanager."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self):
        self.heard = threading.Event()

    def heartbeat(self, _context, heartbeat):
        self.heard.set()


def configured(url, topic, *, quorum=False, **options):
    """With a topic and an exchange of this name."""
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    conf(args=[], default_config_files=[], default_config_dirs=[])
    transport.get_transport(conf).cleanup()  # it registers the options of oslo.messaging
    conf.set_override('transport_url', url)
    conf.set_override('rabbit_quorum_queue', quorum, 'oslo_messaging_rabbit')
    for name, value in {'taskmanager_topic': topic, 'rpc_exchange': topic, **options}.items():
        conf.set_override(name, value, 'trove_upgrade')
    return conf


def listen_until_killed(url, topic, quorum):
    """A taskmanager's side of the broker, in a process of its own."""
    conf = configured(url, topic, quorum=quorum)
    target = transport.taskmanager_target(conf, server='host-1')
    server = transport.get_server(transport.get_transport(conf), target, [Listener()])
    server.start()
    server.wait()


class BrokerCase(Waiting, base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = private_broker.Broker()
        cls.broker.setUp()
        cls.addClassCleanup(cls.broker.cleanUp)

    def conf(self, *, quorum=False, **options):
        """A topic and an exchange of this test's own."""
        conf = configured(self.broker.url, self.id(), quorum=quorum, **options)
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

    def end(self, server, conf=None, names=None):
        """With `conf` wait for the broker, too: there a consumer can outlive its connection for a
        moment.
        """
        server.stop()
        server.wait()
        if conf is None:
            return
        names = names or queues.of_taskmanagers(conf, ['host-1'])
        self.wait_until(
            lambda: not any(one.consumers for one in queues.find(conf, names, 10)),
            'the end of its consumers',
        )

    def declare_as_before(self, conf):
        """As a taskmanager of the release before has left them.

        Its transport gave no cast a time to live.
        """
        server, _ = self.listen(conf, oslo_messaging.get_rpc_transport(conf))
        self.end(server, conf)

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

    def send_as_before(self, conf):
        """As an agent of the release before: without an end."""
        rpc_transport = oslo_messaging.get_rpc_transport(conf)
        self.addCleanup(rpc_transport.cleanup)
        taskmanager.TaskManagerAPI.from_conf(conf, rpc_transport).heartbeat(
            serializer.service_context(), BEAT
        )

    def send_mixed(self, conf):
        """One of the release before, three of this one; returns when later ones elsewhere have
        ended.
        """
        self.send_as_before(conf)
        self.wait_until(lambda: self.broker.messages(self.id()) == 1, 'the first message')
        self.send(conf, 3)
        name = f'{self.id()}-other'
        other = self.conf(taskmanager_topic=name, rpc_exchange=name, taskmanager_message_ttl=1)
        self.declare_as_before(other)
        self.send(other, 3)
        self.wait_until(lambda: self.broker.messages(name) == 0, 'the end of others')
        self.delete_queues(other)

    def assert_held_back(self, conf):
        self.declare_as_before(conf)
        self.send_mixed(conf)
        self.assertEqual(4, self.broker.messages(self.id()))
        self.assertIn(self.id(), self.bound_queues())
        self.leave_fanout_queue(conf)
        self.delete_queues(conf)
        self.send_as_before(conf)
        self.send(conf)
        self.assertIsNone(self.broker.messages(self.id()))
        self.assertEqual([], self.bound_queues())

    def leave_fanout_queue(self, conf):
        """As a taskmanager leaves it that is killed."""
        killed = multiprocessing.get_context('spawn').Process(
            target=listen_until_killed,
            args=(self.broker.url, self.id(), conf.oslo_messaging_rabbit.rabbit_quorum_queue),
        )
        killed.start()
        self.wait_until(lambda: queues.find(conf, [self.id()], 10)[0].consumers, 'the consumer')
        killed.kill()
        killed.join()
        self.wait_until(lambda: not queues.find(conf, [self.id()], 10)[0].consumers, 'its end')
        self.assertIn(f'{self.id()}_fanout_', '\n'.join(self.queues_at_the_broker()))

    def bound_queues(self):
        """As the page looks for them; grep ends with 1 where it finds none."""
        command = self.page_line('remove.rst', 'list_bindings')
        named = command.replace('trove-upgrade-taskmanager', self.id())
        self.assertNotEqual(command, named)
        lines = self.broker.shell(f'{named} || [ "$PIPESTATUS" = 0 ]').splitlines()
        return [line.split('\t')[-1] for line in lines]

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

    def assert_heard(self, conf):
        self.declare_as_before(conf)
        self.send(conf)
        server, endpoint = self.listen(conf, transport.get_transport(conf))
        self.addCleanup(self.end, server, conf)
        self.assertTrue(endpoint.heard.wait(30))

    def run_tool(self, *arguments, url=None):
        """(exit code, stdout, stderr) of trove-upgrade-manage."""
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove.conf')
        path.write_text(
            f'[DEFAULT]\ntransport_url = {url or self.broker.url}\n[database]\nconnection = '
            'sqlite://\n'
            f'[trove_upgrade]\ntaskmanager_topic = {self.id()}\nrpc_exchange = {self.id()}\n'
        )
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = manage.main(['--config-file', str(path), *arguments])
        return code, out.getvalue(), err.getvalue()

    def without_rights(self):
        """URL of a user who is let in and may do nothing."""
        found = parse.urlsplit(self.broker.url)
        self.broker.rabbitmqctl('add_user', 'poor', 's3cret-XYZ')
        self.addCleanup(self.broker.rabbitmqctl, 'delete_user', 'poor')
        self.broker.rabbitmqctl('set_permissions', '-p', 'trove', 'poor', '^$', '^$', '^$')
        return found._replace(netloc=f'poor:s3cret-XYZ@{found.hostname}:{found.port}').geturl()

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
