# SPDX-License-Identifier: Apache-2.0
"""Faults on the way of the bridge through a guest, with a real SSH server in a real namespace, and
rows in a real MariaDB that goes away.  A sample: `tests/old_cloud` has all of them, on a cloud.
"""

import concurrent.futures
import functools
import os
import signal
import threading

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.bridge.crew import Crew, Pauses
from trove_upgrade.bridge.host_keys import PinnedHostKeys
from trove_upgrade.bridge.outages import Outages
from trove_upgrade.bridge.reach.accounts import Accounts
from trove_upgrade.bridge.reach.choice import RouteChooser, Routing
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.local_host import LocalHost
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door
from trove_upgrade.clock import SystemClock
from trove_upgrade.domain.bridge_runs import (
    MemberState,
    MemberStep,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases, ssh_servers
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import FakeNeutron
from trove_upgrade.tests.unit.bridge.test_openings import FORMER, World, a_port
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

PORT = 'port-1'
#: As a guest answers whose server has ended.
REFUSING = b"""
add table inet refusing
add chain inet refusing input { type filter hook input priority 0; }
add rule inet refusing input tcp dport 22 reject with tcp reset
"""
LEASE = 30.0
LONG_PAUSE = 3
SECONDS = 60
LIMITS = Limits(
    connect_seconds=5, banner_seconds=2, exchange_seconds=20, login_seconds=20, channel_seconds=20
)


class Stepped:
    """Step that does more than its own."""

    def __init__(self, step, more):
        self.step, self.more = step, more

    def run(self, member, visit, save):
        done = self.step.run(member, visit, save)
        self.more()
        return done


class FaultsTestCase(databases.OneServer, base.TestCase):
    server_class = databases.MariaDB

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(self.server.create()))
        self.network = self.useFixture(ssh_servers.Network())
        self.network.guest.start()
        self.world = self.a_world()
        self.runs = self.db.repositories.bridge_runs
        self.outages = Outages(SystemClock(), 60.0)
        self.pauses = 0
        self.is_waiting, self.may_go_on = threading.Event(), threading.Event()
        self.told = []
        self.log_in_as(self.network.guest.login_key)

    def a_world(self):
        port = a_port(
            PORT,
            server_id='s',
            network_id=self.network.id,
            addresses=(ssh_servers.GUEST_ADDRESS,),
        )
        return World(self.db, FakeNeutron(port))

    def log_in_as(self, key):
        self.door = self.a_door(Login(user='root', keys=(KeyFiles().read(key),)))
        self.steps = {
            MemberStep.OPEN: Open(door=self.door),
            MemberStep.REACH: Reach(door=self.door),
            MemberStep.CLOSE: Close(door=self.door),
        }

    def a_door(self, login):
        return Door(
            server_ports=ServerPorts(self.world.nova, self.world.neutron),
            openings=self.world.openings,
            opener=self.world.opener,
            closer=self.world.closer,
            chooser=RouteChooser(Routing(), LocalHost(sudo=False), []),
            accounts=Accounts(login),
            log_in=functools.partial(
                open_shell,
                host_keys=PinnedHostKeys(self.db.repositories.host_keys),
                limits=LIMITS,
                clock=SystemClock(),
            ),
            settle=self.runs.settle,
        )

    def a_runner(self, number, is_stopping):
        return MemberRunner(
            runs=self.runs,
            openings=self.world.openings,
            door=self.door,
            steps=self.steps,
            remove=lambda member, visit: None,
            forget=lambda member: None,
            kept=set(),
            settle=lambda member: member,
            clock=SystemClock(),
            owner=f'host-{number}',
            lease_seconds=LEASE,
            tell=lambda member, message: self.told.append(message),
            is_outage=lambda error: isinstance(error, (db_exc.DBError, sa.exc.SQLAlchemyError)),
            outages=self.outages,
            pause=self,
            is_stopping=is_stopping,
            is_gone=lambda instance_id: False,
        )

    def sleep(self, seconds):
        """Pause of the crew: the third one lasts until the test lets it go on."""
        self.pauses += 1
        if self.pauses == LONG_PAUSE:
            self.is_waiting.set()
            self.may_go_on.wait(SECONDS)

    def waits(self, claim):
        self.told.append(claim)

    def outage(self, error, patience_seconds):
        self.told.append(error)

    def ending(self, run_id, held):
        self.told.append(held)

    def work(self, meanwhile=lambda: None):
        """The member and the run, when a crew has done its work."""
        run_id = self.runs.begin([listed(database.INSTANCE)], RunScope.REACH, RunPlan()).id
        crew = Crew(self.a_runner, 1, outages=self.outages, pauses=Pauses(pause=self), watcher=self)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(crew.work, run_id)
            meanwhile()
            done.result()
        [member] = self.runs.members(run_id)
        return member, self.runs.get(run_id)

    def assert_failed(self, code, *words):
        member, run = self.work()
        self.assertEqual((MemberState.FAILED, code), (member.state, member.error_code), member)
        self.assertEqual(RunState.ENDED, run.state)
        for one in words:
            self.assertIn(one, member.cause)
        self.assert_closed()

    def assert_reached(self, meanwhile=lambda: None):
        member, run = self.work(meanwhile)
        self.assertEqual((MemberState.COMPLETED, None), (member.state, member.error_code), member)
        self.assertEqual(RunState.ENDED, run.state)
        self.assert_closed()

    def assert_closed(self):
        self.assertEqual({}, self.world.neutron.groups)
        self.assertEqual(sorted(FORMER), sorted(self.world.neutron.ports[PORT].groups))
        self.assertTrue(self.world.auditor.look().is_clean)
        self.assertEqual([], self.network.relays())


