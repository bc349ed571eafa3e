# SPDX-License-Identifier: Apache-2.0
import argparse
import contextlib
import dataclasses
import io
import runpy
import types

import sqlalchemy as sa
from alembic.operations import ops

from trove_upgrade.cmd.console.commands import Commands
from trove_upgrade.cmd.manage.db import revision
from trove_upgrade.db import errors
from trove_upgrade.db.migrations import chain
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.schema_tools import autogenerate
from trove_upgrade.schema_tools.autogenerate.comparing import compare
from trove_upgrade.schema_tools.autogenerate.splitting import split
from trove_upgrade.schema_tools.lint import lint
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.schema_tools import model_changes


class TestEachChange(model_changes.ModelChanges, base.TestCase):
    """Divided, written, run twice in both branches beside an old service, and nothing is left."""

    def engine(self):
        engine = sa.create_engine('sqlite://', poolclass=sa.StaticPool)
        self.addCleanup(engine.dispose)
        return engine


def _test_of(name):
    def test(self):
        workshop = self.try_cases(name)
        self.assertEqual(
            [],
            [
                (one.code, one.found)
                for one in lint(workshop.chain, ['beta_expand01', 'beta_contract01'])
            ],
        )

    return test


for _name, _case in model_changes.CASES.items():
    if not _case.comments:
        setattr(TestEachChange, f'test_{_name.replace(" ", "_").replace(",", "")}', _test_of(_name))


class WorkshopTestCase(model_changes.ModelChanges, base.TestCase):
    def setUp(self):
        super().setUp()
        engine = sa.create_engine('sqlite://', poolclass=sa.StaticPool)
        self.addCleanup(engine.dispose)
        self.workshop = self.useFixture(model_changes.Workshop(engine))
        self.model = model_changes.Model()

    def change(self, *names):
        for name in names:
            model_changes.CASES[name].change(self.model)
        return self.model.metadata()

    def names(self, written):
        return sorted(path.name for path in written.files)


class TestWhatIsCompared(WorkshopTestCase):
    def test_where_nothing_has_changed_nothing_is_written(self):
        before = sorted(self.workshop.folder.rglob('*.py'))
        self.assertEqual(
            ((), (), ()), dataclasses.astuple(self.workshop.generate(self.model.metadata()))
        )
        self.assertEqual(before, sorted(self.workshop.folder.rglob('*.py')))

    def test_a_table_of_another_project_is_neither_touched_nor_mentioned(self):
        self.workshop.execute('CREATE TABLE instances (id VARCHAR(36) PRIMARY KEY, name TEXT)')
        self.assertEqual((), self.workshop.generate(self.model.metadata()).files)
        written = self.workshop.generate(self.change('dropped table'))
        self.assertNotIn('instances', ''.join(path.read_text() for path in written.files))

    def test_a_table_of_the_models_that_no_revision_has_made_is_left_alone(self):
        self.workshop.execute('CREATE TABLE theirs (id INTEGER PRIMARY KEY, name TEXT)')
        self.model.tables['theirs'] = {'id': sa.Column('id', sa.String(9), primary_key=True)}
        written = self.workshop.generate(self.model.metadata())
        self.assertEqual((), written.files)
        self.assertIn('theirs', written.warnings[0])

    def test_what_postgresql_keeps_as_a_type_of_its_own_is_said(self):
        model_changes.put(
            'parts', 'name', sa.Column('name', sa.Enum('x', 'y', name='part_name'), nullable=False)
        )(self.model)
        written = self.workshop.generate(self.model.metadata(), message='names')
        self.assertIn('ALTER TYPE part_name ADD VALUE', ''.join(written.warnings))
        self.assertTrue(
            any(
                'ALTER TYPE part_name' in path.read_text().replace('\n    # ', ' ')
                for path in written.files
            )
        )

    def test_a_database_that_is_behind_is_refused_with_what_comes_next(self):
        self.workshop.generate(self.change('renamed column'))
        error = self.assertRaises(
            errors.SchemaOutOfOrder, self.workshop.generate, self.model.metadata()
        )
        self.assertEqual((ExitCode.EXPAND_NEXT, 'expand'), (error.exit_code, error.facts['next']))
        self.workshop.run('expand')
        self.assertEqual(
            ExitCode.CONTRACT_NEXT,
            self.assertRaises(
                errors.SchemaOutOfOrder, self.workshop.generate, self.model.metadata()
            ).exit_code,
        )

    def test_our_own_models_are_what_our_own_revisions_make(self):
        self.assert_our_models_are_made(sa.create_engine('sqlite://', poolclass=sa.StaticPool))

    def test_a_change_that_nobody_knows_is_a_comment_and_a_warning(self):
        class Strange(ops.MigrateOperation):
            def __init__(self):
                self.table_name, self.what = 'parts', 'partition by week'

        with self.workshop.engine.connect() as connection:
            comparison = compare(connection, self.model.metadata(), self.workshop.chain)
            found = split(
                dataclasses.replace(
                    comparison,
                    differences=(Strange(), ops.DropConstraintOp('x', 'parts', type_='primary')),
                )
            )
        self.assertEqual(['', ''], [piece.function for piece in found.expand])
        self.assertIn('partition by week', found.expand[0].comment)
        self.assertEqual((2, ()), (len(found.warnings), found.contract))

    def test_comments_are_additive(self):
        with self.workshop.engine.connect() as connection:
            comparison = compare(connection, self.model.metadata(), self.workshop.chain)
        different = (
            ops.CreateTableCommentOp('parts', 'new'),
            ops.DropTableCommentOp('kinds'),
            ops.AlterColumnOp(
                'parts',
                'name',
                existing_type=sa.String(64),
                existing_nullable=False,
                modify_comment='the name',
            ),
        )
        found = split(dataclasses.replace(comparison, differences=different))
        self.assertEqual(
            ['ensure_table_comment', 'ensure_table_comment', 'ensure_column_comment'],
            [piece.function for piece in found.expand],
        )
        self.assertEqual(((), ()), (found.contract, found.warnings))


