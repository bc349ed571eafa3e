# SPDX-License-Identifier: Apache-2.0
"""Our engines against a server that stands in the place of the services' database."""

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc

from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import engine, errors, login
from trove_upgrade.tests.unit import base, rogue

PASSWORD = 'canary-of-trove-2e9'
_FAILURES = (db_exc.DBError, sa.exc.DBAPIError, errors.DatabaseUnreachable)


class TestWhatAServerAsksFor(base.TestCase):
    def url(self, server, options=''):
        return (
            f'mysql+pymysql://trove:{PASSWORD}@localhost/trove?unix_socket={server.path}{options}'
        )

    def assert_kept(self, server, connect):
        try:
            connect()
        except _FAILURES as error:
            self.assertNotIn(PASSWORD, str(error))
        else:
            self.fail('it let us in')
        self.assertNotIn(PASSWORD.encode(), server.got)

    def test_a_service_does_not_send_its_password_in_clear(self):
        for plugin in (b'mysql_clear_password', b'dialog', b'mysql_old_password'):
            server = self.useFixture(
                rogue.Rogue(
                    rogue.switch(
                        plugin, b'\x04Password: ' if plugin == b'dialog' else b'12345678\x00'
                    )
                )
            )
            conf = cfg.ConfigOpts()
            database_conf.register_connection_opts(conf)
            conf([], default_config_files=[])
            conf.set_override('connection', self.url(server), 'database')
            self.assert_kept(
                server,
                lambda conf=conf: engine.Database.from_conf(conf, waits_for_server=False).engine,
            )

    def test_nor_does_an_engine_that_is_made_of_a_url(self):
        server = self.useFixture(rogue.Rogue(rogue.switch(b'mysql_clear_password')))
        self.assert_kept(server, lambda: login.guard(sa.create_engine(self.url(server))).connect())

    def test_no_option_of_a_url_brings_files_of_the_client_s(self):
        made = sa.create_engine(
            login.guarded(sa.make_url('mysql+pymysql://u:p@h/d?local_infile=1'))
        )
        parameters = {'local_infile': '1'}
        made.dialect.dispatch.do_connect(made.dialect, None, [], parameters)
        self.assertIs(False, parameters['local_infile'])

    def test_other_drivers_are_left_alone(self):
        made = sa.create_engine(login.guarded(sa.make_url('sqlite://')))
        with made.connect() as connection:
            self.assertEqual(1, connection.scalar(sa.text('SELECT 1')))
