# SPDX-License-Identifier: Apache-2.0
"""Who is listed in upgrade_services, on real servers: many at once, two releases side by side, an
API from its start to its end.
"""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid

import fixtures
import sqlalchemy as sa

from trove_upgrade.db import columns, engine, models
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.services import Services
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.waiting import wait_until

_CONFIGURATION = """
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/
[database]
connection = {connection}
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = http://127.0.0.1:1/v3
username = trove
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
[trove_upgrade]
bind_port = 0
service_report_interval = 1
"""

#: The API as a WSGI server that forks after loading would run it: one process loads, two serve, and
#: those end without Python's exit.
_FORKING = """
import os, signal, sys, time, wsgiref.util
from trove_upgrade.wsgi import api

def ask():
    environ = {}
    wsgiref.util.setup_testing_defaults(environ)
    answer = api.application(environ, lambda status, headers, error=None: None)
    list(answer)
    getattr(answer, 'close', lambda: None)()

children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        time.sleep(1.1)    # the interval between two signs of life
        ask()
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
print('asked', flush=True)
sys.stdin.readline()
"""


class AuroraServices:
    """What a service of the first release says to the database."""

    def __init__(self, database):
        self._database = database

    def execute(self, sql, **values):
        statement = sa.text(
            sql.replace(
                'NOW',
                str(sa.select(columns.now()).compile(self._database.engine))
                .removeprefix('SELECT ')
                .split(' AS ')[0],
            )
        )
        with self._database.write() as connection:
            return connection.execute(statement, values).rowcount

    def register(self, host, binary, version):
        values = {'h': host, 'b': binary, 'v': version, 'r': str(uuid.uuid4())}
        if not self.execute(
            'UPDATE upgrade_services SET registration=:r, version=:v, started_at=NOW, seen_at=NOW '
            f'WHERE host=:h AND {self.binary}=:b',
            **values,
        ):
            self.execute(
                f'INSERT INTO upgrade_services (host, {self.binary}, registration, version, '
                'started_at, seen_at) VALUES (:h, :b, :r, :v, NOW, NOW)',
                **values,
            )
        return values['r']

    def beat(self, host, binary, version):
        if not self.execute(
            f'UPDATE upgrade_services SET seen_at=NOW WHERE host=:h AND {self.binary}=:b AND '
            'version=:v',
            h=host,
            b=binary,
            v=version,
        ):
            self.register(host, binary, version)

    def remove(self, registration):
        self.execute('DELETE FROM upgrade_services WHERE registration=:r', r=registration)

    @property
    def binary(self):
        """A word that MySQL reserves."""
        return self._database.engine.dialect.identifier_preparer.quote('binary')


class ServicesOnAServer(databases.OneServer):
    """The cases; each server below runs all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.server.create()
        cls.database = engine.Database.from_url(cls.url, max_pool_size=40, max_overflow=10)
        cls.addClassCleanup(cls.database.dispose)
        models.upgrade_services.create(cls.database.engine)

    def setUp(self):
        super().setUp()
        self.services = Services(self.database)
        with self.database.write() as connection:
            connection.execute(sa.delete(models.upgrade_services))

    def together(self, count, call):
        barrier = threading.Barrier(count)

        def one(number):
            barrier.wait(30)
            return call(number)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def wait_for(self, condition, seconds=60):
        self.assertTrue(wait_until(condition, seconds), self.services.list())

    def test_of_32_processes_that_register_at_once_each_has_its_row_and_removes_its_own(self):
        registered = self.together(
            32, lambda number: self.services.register('host', 'api', '1.0', pid=1000 + number // 2)
        )
        self.assertEqual({one.id for one in registered}, {one.id for one in self.services.list()})
        self.together(32, lambda number: self.services.beat(registered[number]))
        self.together(31, lambda number: self.services.remove(registered[number]))
        self.assertEqual([registered[31].id], [one.id for one in self.services.list()])

    def test_of_16_that_bring_one_forgotten_row_back_all_succeed(self):
        registered = self.services.register('host', 'api', '1.0')
        self.services.forget(registered.id, force=True)
        self.together(16, lambda _: self.services.beat(registered))
        self.assertEqual([registered.id], [one.id for one in self.services.list()])

    def test_services_of_both_releases_live_side_by_side(self):
        aurora = AuroraServices(self.database)

        def live(number):
            if number % 2:
                mine = aurora.register('host', 'taskmanager', '1.0')
                for _ in range(20):
                    aurora.beat('host', 'taskmanager', '1.0')
                return mine
            mine = self.services.register('host', 'taskmanager', '1.0')
            for _ in range(20):
                self.services.beat(mine)
            return mine

        # two taskmanagers of aurora on one host share a row, and their first insert may meet: so
        # one is there before
        aurora.register('host', 'taskmanager', '1.0')
        lived = self.together(16, live)
        ours = lived[::2]
        found = self.services.list()
        self.assertEqual(
            {one.id for one in ours}, {one.id for one in found if one.release == RELEASE}
        )
        (theirs,) = [one for one in found if one.release == 'aurora']
        self.assertIn(theirs.id, lived[1::2])
        for one in ours:
            self.services.remove(one)
        (left,) = self.services.list()
        self.assertEqual(
            (theirs.id, theirs.version, theirs.seen_at), (left.id, left.version, left.seen_at)
        )
        aurora.remove(theirs.id)
        self.assertEqual([], self.services.list())

    def start(self, *arguments):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove-upgrade.conf')
        path.write_text(_CONFIGURATION.format(connection=self.url), encoding='utf-8')
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, 'OS_TROVE_UPGRADE_CONFIG_FILES': str(path)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.kill()
        process.communicate()

    def start_api(self):
        process = self.start(
            '-c', 'from trove_upgrade.cmd import api; raise SystemExit(api.main([]))'
        )
        line = next(line for line in process.stdout if line.startswith('Listening on'))
        return process, line.split()[-1]

    def test_an_api_is_listed_from_its_start_gives_signs_of_life_with_requests_and_is_gone_after_its_stop(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        process, url = self.start_api()
        (first,) = self.services.list()
        self.assertEqual(
            ('trove-upgrade-api', process.pid, RELEASE), (first.binary, first.pid, first.release)
        )

        def is_seen_again():
            urllib.request.urlopen(url, timeout=30).read()
            return self.services.list()[0].seen_at > first.seen_at

        self.wait_for(is_seen_again)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(60))
        self.assertEqual([], self.services.list())

    def test_an_api_whose_database_hangs_ends_all_the_same(self):
        process, _url = self.start_api()
        self.server.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.server.process.send_signal, signal.SIGCONT)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(60))
        self.assertLess(time.monotonic() - begun, 20)

    def test_processes_that_an_api_has_forked_give_its_signs_of_life_and_leave_its_end_to_it(self):
        process = self.start('-c', _FORKING)
        self.assertIn('asked\n', process.stdout)  # the log, too, goes there
        (found,) = self.services.list()
        self.assertEqual(process.pid, found.pid)
        self.assertGreater(found.seen_at, found.started_at)
        process.stdin.write('\n')
        process.stdin.flush()
        self.assertEqual(0, process.wait(60))
        self.assertEqual([], self.services.list())


class TestOnMariaDB(ServicesOnAServer, base.TestCase):
    server_class = databases.MariaDB


class TestOnPostgreSQL(ServicesOnAServer, base.TestCase):
    server_class = databases.PostgreSQL
