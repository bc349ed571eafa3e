# SPDX-License-Identifier: Apache-2.0
"""The keeper of leases beside rows that others have locked, at servers that hang, and over lines
that were cut: each costs no more than its own lease.
"""

import contextlib
import logging
import os
import pathlib
import select
import signal
import socket
import subprocess
import threading

import fixtures
import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade.clock import SystemClock
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import faults, impatient, leases, models
from trove_upgrade.domain import exceptions
from trove_upgrade.taskmanager import holdings
from trove_upgrade.taskmanager.keeper import Keeper
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.repeater import Repeater
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, real_database
from trove_upgrade.tests.functional.waiting import Waiting

_ME = 'host/1.2.0123abcd-00000001'
_SHORT, _LONG = 5.0, 15.0  #: seconds of a lease
_DEADLINE_SECONDS = 60
_CHUNK = 65536


class Line(fixtures.Fixture):
    """A Unix socket before that of a server.  What it carries can be made to hang, or be cut; what
    is connected afterwards is carried.
    """

    def __init__(self, server_socket):
        super().__init__()
        self._server_socket = server_socket

    def _setUp(self):
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self._lock, self._pairs = threading.Lock(), []
        self._door = socket.socket(socket.AF_UNIX)
        self.addCleanup(self._door.close)
        self._door.bind(str(self.folder / self._server_socket.name))
        self._door.listen()
        self.addCleanup(self.cut)
        self.addCleanup(self._door.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self):
        """Nothing comes through what is connected, and nothing of it ends."""
        with self._lock:
            for hangs, _ in self._pairs:
                hangs.set()

    def cut(self):
        with self._lock:
            for _, ends in self._pairs:
                for end in ends:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server_socket))
            hangs = threading.Event()
            with self._lock:
                self._pairs.append((hangs, (client, server)))
            threading.Thread(target=self._carry, args=(hangs, client, server), daemon=True).start()

    def _carry(self, hangs, client, server):
        other = {client: server, server: client}
        while not hangs.is_set():
            for ready in select.select([client, server], [], [])[0]:
                came = b''
                with contextlib.suppress(OSError):
                    came = ready.recv(_CHUNK)
                if hangs.is_set():
                    return  # and keeps both open
                if not came:
                    client.close()
                    server.close()
                    return
                other[ready].sendall(came)


