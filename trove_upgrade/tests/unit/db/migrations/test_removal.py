# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import sqlalchemy as sa

import trove_upgrade
from trove_upgrade.db import errors, models
from trove_upgrade.db.migrations import lease, removal
from trove_upgrade.db.migrations.runner import Options
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.unit import base, database

_PAGE = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'admin' / 'remove.rst'


class TestRemoval(base.TestCase):

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.engine = self.db.database.engine
        self.said = []

    def remove(self):
        return removal.remove(self.engine, Options(holder='me'), self.said.append)

    def tables(self):
        return set(sa.inspect(self.engine).get_table_names())

    def test_every_table_of_ours_goes_and_no_other(self):
        others = self.tables() - set(removal.ours())
        self.assertIn('instances', others)
        found = self.remove()
        self.assertEqual(others, self.tables())
        self.assertEqual(len(others), found.others)
        self.assertIn('instance_upgrades has been dropped', self.said)

    def test_again_nothing_is_left_to_do(self):
        self.remove()
        self.said.clear()
        self.assertEqual((), self.remove().tables)
        self.assertEqual([], self.said)

    def test_the_version_goes_first_and_what_refuses_last(self):
        self.assertEqual('alembic_version_trove_upgrade', removal.ours()[0])
        self.assertEqual(('upgrade_services', 'instance_upgrades', lease.TABLE.name), removal.ours()[-3:])
        self.assertEqual(set(models.METADATA.tables), set(removal.ours()[1:-1]))

    def test_an_upgrade_that_runs_keeps_all_of_them(self):
        begun = self.db.begin()
        before = self.tables()
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn(begun.id, refused.message)
        self.assertEqual(before, self.tables() - {lease.TABLE.name})

    def test_a_service_that_is_listed_keeps_all_of_them(self):
        self.db.repositories.services.register('host-1', 'trove-upgrade-filter', '1.0')
        self.db.pass_time(3600)
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn('trove-upgrade-filter on host-1, silent', refused.message)

    def test_who_changes_the_schema_now_is_waited_for(self):
        with lease.Lease(self.engine, 'another').held():
            self.assertRaises(exceptions.TroveUpgradeError, removal.remove, self.engine, Options(wait_seconds=0), self.said.append)
        self.assertIn('instance_upgrades', self.tables())

    def test_the_page_names_the_same_tables_in_the_same_order(self):
        self.assertEqual(list(removal.ours()), re.findall(r'DROP TABLE (\w+);', _PAGE.read_text()))
