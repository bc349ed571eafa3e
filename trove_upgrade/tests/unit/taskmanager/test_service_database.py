# SPDX-License-Identifier: Apache-2.0
"""The service refuses a database that several processes cannot share."""

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import errors
from trove_upgrade.taskmanager import service
from trove_upgrade.tests.unit import base


class TestDatabase(base.TestCase):
    def test_sqlite_is_refused_and_it_says_why(self):
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)
        database_conf.register_connection_opts(conf)
        conf(args=[])
        conf.set_override('connection', 'sqlite:////tmp/never-made', 'database')
        error = self.assertRaises(errors.DatabaseRefused, service.compose, conf)
        self.assertIn('SQLite', error.message)
