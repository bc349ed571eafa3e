# SPDX-License-Identifier: Apache-2.0
"""What `db revision --autogenerate` writes is run on real servers, twice in each branch, beside
statements of the release before.
"""

import sqlalchemy as sa

from trove_upgrade.db import engine
from trove_upgrade.db.migrations import runner
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.unit.schema_tools import model_changes


class OnARealServer(model_changes.ModelChanges, databases.OneServer):
    """The cases; each server below runs all of them."""

    def engine(self):
        found = sa.create_engine(self.server.create(), poolclass=sa.NullPool)
        self.addCleanup(found.dispose)
        return found

    def test_new_things_defaults_and_what_goes_with_them(self):
        self.try_cases(
            'new table',
            'NOT NULL column',
            'renamed column',
            'NULL forbidden',
            'new default',
            'no default any more',
            'dropped unique constraint',
            'dropped foreign key',
            'comment on a table',
        )

    def test_types_indexes_and_what_is_dropped(self):
        self.try_cases(
            'wider type',
            'new index',
            'changed index of the same name',
            'another kind of type',
            'another default',
            'dropped column',
            'dropped check',
            'dropped table',
            'comment on a column',
            'unique constraint',
            'new index with options of each server',
        )

    def test_constraints_over_rows(self):
        self.try_cases(
            'NULL allowed',
            'yes or no with a default',
            'unique index',
            'foreign key',
            'check',
            'dropped column with a default',
            'dropped index',
            'nullable column',
        )

    def test_narrower_types_and_columns_with_their_indexes(self):
        self.try_cases(
            'narrower type',
            'dropped column with its index',
            'wider integer, for which rows are written anew',
        )

    def test_a_column_that_had_to_be_written(self):
        self.try_cases(
            'dropped column that had to be written', 'nullable column', 'computed column'
        )

    def test_the_runner_builds_indexes_outside_of_its_transaction(self):
        url = self.server.create()
        database = engine.Database.from_url(url)
        self.addCleanup(database.dispose)
        workshop = self.useFixture(model_changes.Workshop(database.engine))
        model = model_changes.Model()
        model_changes.CASES['new index'].change(model)
        model_changes.CASES['unique constraint'].change(model)
        workshop.generate(model.metadata())
        runner.Runner(database.engine, workshop.chain).expand()
        self.assertIn(
            'ix_parts_name_size',
            [index['name'] for index in sa.inspect(database.engine).get_indexes('parts')],
        )
        workshop.run('contract')
        self.assertEqual(([], ()), self.left(workshop, model))

    def test_our_own_models_are_what_our_own_revisions_make(self):
        self.assert_our_models_are_made(self.engine())

    def test_nothing_is_found_where_nothing_has_changed(self):
        workshop = self.useFixture(model_changes.Workshop(self.engine()))
        self.assertEqual((), workshop.generate(model_changes.Model().metadata()).files)


class TestMariaDB(OnARealServer, base.TestCase):
    server_class = databases.MariaDB


class TestPostgreSQL(OnARealServer, base.TestCase):
    server_class = databases.PostgreSQL

    def test_an_index_that_a_killed_build_has_left_invalid_is_built_again(self):
        workshop = self.useFixture(model_changes.Workshop(self.engine()))
        model = model_changes.Model()
        model_changes.CASES['new index'].change(model)
        workshop.generate(model.metadata())
        workshop.execute('CREATE INDEX ix_parts_name_size ON parts (name, size)')
        workshop.execute(
            'UPDATE pg_index SET indisvalid = false WHERE indexrelid = '
            "'ix_parts_name_size'::regclass"
        )
        workshop.run('expand')
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_parts_name_size'::regclass"
        self.assertEqual([(True,)], [tuple(row) for row in workshop.execute(valid)])