class TestWhatIsWritten(WorkshopTestCase):
    def head(self, branch):
        return (self.workshop.folder / 'versions' / f'{branch}_HEAD').read_text()

    def test_revisions_are_numbered_follow_the_head_and_are_the_head(self):
        self.workshop.generate(self.change('nullable column'), message='Weights, at last')
        self.workshop.run('expand')
        self.workshop.run('contract')
        written = self.workshop.generate(
            self.change('dropped index', 'new index'), release=None, message='Other index'
        )
        self.assertEqual(
            [
                'CONTRACT_HEAD',
                'EXPAND_HEAD',
                'beta_contract02_other_index.py',
                'beta_expand02_other_index.py',
            ],
            self.names(written),
        )
        self.assertEqual(
            ('beta_expand02\n', 'beta_contract02\n'), (self.head('EXPAND'), self.head('CONTRACT'))
        )
        self.assertEqual(
            ['alpha_expand01', 'beta_expand01', 'beta_expand02'],
            [one.revision for one in self.workshop.chain.revisions('expand')],
        )

    def test_a_branch_that_has_nothing_to_do_gets_nothing_but_in_a_new_release(self):
        self.assertEqual(
            ['CONTRACT_HEAD', 'EXPAND_HEAD', 'beta_contract01_x.py', 'beta_expand01_x.py'],
            self.names(self.workshop.generate(self.change('nullable column'), message='x')),
        )
        self.assertEqual(([], ''), self.workshop.calls('contract'))
        self.workshop.run('expand')
        self.workshop.run('contract')
        self.assertEqual(
            ['EXPAND_HEAD', 'beta_expand02_y.py'],
            self.names(self.workshop.generate(self.change('NULL allowed'), message='y')),
        )

    def test_one_branch_alone_says_what_it_leaves(self):
        self.workshop.generate(self.change('nullable column'), message='x')
        self.workshop.run('expand')
        self.workshop.run('contract')
        written = self.workshop.generate(
            self.change('renamed column'), message='y', branches=('expand',)
        )
        self.assertEqual(['EXPAND_HEAD', 'beta_expand02_y.py'], self.names(written))
        self.assertIn('contract', written.warnings[0])

    def test_empty_ones_run_and_pass_the_lint(self):
        written = autogenerate.write_empty(
            self.workshop.tree, 'Nothing "yet"', release='beta', branches=('expand',)
        )
        self.assertEqual(
            [
                'CONTRACT_HEAD',
                'EXPAND_HEAD',
                'beta_contract01_nothing_yet.py',
                'beta_expand01_nothing_yet.py',
            ],
            self.names(written),
        )
        self.assertEqual([], lint(self.workshop.chain))
        self.workshop.run('expand')
        self.workshop.run('contract')
        written = autogenerate.write_empty(
            self.workshop.tree, 'More', release=None, branches=('contract',)
        )
        self.assertEqual(['CONTRACT_HEAD', 'beta_contract02_more.py'], self.names(written))

    def test_releases_go_forward_and_have_plain_names(self):
        autogenerate.write_empty(self.workshop.tree, 'x', release='beta', branches=chain.BRANCHES)
        for release in ('alpha', 'Gamma', 'a-b', 'x' * 22):
            self.assertRaises(
                errors.RevisionNotWritten,
                autogenerate.write_empty,
                self.workshop.tree,
                'x',
                release=release,
                branches=chain.BRANCHES,
            )

    def test_nothing_is_overwritten(self):
        taken = self.workshop.folder / 'data' / 'beta_x.py'
        taken.write_text('mine')
        self.assertRaises(
            errors.RevisionNotWritten,
            self.workshop.generate,
            self.change('renamed column'),
            message='x',
        )
        self.assertEqual(('mine', 'alpha_expand01\n'), (taken.read_text(), self.head('EXPAND')))

    def test_a_disk_that_is_full_leaves_everything_as_it_was(self):
        (self.workshop.folder / 'data').rmdir()
        (self.workshop.folder / 'data').write_text('no folder')
        error = self.assertRaises(
            errors.RevisionNotWritten,
            self.workshop.generate,
            self.change('renamed column'),
            message='x',
        )
        self.assertIn('data', error.message)
        self.assertEqual(
            ('alpha_expand01\n', []),
            (self.head('EXPAND'), list((self.workshop.folder / 'versions').glob('beta/*/*.py'))),
        )

    def test_a_renamed_columns_data_migration_is_complete(self):
        written = self.workshop.generate(self.change('renamed column'), message='labels')
        self.workshop.run('expand')
        old = model_changes.OldService(self.workshop)
        for _ in range(3):
            old.work()
        migration = self.migration(written)
        with self.workshop.engine.begin() as connection:
            self.assertEqual(6, migration.pending(connection))
            batch = migration.run_batch(connection, '', 4)
            self.assertEqual((4, 4, 2), (batch.found, batch.done, migration.pending(connection)))
            batch = migration.run_batch(connection, batch.cursor, 4)
            self.assertEqual((2, False), (batch.done, migration.is_pending(connection)))
            self.assertEqual(
                (0, batch.cursor),
                (migration.run_batch(connection, batch.cursor, 4).found, batch.cursor),
            )
        for value in ("'later'", "'LATER'"):
            self.workshop.execute(f"UPDATE parts SET name = {value} WHERE id = 'part-1'")
            with self.workshop.engine.begin() as connection:
                self.assertEqual(1, migration.pending(connection), value)
                migration.run_batch(connection, '', 4)
                self.assertEqual(0, migration.pending(connection))

    def test_a_data_migration_says_where_it_stands_and_what_is_missing(self):
        written = self.workshop.generate(self.change('NOT NULL column'), message='weights')
        migration = self.migration(written)
        self.assertEqual(
            ('beta_weights', 'beta_expand01', 'beta_contract01'),
            (migration.name, migration.after, migration.before),
        )
        self.workshop.run('expand')
        model_changes.OldService(self.workshop).work()
        with self.workshop.engine.begin() as connection:
            self.assertEqual(2, migration.pending(connection))
            self.assertRaises(NotImplementedError, migration.run_batch, connection, '', 10)
        self.assertTrue(any('MIGRATIONS' in line for line in written.to_do))

    def test_rows_of_a_key_of_several_columns_are_found_in_its_order(self):
        model_changes.put('pairs', 'mark', sa.Column('mark', sa.Integer, nullable=False))(
            self.model
        )
        written = self.workshop.generate(self.model.metadata(), message='marks')
        self.workshop.run('expand')
        for left, right in (('a', 1), ('a', 2), ('b', 1)):
            self.workshop.execute(
                f'INSERT INTO pairs ("left", "right", kind_id) VALUES (\'{left}\', {right}, 1)'
            )
        path = next(path for path in written.files if path.parent.name == 'data')
        path.write_text(
            path.read_text().replace(
                "raise NotImplementedError('pairs.mark')", "return {'mark': row['right']}"
            )
        )
        migration = self.migration(written)
        with self.workshop.engine.begin() as connection:
            batch = migration.run_batch(connection, '', 2)
            self.assertEqual('["a", 2]', batch.cursor)
            self.assertEqual(1, migration.run_batch(connection, batch.cursor, 2).done)

    def migration(self, written):
        path = next(path for path in written.files if path.parent.name == 'data')
        found = runpy.run_path(str(path))
        return found[next(name for name in found if name.startswith('Beta'))]()