class TestSshServer(FaultsTestCase):
    def test_one_that_is_gone_has_refused_and_one_that_hangs_is_silent(self):
        sshd = self.network.guest.pid
        os.kill(sshd, signal.SIGSTOP)
        self.assert_failed('REACH_SILENT', 'has taken the connection', 'within 2 s')
        os.kill(sshd, signal.SIGCONT)
        self.assert_reached()
        self.network.in_guest('nft', '-f', '-', input=REFUSING)
        self.assert_failed('REACH_REFUSED', 'Connection refused', 'runs its SSH server')

    def test_another_host_key_and_another_login_are_refused_and_leave_nothing_open(self):
        self.assert_reached()
        key = self.network.guest.host_keys()['ed25519']
        keys = PinnedHostKeys(self.db.repositories.host_keys)
        self.assertEqual(key, keys.known('s'))
        self.db.repositories.host_keys.forget('s')
        other = ssh_servers.make_key(self.network.guest.folder / 'other', 'ed25519')
        keys.pin('s', ssh_servers.HostKey.from_text(other.with_suffix('.pub').read_text()))
        self.assert_failed('HOST_KEY_CHANGED', key.fingerprint, 'compare the new fingerprint')
        self.db.repositories.host_keys.forget('s')
        self.log_in_as(other)
        self.assert_failed('LOGIN_REFUSED', 'The login of root')


class TestDatabaseAway(FaultsTestCase):
    """Its server ends once the bridge is in the guest, and starts at the crew's third pause."""

    def test_while_a_guest_is_open_the_run_waits_and_goes_on_to_its_end(self):
        gone = []

        def goes():
            if not gone:
                gone.append(True)
                self.server.stop()

        self.steps[MemberStep.REACH] = Stepped(self.steps[MemberStep.REACH], goes)
        self.assert_reached(self.starts_again)
        self.assertEqual([True], gone)
        self.assertGreaterEqual(self.pauses, LONG_PAUSE)
        [outage] = [one for one in self.told if isinstance(one, Exception)]
        self.assertIsInstance(outage, (db_exc.DBError, sa.exc.SQLAlchemyError))

    def starts_again(self):
        self.assertTrue(self.is_waiting.wait(SECONDS))
        self.server.start()  # by the main thread: it ends with the one that has started it
        self.may_go_on.set()
