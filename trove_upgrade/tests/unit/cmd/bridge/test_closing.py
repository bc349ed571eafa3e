# SPDX-License-Identifier: Apache-2.0
"""The end of a command that has worked on a run, whatever gives no answer then."""

import argparse
import contextlib
import errno
import io

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.cmd.bridge import accepted, closing, smoke
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.console import program
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.domain.bridge_runs import MemberState, RunPlan, RunScope
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.network import NetworkUnavailable
from trove_upgrade.domain.pace import Pace
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.report import samples
from trove_upgrade.tests.unit.bridge.trove import Time
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_key
from trove_upgrade.tests.unit.cmd.bridge.test_smoke import SHAPE
from trove_upgrade.tests.unit.db.test_bridge_pace import ids
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FAILED, OPEN = 1, 3
FIRST = database.INSTANCE


class Tables:
    """Rows of runs, from a database that is away for so many questions."""

    def __init__(self, real, away):
        self._real, self.away = real, away

    def __getattr__(self, name):
        if self.away > 0:
            self.away -= 1
            raise db_exc.DBConnectionError
        return getattr(self._real, name)


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, 'No space left on device')


class ClosingTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs
        options = argparse.Namespace(config_file=[str(self.conf)], config_dir=[])
        conf = program.configuration(options, compute_conf.register_credentials)
        self.context = Context(conf, lambda: self.log_in(conf, None))
        self.addCleanup(self.context.close)
        self.pauses = []
        self.neutron_is_away = 0  #: for so many questions
        self.groups_named = self.neutron.groups_named
        self.neutron.groups_named = self.asked_for_groups

    def asked_for_groups(self, name):
        if self.neutron_is_away > 0:
            self.neutron_is_away -= 1
            raise NetworkUnavailable(what='groups', found='503')
        return self.groups_named(name)

    def sleep(self, seconds):
        self.pauses.append(seconds)

    def begun(self, *members, scope=RunScope.REACH, **plan):
        return self.runs.begin(members, scope, RunPlan(pace=Pace(canary=0, wave_size=0), **plan)).id

    def completed(self, run_id):
        return self.runs.end(self.runs.claim(run_id, 'host-1', 60).member, MemberState.COMPLETED)

    def tables_away(self, questions):
        repositories = self.context.repositories
        object.__setattr__(repositories, 'bridge_runs', Tables(self.runs, questions))

    def closed(self, run_id, patience=None, code=0):
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            ended = closing.end(self.context, run_id, patience or closing.Patience(pause=self))
        self.assertEqual(code, ended, told.getvalue())
        return told.getvalue()


class TestOutages(ClosingTestCase):
    def setUp(self):
        super().setUp()
        self.run_id = self.begun(listed(FIRST))
        self.completed(self.run_id)

    def test_a_neutron_that_is_away_for_a_moment_is_asked_again_and_that_is_told(self):
        self.neutron_is_away = 2
        told = self.closed(self.run_id)
        self.assertEqual(2, told.count('NETWORK_UNAVAILABLE'))
        self.assertEqual([5.0, 5.0], self.pauses)
        self.assertTrue(told.endswith('Nothing is open.\n'), told)

    def test_one_that_stays_away_leaves_the_table_and_a_line_that_names_the_report(self):
        self.neutron_is_away = 1000
        told = self.closed(self.run_id, code=FAILED)
        self.assertIn(f'{FIRST}  db', told)
        self.assertIn('1 instances: 1 COMPLETED.', told)
        last = told.splitlines()[-1]
        self.assertIn('Not known whether something is open.', last)
        self.assertIn(f'"trove-upgrade-bridge report {self.run_id}"', last)
        self.assertNotIn('same command', told)
        self.assertEqual(3, len(self.pauses))

    def test_a_database_that_is_away_for_a_moment_is_asked_again(self):
        self.tables_away(3)
        told = self.closed(self.run_id)
        self.assertIn('DATABASE_ERROR', told)
        self.assertIn(f'{FIRST}  db', told)

    def test_one_that_stays_away_is_one_line_that_names_the_report(self):
        self.tables_away(1000)
        told = self.closed(self.run_id, code=FAILED)
        last = told.splitlines()[-1]
        self.assertIn('Not known how the members are.', last)
        self.assertIn(f'"trove-upgrade-bridge report {self.run_id}"', last)

    def test_after_an_interruption_nothing_is_waited_for(self):
        self.neutron_is_away = 1
        patience = closing.Patience(pause=self, tries=closing.AT_ONCE.tries)
        self.assertIn('Not known', self.closed(self.run_id, patience, code=FAILED))
        self.assertEqual([], self.pauses)

    def test_a_terminal_that_takes_nothing_changes_no_exit_code(self):
        patience = closing.Patience(pause=self)
        with contextlib.redirect_stdout(Full()):
            self.assertEqual(0, closing.end(self.context, self.run_id, patience))