class KeptOnARealServer(Waiting, real_database.RealDatabase):
    """The cases; each server below runs all of them."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.INFO))
        self.clock = SystemClock()

    def hold(self, lease_seconds, count=3, url=None):
        """Hold rows, as workers that are at them do, over a connection of the keeper's own."""
        conf = cfg.ConfigOpts()
        database_conf.register_connection_opts(conf)
        conf.set_override('connection', url or self.url(), group='database')
        bounds = impatient.Bounds.within_lease(lease_seconds)
        self.kept = impatient.ImpatientDatabase(conf, bounds)
        self.addCleanup(self.kept.dispose)
        self.held = holdings.of_upgrades(
            leases.KeptLeases.of(self.kept).upgrades, self.clock, _ME, lease_seconds
        )
        self.keeper = Keeper(
            held=(self.held,),
            clock=self.clock,
            outages=Outages(faults.explain),
            lease_seconds=lease_seconds,
        )
        rows = contextlib.ExitStack()
        self.addCleanup(rows.close)
        self.ids = [self.db.begin(self.db.add_instance()).id for _ in range(count)]
        for row_id in self.ids:
            rows.enter_context(self.held.claimed(row_id, self.repos.upgrades.claim))
            self.held.works(row_id, 3600)

    def url(self):
        return self.migrated.engine.url.set(query=self.own_query()).render_as_string(
            hide_password=False
        )

    def own_query(self):
        query = dict(self.migrated.engine.url.query)
        return {name: query[name] for name in ('unix_socket', 'host') if name in query}

    def keep(self):
        """Renew once, which ends in a bounded time."""
        renewing = threading.Thread(target=self.keeper.keep, daemon=True)
        renewing.start()
        renewing.join(_DEADLINE_SECONDS)
        self.assertFalse(renewing.is_alive(), 'a renewal without an end')

    def keep_on(self):
        repeater = Repeater('leases', self.keeper.keep, self.keeper.interval_seconds)
        repeater.start()
        self.addCleanup(repeater.stop, _DEADLINE_SECONDS)

    def is_held(self, row_id):
        try:
            self.held.require(row_id)
        except exceptions.LeaseLost:
            return False
        return True

    def leases_until(self):
        return {row_id: self.repos.upgrades.get(row_id).lease_until for row_id in self.ids}

    def assert_renewed_at_once(self):
        before = self.leases_until()
        self.keep()
        after = self.leases_until()
        for row_id in self.ids:
            self.assertGreater(after[row_id], before[row_id])
        self.assertNotIn('could not be renewed', self.log.output)

    @contextlib.contextmanager
    def locked(self, row_id):
        """Another transaction has the row, and does not end."""
        table = models.instance_upgrades
        with self.db.database.write() as connection:
            connection.execute(
                sa.select(table.c.id).where(table.c.id == row_id).with_for_update()
            ).one()
            yield

    def test_a_row_that_another_transaction_has_locked_costs_no_other_row_its_lease(self):
        self.hold(_SHORT)
        locked = self.ids[1]
        with self.locked(locked):
            self.keep_on()
            self.wait_until(lambda: not self.is_held(locked), 'the end of its lease')
            self.assertEqual([True, False, True], [self.is_held(each) for each in self.ids])
            self.wait_until(lambda: 'LEASE_LOST' in self.log.output, 'a line of the log')
            until, now = self.leases_until(), self.repos.upgrades.now()
            self.assertEqual([True, False, True], [until[each] > now for each in self.ids])
        self.wait_until(lambda: self.is_held(locked), 'its renewal: no other has taken it')
        self.assertEqual(1, self.log.output.count('LEASE_LOST'), self.log.output)

    def test_a_server_that_hangs_and_comes_back_within_the_lease_costs_none(self):
        self.hold(_LONG)
        self.keep()
        with self.hanging_server():
            self.keep()
            self.assertIn('could not be renewed', self.log.output)
        before = self.leases_until()
        self.keep()
        after = self.leases_until()
        for row_id in self.ids:
            self.assertGreater(after[row_id], before[row_id])
            self.held.require(row_id)
        self.assertIn('What was tried again works', self.log.output)
        self.assertNotIn('LEASE_LOST', self.log.output)

    @contextlib.contextmanager
    def hanging_server(self):
        """Every process of the server stands still."""
        pids = [self.server.process.pid, *self.children(self.server.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def children(self, pid):
        done = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True)
        return [int(line) for line in done.stdout.split()]

    def test_a_line_that_hangs_is_given_up_and_the_leases_are_renewed_over_another_one(self):
        line = self.useFixture(Line(self.server_socket()))
        self.hold(_LONG, url=self.url_over(line))
        self.assert_renewed_at_once()
        line.hang()
        self.assert_renewed_at_once()

    def test_connections_that_were_cut_cost_no_renewal(self):
        line = self.useFixture(Line(self.server_socket()))
        self.hold(_LONG, url=self.url_over(line))
        self.assert_renewed_at_once()
        line.cut()
        self.assert_renewed_at_once()

    def test_a_server_that_was_started_again_costs_no_renewal(self):
        self.hold(_LONG)
        self.assert_renewed_at_once()
        self.migrated.dispose()
        self.server.stop()
        self.server.start()
        self.assert_renewed_at_once()

    def url_over(self, line):
        whole = sa.make_url(self.url())
        place = line.folder / self.server_socket().name if self.is_of_file else line.folder
        return whole.update_query_dict({self.place: str(place)}).render_as_string(
            hide_password=False
        )

    def server_socket(self):
        return self.server.folder / self.socket_name


class TestMariaDB(KeptOnARealServer, base.TestCase):
    server_class = databases.MariaDB
    socket_name, place, is_of_file = 's', 'unix_socket', True


class TestPostgreSQL(KeptOnARealServer, base.TestCase):
    server_class = databases.PostgreSQL
    socket_name, place, is_of_file = '.s.PGSQL.5432', 'host', False