class TestTheCommand(WorkshopTestCase):
    def run_command(self, *words):
        parser = argparse.ArgumentParser()
        revision.add_commands(Commands(parser))
        run = types.SimpleNamespace(
            repositories=types.SimpleNamespace(
                database=types.SimpleNamespace(read=self.workshop.engine.connect)
            )
        )
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            revision.revise(
                run,
                parser.parse_args(['revision', *words]),
                self.workshop.tree,
                self.model.metadata(),
            )
        return out.getvalue(), err.getvalue()

    def test_nothing_to_do_is_said(self):
        self.assertEqual(
            ('Nothing to do: the database is as the models say.\n', ''),
            self.run_command('-m', 'x', '--autogenerate'),
        )

    def test_each_file_is_printed_and_what_is_left_to_do(self):
        self.change('another primary key')
        out, err = self.run_command('-m', 'Keys', '--autogenerate', '--release', 'beta')
        self.assertIn('beta_contract01_keys.py\n', out)
        self.assertIn('EXPAND_HEAD\n', out)
        self.assertIn('data/beta_keys.py\n', out)
        self.assertIn('WARNING', err)

    def test_without_autogenerate_one_branch_can_be_named(self):
        out, _ = self.run_command('-m', 'Later', '--contract')
        self.assertIn('alpha_contract02_later.py', out)
        self.assertNotIn('alpha_expand02', out)
