# SPDX-License-Identifier: Apache-2.0
"""What a taskmanager's loops meet: a real database that is away, or has no tables."""

import logging

import fixtures

from trove_upgrade.db import engine, errors, faults, repositories
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.recovery import Recovery
from trove_upgrade.tests.unit import base

_AWAY = 'mysql+pymysql://u:s3cret-XYZ@127.0.0.1:1/trove'


class TestOutages(base.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade', level=logging.INFO))

    def recovery(self, url):
        database = engine.Database.from_url(url, max_retries=0)
        self.addCleanup(database.dispose)
        repos = repositories.Repositories.of(database)
        return Recovery(
            upgrades=repos.upgrades,
            checks=repos.checks,
            put_upgrade=print,
            put_check=print,
            outages=Outages(faults.explain),
        )

    def look_thrice(self, url):
        recovery = self.recovery(url)
        for _ in range(3):
            recovery.run_once()
        return self.log.output.splitlines()

    def test_tables_that_are_not_there_are_one_line_with_the_advice(self):
        [line] = self.look_thrice('sqlite://')
        self.assertIn('SCHEMA_MISSING', line)
        self.assertIn(errors.MAKE_TABLES, line)

    def test_a_database_that_is_away_is_one_line_without_its_password(self):
        [line] = self.look_thrice(_AWAY)
        self.assertIn('DATABASE_ERROR', line)
        self.assertNotIn('s3cret-XYZ', line)

    def test_its_end_is_logged_once_and_the_next_outage_again(self):
        outages, error = (
            Outages(faults.explain),
            errors.DatabaseUnreachable(found='no server answers'),
        )
        for _ in range(2):
            outages.met('A look failed', error)
            outages.over('A look failed')
            outages.over('A look failed')
        self.assertEqual(4, len(self.log.output.splitlines()))

    def test_a_fault_of_the_program_keeps_its_traceback_each_time(self):
        outages = Outages(faults.explain)
        for _ in range(2):
            outages.met('A look failed', ZeroDivisionError('boom'), row='row-1')
        self.assertEqual(2, self.log.output.count('ZeroDivisionError: boom'))
        self.assertIn('row-1', self.log.output)
