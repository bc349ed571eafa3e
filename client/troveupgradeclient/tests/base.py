# SPDX-License-Identifier: Apache-2.0
"""Bases of the tests: the client over real HTTP to the server that stands in, and the commands in
a real application of cliff, as the distribution declares them.
"""

import configparser
import contextlib
import dataclasses
import io
import json
import logging
import pathlib
import pkgutil
import signal

import jsonschema
import testtools
from cliff import app, commandmanager
from keystoneauth1 import session, token_endpoint
from keystoneauth1.identity import v3

from troveupgradeclient.tests import schemas
from troveupgradeclient.tests.standin import application, keystone, server, world
from troveupgradeclient.v1 import client

DISTRIBUTION = pathlib.Path(__file__).resolve().parents[2]


def declared(group):
    """Entry points of a group: (name, object's place)."""
    parser = configparser.ConfigParser()
    parser.read(DISTRIBUTION / 'setup.cfg')
    lines = parser['options.entry_points'][group].strip().splitlines()
    return [tuple(part.strip() for part in line.split('=')) for line in lines]


def commands():
    """Classes of the commands by their names."""
    return {
        name.replace('_', ' '): pkgutil.resolve_name(place)
        for name, place in declared('openstack.database_upgrade.v1')
    }


class Clock:
    """Time that passes by pauses alone."""

    def __init__(self):
        self.time, self.pauses = 0.0, []

    def monotonic(self):
        return self.time

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.time += seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


class ClientTestCase(testtools.TestCase):
    release = application.Release.NEWEST

    def setUp(self):
        super().setUp()
        self.standin = self.useFixture(server.StandIn(self.release))
        self.world = self.standin.world
        endpoint = f'{self.standin.base}/v1.0/{world.PROJECT}'
        made = session.Session(auth=token_endpoint.Token(endpoint, keystone.TOKEN))
        self.addCleanup(made.session.close)
        made.session.trust_env = False
        self.clock = Clock()
        self.client = client.Client(session=made, clock=self.clock)

    def with_login(self, **options):
        """The client of a session that logs in at the stand-in's Keystone."""
        domains = {'user_domain_id': 'default', 'project_domain_id': 'default'}
        auth = v3.Password(
            f'{self.standin.base}/v3', username='demo', password='p', project_name='demo', **domains
        )
        made = session.Session(auth=auth)
        self.addCleanup(made.session.close)
        made.session.trust_env = False
        return client.Client(session=made, **options)

    def requests(self, method):
        return [path for each, path, _ in self.standin.application.requests if each == method]


@dataclasses.dataclass(frozen=True)
class ClientManager:
    database_upgrade: client.Client


@dataclasses.dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class CommandTestCase(ClientTestCase):
    def run_command(self, *words, stderr=None, before=()):
        """The end of `openstack database upgrade WORDS`."""
        out, err = io.StringIO(), stderr or io.StringIO()
        manager = commandmanager.CommandManager('none')
        for name, kind in commands().items():
            manager.add_command(name, kind)
        made = app.App('', '1', manager, stdout=out, stderr=err, deferred_help=True)
        made.client_manager = ClientManager(self.client)
        root = logging.getLogger()
        self.addCleanup(setattr, root, 'handlers', list(root.handlers))
        status = made.run([*before, 'database', 'upgrade', *words])
        root.handlers = [each for each in root.handlers if not _writes_to(each, made.stderr)]
        return Ended(status, out.getvalue(), err.getvalue())

    def interrupted(self, at, *words):
        """The end of a command that Ctrl-C meets while its request `at` (method, path) is answered,
        which is done all the same.
        """
        # a run in the background has it ignored
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        original = self.standin.application.answer

        def answer(environ, body):
            answered = original(environ, body)
            if self.standin.application.requests[-1][:2] == at:
                signal.raise_signal(signal.SIGINT)  # handled by the main thread, as Ctrl-C is
            return answered

        self.standin.application.answer = answer
        ended = self.run_command(*words)
        self.standin.application.answer = original
        return ended

    def json_of(self, *words, status=0):
        """The answer as JSON, which is of the form that the schema of the command has."""
        ended = self.run_command(*words, '-f', 'json')
        self.assertEqual(status, ended.status, ended.err)
        jsonschema.validate(ended.json, schemas.of_command(words))
        return ended.json

    def assert_not_understood(self, *words):
        """The command line is refused before anything is asked; what is written on stderr."""
        with contextlib.redirect_stderr(io.StringIO()) as written:
            try:
                status = self.run_command(*words).status
            except SystemExit as ended:
                status = ended.code
        self.assertEqual((2, []), (status, self.standin.application.requests), words)
        return written.getvalue()

    def assert_refused(self, code, *words, status=1):
        """The command prints one sentence with its code, at most one line with what to type
        next, and nothing else; the words.
        """
        ended = self.run_command(*words)
        self.assertEqual((status, ''), (ended.status, ended.out), ended.err)
        line, *hints = ended.err.strip().splitlines()
        self.assertTrue(line.endswith(f'({code})'), line)
        self.assertLessEqual(len(hints), 1, hints)
        return ended.err


def _writes_to(handler, stream):
    return getattr(handler, 'stream', None) is stream
