# SPDX-License-Identifier: Apache-2.0
import ast
import pathlib

import alembic.script
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db import engine, errors, models, trove_tables
from trove_upgrade.db.migrations import runner
from trove_upgrade.tests.unit import base


def differences(connection):
    """What autogenerate would change so that the schema becomes what the models say."""
    def ours(name, kind, _parents):
        return kind != 'table' or not name.startswith('alembic_version')
    context = MigrationContext.configure(connection, opts={'compare_type': True, 'include_name': ours})
    return compare_metadata(context, [models.METADATA, trove_tables.METADATA])


class RunnerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.database = engine.Database.from_url('sqlite://')
        self.addCleanup(self.database.dispose)
        self.runner = runner.Runner(self.database.engine)

    def tables(self):
        return set(sa.inspect(self.database.engine).get_table_names())

    def execute(self, statement):
        with self.database.write() as connection:
            connection.exec_driver_sql(statement)


class TestSync(RunnerTestCase):

    def test_the_migrated_schema_is_what_the_models_say(self):
        self.runner.sync(standalone=True)
        with self.database.read() as connection:
            self.assertEqual([], differences(connection))

    def test_an_empty_database_says_so_and_a_synced_one_names_both_branches(self):
        self.assertEqual('none', self.runner.version())
        self.assertEqual([None, None], [state.current for state in self.runner.states()])
        self.runner.sync(standalone=False)
        self.assertEqual('borealis_expand01, borealis_contract01', self.runner.version())
        self.assertTrue(all(state.at_head for state in self.runner.states()))

    def test_without_standalone_only_our_own_tables_are_made(self):
        self.assertEqual(['expand', 'contract'], [state.branch for state in self.runner.sync(standalone=False)])
        self.assertEqual({*models.METADATA.tables, 'alembic_version_trove_upgrade'}, self.tables())

    def test_standalone_is_shown_from_then_on(self):
        self.runner.sync(standalone=True)
        self.assertEqual(['expand', 'contract', 'standalone'], [state.branch for state in self.runner.states()])

    def test_a_second_run_changes_nothing(self):
        first = self.runner.sync(standalone=True)
        self.execute("INSERT INTO upgrade_guests (instance_id) VALUES ('a')")
        self.assertEqual(first, self.runner.sync(standalone=True))
        with self.database.read() as connection:
            self.assertEqual(1, len(connection.execute(sa.select(models.upgrade_guests)).all()))

    def test_a_run_that_died_half_way_is_carried_on(self):
        self.runner.sync(standalone=True)
        self.execute('DELETE FROM alembic_version_trove_upgrade')
        self.execute('DELETE FROM alembic_version_trove_upgrade_standalone')
        for missing in ('upgrade_checks', 'upgrade_target_facts', 'backups'):
            self.execute(f'DROP TABLE {missing}')
        self.execute('DROP INDEX uq_upgrade_outbox_upgrade_id_attempt_position')
        self.runner.sync(standalone=True)
        with self.database.read() as connection:
            self.assertEqual([], differences(connection))

    def test_troves_own_version_table_is_never_touched(self):
        self.execute('CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)')
        self.execute("INSERT INTO alembic_version VALUES ('95418fe2a1c8')")
        self.runner.sync(standalone=False)
        with self.database.read() as connection:
            self.assertEqual(['95418fe2a1c8'], connection.exec_driver_sql('SELECT * FROM alembic_version').scalars().all())

    def test_beside_a_real_trove_the_standalone_tables_are_refused(self):
        self.execute('CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)')
        self.execute('CREATE TABLE instances (id VARCHAR(36))')
        error = self.assertRaises(errors.SchemaError, self.runner.sync, standalone=True)
        self.assertIn('--standalone', error.message)
        self.assertEqual({'alembic_version', 'instances'}, self.tables())

    def test_a_revision_of_a_later_release_is_refused_in_words(self):
        self.runner.sync(standalone=False)
        self.execute("UPDATE alembic_version_trove_upgrade SET version_num = 'zulu_expand01' WHERE version_num = 'borealis_expand01'")
        for call in (self.runner.version, self.runner.states, lambda: self.runner.upgrade('expand@head')):
            self.assertIn('zulu_expand01', self.assertRaises(errors.SchemaError, call).message)

    def test_a_revision_that_does_not_exist_is_refused_in_words(self):
        self.assertRaises(errors.SchemaError, self.runner.upgrade, 'nothing@head')


class TestRevisions(base.TestCase):

    def scripts(self):
        for chain in (runner.MAIN, runner.STANDALONE):
            directory = alembic.script.ScriptDirectory.from_config(runner._config(chain))
            yield chain, directory, list(directory.walk_revisions())

    def test_ids_name_release_branch_and_number_in_32_characters(self):
        for _, _, revisions in self.scripts():
            for script in revisions:
                self.assertRegex(script.revision, r'^[a-z]+_(expand|contract|standalone)[0-9]{2}$')
                self.assertLessEqual(len(script.revision), 32)
                self.assertIn(next(iter(script.branch_labels)), script.revision)

    def test_none_depends_on_another_and_each_branch_has_one_head(self):
        for chain, directory, revisions in self.scripts():
            self.assertEqual([None] * len(revisions), [script.dependencies for script in revisions])
            self.assertEqual(len(chain.branches), len(directory.get_heads()))

    def test_each_release_has_both_branches(self):
        releases = {path.parent.name for path in runner.MAIN.folders()}
        self.assertTrue(releases)
        for release in releases:
            for branch in runner.BRANCHES:
                self.assertTrue([path for path in runner.MAIN.folders()
                                 if path.parts[-2:] == (release, branch) and list(path.glob('*.py'))], (release, branch))

    def test_each_revision_is_printed_offline_for_both_servers(self):
        offline = runner.Runner(sa.create_engine('sqlite://'))
        for dialect in ('mysql', 'postgresql'):
            text = offline.offline_sql('expand@head', dialect) + offline.offline_sql('standalone@head', dialect, runner.STANDALONE)
            for table in (*models.METADATA.tables, *trove_tables.METADATA.tables):
                self.assertIn(f'CREATE TABLE {table} ', text)
            self.assertIn('UNIQUE INDEX uq_instance_upgrades_active_instance_id', text)

    def test_a_revision_never_reads_the_models_that_move_on(self):
        for _, _, revisions in self.scripts():
            for script in revisions:
                imported = {alias.name for node in ast.walk(ast.parse(pathlib.Path(script.path).read_text()))
                            if isinstance(node, ast.ImportFrom) for alias in node.names}
                self.assertFalse(imported & {'models', 'trove_tables'}, script.path)
