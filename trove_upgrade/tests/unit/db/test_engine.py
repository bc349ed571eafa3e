# SPDX-License-Identifier: Apache-2.0
import datetime
import os
import time

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import columns, engine, errors, models, repetition
from trove_upgrade.tests.unit import base, database

PASSWORD = 'very-secret'


class TestRefusals(base.TestCase):
    def refusal(self, connection):
        conf = cfg.ConfigOpts()
        database_conf.register_connection_opts(conf)
        conf([], default_config_files=[])
        conf.set_override('connection', connection, 'database')
        return self.assertRaises(
            errors.DatabaseRefused, engine.require_server_database, conf, 'The taskmanager'
        ).message

    def test_sqlite_is_refused_and_the_reason_is_said(self):
        message = self.refusal('sqlite:////var/lib/x.sqlite')
        self.assertIn('several processes', message)
        self.assertIn('postgresql+psycopg2', message)

    def test_a_driver_that_is_not_named_or_not_known_is_refused_without_its_password(self):
        for drivername in ('mysql', 'postgresql', 'mysql+mysqldb', 'postgresql+asyncpg', 'oracle'):
            message = self.refusal(f'{drivername}://trove:{PASSWORD}@host/trove')
            self.assertIn(drivername, message)
            self.assertNotIn(PASSWORD, message)

    def test_nothing_and_nonsense_are_refused_without_repeating_it(self):
        self.assertIn('not set', self.refusal(None))
        self.assertIn('--config-file', self.refusal(None))
        self.assertNotIn(PASSWORD, self.refusal(f'mysql:/{PASSWORD}@'))

    def test_each_supported_driver_is_accepted(self):
        for drivername in engine.SERVER_DRIVERS:
            conf = cfg.ConfigOpts()
            database_conf.register_connection_opts(conf)
            conf([], default_config_files=[])
            conf.set_override('connection', f'{drivername}://u:p@h/d', 'database')
            engine.require_server_database(conf)

    def test_no_connection_is_made_before_the_first_use(self):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        unconfigured = engine.Database.from_conf(conf)
        self.assertRaises(errors.DatabaseRefused, lambda: unconfigured.engine)

    def test_a_server_that_is_away_is_an_error_at_once_where_nobody_can_wait(self):
        for connection in (
            'mysql+pymysql://u:p@127.0.0.1:1/d',
            'postgresql+psycopg2://u:p@127.0.0.1:1/d',
        ):
            conf = cfg.ConfigOpts()
            database_conf.register_connection_opts(conf)
            conf([], default_config_files=[])
            conf.set_override(
                'connection', connection, 'database'
            )  # with oslo.db's 10 tries, 10 s apart
            away = engine.Database.from_conf(conf, waits_for_server=False)
            began_at = time.monotonic()
            self.assertRaises(db_exc.DBConnectionError, lambda: away.engine)  # noqa: B023 - called at once
            self.assertLess(time.monotonic() - began_at, 9)


class TestDatabase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.database = self.useFixture(database.SampleDatabase(sample=False)).database

    def test_a_forked_child_makes_its_own_engine(self):
        parents = self.database.engine
        self.assertIs(parents, self.database.engine)
        child = os.fork()
        if child == 0:
            os._exit(0 if self.database.engine is not parents else 1)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_an_error_rolls_the_whole_transaction_back(self):
        def half():
            with self.database.write() as connection:
                connection.execute(sa.insert(models.upgrade_guests).values(instance_id='a'))
                raise KeyError

        self.assertRaises(KeyError, half)
        with self.database.read() as connection:
            self.assertEqual([], connection.execute(sa.select(models.upgrade_guests)).all())

    def test_a_transaction_that_was_given_up_is_run_again(self):
        runs = []

        @repetition.retry_on_deadlock
        def unlucky():
            runs.append(1)
            if len(runs) < 3:
                raise db_exc.DBDeadlock
            return 'done'

        self.assertEqual(('done', 3), (unlucky(), len(runs)))

    def test_the_databases_clock_goes_ahead_and_back_by_fractions(self):
        with self.database.read() as connection:
            now, ahead, back = connection.execute(
                sa.select(columns.now(), columns.ahead(90.25), columns.ahead(-1.5))
            ).one()
        self.assertEqual(datetime.UTC, now.tzinfo)
        self.assertAlmostEqual(90.25, (ahead - now).total_seconds(), delta=0.1)
        self.assertAlmostEqual(-1.5, (back - now).total_seconds(), delta=0.1)
        self.assertLess(abs((datetime.datetime.now(datetime.UTC) - now).total_seconds()), 10)

    def test_a_time_without_a_zone_is_never_stored(self):
        naive = datetime.datetime(2026, 1, 1)
        self.assertRaises(
            ValueError,
            columns.UtcDateTime().process_bind_param,
            naive,
            self.database.engine.dialect,
        )