class TestCounts(ClosingTestCase):
    def test_what_was_left_out_and_what_waits_is_counted_with_its_reason(self):
        for count in (2, 30):
            with self.subTest(count=count):
                first, *others = ids(2 * count + 1)
                waiting, left_out = others[:count], others[count:]
                run_id = self.begun(
                    *(listed(one) for one in (first, *waiting)),
                    *(listed(one, Obstacle.NO_DRIVER) for one in left_out),
                )
                self.completed(run_id)
                told = self.closed(run_id, code=FAILED)
                self.assertIn(f'1 COMPLETED, {count} LEFT_OUT, {count} PENDING.', told)
                self.assertIn(f'{count} NO_DRIVER: backup and re-creation.', told)
                self.assertIn(f'Waiting: {count} as nothing is in the way any more.', told)
                self.runs.abort(run_id)


class TestCommands(ClosingTestCase):
    def test_work_that_an_error_ends_names_the_run_that_goes_on(self):
        run_id = self.begun(listed(FIRST))
        refuses = (
            'CREATE TRIGGER refuses BEFORE UPDATE ON upgrade_bridge_members '
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        with self.world.db.database.write() as connection:
            connection.execute(sa.text(refuses))
        words = ('--no-local', '--key-file', a_key(self.folder))
        told = self.tool('resume', run_id, *words, code=FAILED)
        self.assertIn(f'{FIRST}  db', told)
        self.assertIn(f'"trove-upgrade-bridge resume {run_id}" goes on with the run.', told)
        self.assertIn('ERROR DATABASE_ERROR', told)


class TestSmoke(ClosingTestCase):
    def setUp(self):
        super().setUp()
        self.run_id = self.begun(listed(FIRST), scope=RunScope.UPGRADE, targets={FIRST: 'v2'})
        self.completed(self.run_id)

    def made(self, stdout):
        with contextlib.redirect_stdout(stdout):
            return smoke.make(self.context, self.run_id, SHAPE, Time())

    def test_a_database_that_is_away_for_a_moment_costs_no_new_instance(self):
        self.tables_away(2)
        told = io.StringIO()
        self.assertEqual(0, self.made(told), told.getvalue())
        self.assertEqual(1, len(self.databases.made))

    def test_one_that_stays_away_is_told(self):
        self.tables_away(1000)
        told = io.StringIO()
        self.assertEqual(FAILED, self.made(told))
        self.assertIn('Not known which versions', told.getvalue())
        self.assertEqual([], self.databases.made)

    def test_a_terminal_that_takes_nothing_leaves_no_instance_behind(self):
        self.assertEqual(0, self.made(Full()))
        self.assertEqual((1, {}), (len(self.databases.made), self.databases.there))


class TestAccepted(BridgeTestCase):
    def test_failures_that_are_accepted_are_told_with_their_codes(self):
        members = samples.members_of_every_kind()
        told = accepted.accepted_line(members)
        failed = [one for one in members if one.state is MemberState.FAILED]
        self.assertTrue(told.startswith(f'Failures accepted: {len(failed) + 1} ('), told)
        self.assertIn('1 BRIDGE_GUEST_FULL', told)
        self.assertNotIn('NO_DRIVER', told)
        self.assertEqual('Failures accepted: none.', accepted.accepted_line([]))
