# SPDX-License-Identifier: Apache-2.0
"""Faults of the control plane: its database, and a second bridge at the same instance.  Needs a
bundle in `dist`: "make bundle".
"""

import datetime
import signal
import time
import uuid

import psutil
import sqlalchemy as sa

from lab.cloud import Cloud
from trove_upgrade.db import models
from trove_upgrade.tests.old_cloud.faults_case import FaultsTestCase
from trove_upgrade.tests.old_cloud.moments import MOMENTS

_BY_NAME = {one.name: one for one in MOMENTS}
AWAY_SECONDS = 60
PORT_HAS_GROUP = _BY_NAME['the port has the group']
LOGGED_IN = _BY_NAME['it is logged in']
ON_ITS_WAY = _BY_NAME['the bundle is on its way']
AGENT_RUNS = _BY_NAME['our agent runs']
DATABASE = 'mariadb'


class DatabaseTestCase(FaultsTestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(self.stage.stage.layout)

    def begun(self):
        begun = self.begin('run', '--instance', self.instance.id)
        self.run_id = begun.wait_begun()
        return begun

    def wait_for(self, moment):
        self.wait_until(lambda: moment.has_come(self), moment.name, 180, 0.05)

    def last(self, seconds):
        """Let a fault last so long."""
        until = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= until, 'the end of the fault', seconds + 5)

    def away(self, seconds):
        """The database is stopped for so long: Keystone, Nova and Neutron lose theirs with it."""
        self.cloud.stop_process(DATABASE)
        try:
            self.last(seconds)
        finally:
            self.cloud.restart(DATABASE)


class TestDatabaseAway(DatabaseTestCase):
    def test_for_a_minute_each_time_the_run_goes_on_from_wherever_it_was(self):
        begun = self.begun()
        for moment in (PORT_HAS_GROUP, ON_ITS_WAY, AGENT_RUNS):
            self.wait_for(moment)
            self.assertIsNone(begun.process.poll(), f'{moment.name}: it had ended')
            self.away(AWAY_SECONDS)
        ended = begun.wait_ended()
        self.assertEqual(0, ended.code, ended.output)
        self.assertIn('Asked again for', ended.output)
        self.assert_completed(ended.run_id, self.instance)

    def test_one_that_hangs_and_drops_all_connections_holds_up_the_run_and_ends_it_not(self):
        begun = self.begun()
        self.wait_for(ON_ITS_WAY)
        self.hangs(AWAY_SECONDS)
        ended = begun.wait_ended()
        self.assertEqual(0, ended.code, ended.output)
        self.assert_completed(ended.run_id, self.instance)

    def hangs(self, seconds):
        [pid] = [one.pid for one in self.cloud.status() if one.name == DATABASE]
        server = psutil.Process(pid)
        server.send_signal(signal.SIGSTOP)
        try:
            self.last(seconds)
        finally:
            server.send_signal(signal.SIGCONT)
        with self.database() as connection:
            own = connection.exec_driver_sql('SELECT CONNECTION_ID()').scalar_one()
            for row in connection.exec_driver_sql('SHOW PROCESSLIST').all():
                if row.Id != own:
                    connection.exec_driver_sql(f'KILL {row.Id}')

    def test_the_ports_that_are_open_meanwhile_are_closed_after_their_lease_though_it_is_killed(
        self,
    ):
        begun = self.begun()
        self.wait_for(LOGGED_IN)
        begun.kill()
        self.away(1)
        self.wait_until(lambda: not self.ours(), 'a taskmanager to close the port', 180)
        self.assert_closed()
        self.assertEqual(0, self.resumed(self.run_id, 300))
        self.assert_completed(self.run_id, self.instance)


class TestTwoBridges(FaultsTestCase):
    def test_a_second_run_of_an_instance_is_refused_by_the_name_of_the_first(self):
        begun = self.begin('run', '--instance', self.instance.id)
        self.run_id = begun.wait_begun()
        self.wait_until(lambda: LOGGED_IN.has_come(self), LOGGED_IN.name, 120, 0.05)
        second = self.begin('reach', '--all')
        second.process.wait(120)
        self.assertNotEqual(0, second.process.returncode)
        self.assertIn('INSTANCE_IN_OTHER_RUN', second.output)
        self.assertIn(self.run_id, second.output)
        self.assertIn('Resume or abort that run', second.output)
        ended = begun.wait_ended()
        self.assertEqual(0, ended.code, ended.output)
        self.assert_completed(ended.run_id, self.instance)

    def test_two_processes_on_one_run_share_its_members_and_each_is_entered_once(self):
        self.watch(*self.stage.instances)
        begun = self.begin('reach', '--all', '--at-once', '2', '--canary', '0')
        run_id = begun.wait_begun()
        beside = self.bridge('resume', run_id, *self.way())
        self.assertNotIn('ERROR', beside.stderr)
        ended = begun.wait_ended()
        self.assertEqual(0, ended.code, ended.output)
        for one in self.stage.instances:
            found = self.member(run_id, one)
            self.assertEqual('COMPLETED', found['state'], found)
            self.assertEqual(
                ['open', 'reach', 'close'], [step['step'] for step in found['steps']], found
            )
        self.assert_closed()
        self.assert_as_before()

    def test_a_port_that_another_bridges_row_has_open_is_not_opened_twice(self):
        [port] = self.groups(self.instance)
        opening = self.forged(port)
        self.addCleanup(self.forget, opening)
        ended = self.tried('reach', '--instance', self.instance.id)
        self.assertEqual(1, ended.code, ended.output)
        self.assert_line(ended.run_id, 'FAILED', 'PORT_ALREADY_OPEN', opening, 'Wait for that run')
        self.assertEqual(set(), self.ours())
        self.forget(opening)
        self.assert_closed()
        self.assert_as_before()
        self.assert_is_reached()

    def forged(self, port):
        """The row of an opening that no process here has begun, with a lease; its id."""
        opening_id = str(uuid.uuid4())
        now = datetime.datetime.now(datetime.UTC)
        row = {
            'id': opening_id,
            'run_id': str(uuid.uuid4()),
            'instance_id': self.instance.id,
            'port_id': port,
            'open_port_id': port,
            'network_id': self.instance.network.network_id,
            'project_id': self.instance.network.project_id,
            'source': '10.60.0.2/32',
            'state': 'INTENDED',
            'created_at': now,
            'lease_until': now + datetime.timedelta(hours=1),
        }
        with self.database() as connection:
            connection.execute(sa.insert(models.upgrade_bridge_openings).values(row))
        return opening_id

    def forget(self, opening_id):
        table = models.upgrade_bridge_openings
        with self.database() as connection:
            connection.execute(sa.delete(table).where(table.c.id == opening_id))
