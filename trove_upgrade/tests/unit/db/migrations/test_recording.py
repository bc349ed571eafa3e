# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import ops as alembic_ops
from alembic.runtime.migration import MigrationContext

from trove_upgrade.db import errors, models, trove_tables
from trove_upgrade.db.migrations import recording
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations import temporary_chain

THINGS = """
ops.ensure_table(
    'things', sa.Column('id', sa.Integer(), primary_key=True), sa.Column('name', sa.String(64), \
nullable=False),
    sa.Column('note', sa.String(255)), sa.UniqueConstraint('name', name='uq_things_name'))
ops.ensure_index('ix_things_note', 'things', ['note'])
"""


class RecordingTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.revisions = self.useFixture(temporary_chain.TemporaryChain())
        self.revisions.add('aurora_expand01', THINGS)

    def record(self, body, dialect='mysql'):
        self.revisions.add('borealis_expand01', body)
        return recording.record(self.revisions.chain, 'borealis_expand01', dialect)

    def model(self, *revisions):
        return recording.schema_at(self.revisions.chain, revisions)


class TestRecord(RecordingTestCase):
    def test_each_statement_stands_beside_the_operation_that_it_was_rendered_from(self):
        recorded = recording.record(self.revisions.chain, 'aurora_expand01', 'postgresql')
        self.assertEqual(('aurora_expand01', 'expand'), (recorded.revision, recorded.branch))
        self.assertEqual(
            [alembic_ops.CreateTableOp, alembic_ops.CreateIndexOp],
            [type(one) for one in recorded.operations],
        )
        self.assertEqual(
            list(recorded.operations), [statement.operation for statement in recorded.paired]
        )
        self.assertEqual('CREATE INDEX ix_things_note ON things (note)', recorded.statements[1])

    def test_nothing_of_the_version_table_is_among_the_statements(self):
        for dialect in recording.DIALECTS:
            self.assertNotIn(
                'alembic_version',
                ''.join(recording.record(MAIN, 'aurora_expand01', dialect).statements),
            )

    def test_raw_sql_is_an_operation_and_a_statement(self):
        recorded = self.record("op.execute('ANALYZE TABLE things;')")
        self.assertEqual(('ANALYZE TABLE things',), recorded.statements)
        self.assertIsInstance(recorded.operations[0], alembic_ops.ExecuteSQLOp)

    def test_a_batch_is_seen_operation_by_operation(self):
        recorded = self.record("""
            with op.batch_alter_table('things') as batch:
                batch.drop_column('note')
                batch.add_column(sa.Column('size', sa.Integer()))
            op.drop_table('things')""")
        self.assertEqual(
            [alembic_ops.DropColumnOp, alembic_ops.AddColumnOp, alembic_ops.DropTableOp],
            [type(one) for one in recorded.operations],
        )
        self.assertEqual(
            list(recorded.operations), [statement.operation for statement in recorded.paired]
        )

    def test_a_batch_that_copies_the_table_on_sqlite_knows_the_table_from_the_revisions_before(
        self,
    ):
        recorded = self.record(
            """
            with op.batch_alter_table('things') as batch:
                batch.alter_column('note', nullable=False, existing_type=sa.String(255))
            op.execute('SELECT 1')""",
            'sqlite',
        )
        self.assertIn('note VARCHAR(255) NOT NULL', recorded.statements[0])
        self.assertIn('name VARCHAR(64) NOT NULL', recorded.statements[0])
        self.assertEqual(
            {alembic_ops.AlterColumnOp}, {type(one.operation) for one in recorded.paired[:-1]}
        )
        self.assertIsInstance(recorded.paired[-1].operation, alembic_ops.ExecuteSQLOp)

    def test_what_a_function_of_ours_asked_for_is_told_from_what_the_revision_asks_for_itself(self):
        recorded = self.record("""
            ops.ensure_column('things', sa.Column('size', sa.Integer()))
            op.add_column('things', sa.Column('colour', sa.Integer()))""")
        self.assertEqual(['size'], [one.column.name for one in recorded.ensured])

    def test_a_percent_sign_stays_one(self):
        self.assertEqual(
            ("DELETE FROM things WHERE name LIKE 'a%'",),
            self.record('op.execute("DELETE FROM things WHERE name LIKE \'a%\'")').statements,
        )

    def test_a_revision_that_reads_the_database_is_refused_in_words_and_the_next_is_recorded(self):
        error = self.assertRaises(
            errors.RevisionNotRendered, self.record, 'sa.inspect(op.get_bind())'
        )
        self.assertIn('borealis_expand01', error.message)
        self.assertEqual(
            2, len(recording.record(self.revisions.chain, 'aurora_expand01', 'mysql').statements)
        )

    def test_a_revision_that_does_not_exist_is_refused_in_words(self):
        self.assertIn(
            'nope',
            self.assertRaises(
                errors.RevisionNotRendered, recording.record, MAIN, 'nope', 'mysql'
            ).message,
        )


class TestHistory(RecordingTestCase):
    def test_a_releases_contract_comes_before_the_next_releases_expand(self):
        for revision in (
            'aurora_contract01',
            'borealis_expand01',
            'borealis_expand02',
            'borealis_contract01',
        ):
            self.revisions.add(revision)
        chain = self.revisions.chain
        self.assertEqual(
            ['aurora_expand01', 'aurora_contract01', 'borealis_expand01'],
            recording.history(chain, 'borealis_expand02'),
        )
        self.assertEqual(
            ['aurora_expand01', 'aurora_contract01', 'borealis_expand01', 'borealis_expand02'],
            recording.history(chain, 'borealis_contract01'),
        )
        self.assertEqual([], recording.history(chain, 'aurora_expand01'))


class TestSchemaAt(RecordingTestCase):
    def test_the_model_of_all_revisions_is_that_of_the_code(self):
        for chain, metadata in ((MAIN, models.METADATA), (STANDALONE, trove_tables.METADATA)):
            model = recording.schema_at(chain, recording.history(chain, ''))
            engine = sa.create_engine('sqlite://')
            metadata.create_all(engine)
            with engine.connect() as connection:
                context = MigrationContext.configure(connection, opts={'compare_type': True})
                self.assertEqual([], compare_metadata(context, model))
            for table in metadata.sorted_tables:
                self.assertEqual(
                    [(column.name, repr(column.type), column.nullable) for column in table.c],
                    [
                        (column.name, repr(column.type), column.nullable)
                        for column in model.tables[table.name].c
                    ],
                )

    def test_each_kind_of_operation_changes_it(self):
        self.revisions.add(
            'borealis_expand01',
            """
            op.add_column('things', sa.Column('size', sa.Integer(), index=True))
            op.alter_column('things', 'note', nullable=False, type_=sa.Text(), server_default='-', \
existing_type=sa.String(255))
            op.alter_column('things', 'name', new_column_name='title', \
existing_type=sa.String(64), existing_nullable=False)
            op.create_table_comment('things', 'what there is')
            op.create_index('ix_things_lower', 'things', [sa.text('lower(title)')])
            op.create_check_constraint('ck_things_size', 'things', 'size > 0')""",
        )
        things = self.model('aurora_expand01', 'borealis_expand01').tables['things']
        self.assertEqual(['id', 'title', 'note', 'size'], [column.name for column in things.c])
        self.assertEqual(
            ('TEXT', False, '-'),
            (str(things.c.note.type), things.c.note.nullable, things.c.note.server_default.arg),
        )
        self.assertEqual(
            {'ix_things_note', 'ix_things_size', 'ix_things_lower'},
            {index.name for index in things.indexes},
        )
        self.assertEqual(
            [['title']],
            [
                list(one.columns.keys())
                for one in things.constraints
                if isinstance(one, sa.UniqueConstraint)
            ],
        )
        self.assertIn('ck_things_size', {one.name for one in things.constraints})
        self.assertEqual('what there is', things.comment)

    def test_what_is_dropped_is_gone_with_its_indexes(self):
        self.revisions.add(
            'borealis_expand01',
            """
            op.drop_constraint('uq_things_name', 'things', type_='unique')
            op.drop_column('things', 'note')""",
        )
        things = self.model('aurora_expand01', 'borealis_expand01').tables['things']
        self.assertEqual(
            (['id', 'name'], set()), ([column.name for column in things.c], things.indexes)
        )
        self.assertEqual(['id'], list(things.primary_key.columns.keys()))
        self.assertFalse(
            [one for one in things.constraints if isinstance(one, sa.UniqueConstraint)]
        )

    def test_keys_to_another_table_come_and_go(self):
        self.revisions.add(
            'borealis_expand01',
            """
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True), \
sa.Column('thing_id', sa.Integer()))
            op.create_foreign_key('fk_parts_thing', 'parts', 'things', ['thing_id'], ['id'])""",
        )
        self.revisions.add(
            'borealis_expand02', "op.drop_constraint('fk_parts_thing', 'parts', type_='foreignkey')"
        )
        with_key = self.model('aurora_expand01', 'borealis_expand01').tables['parts']
        self.assertEqual(['things.id'], [key.target_fullname for key in with_key.foreign_keys])
        without = self.model('aurora_expand01', 'borealis_expand01', 'borealis_expand02').tables[
            'parts'
        ]
        self.assertFalse(without.foreign_keys or without.c.thing_id.foreign_keys)

    def test_another_primary_key_and_another_name(self):
        self.revisions.add(
            'borealis_expand01',
            """
            op.drop_constraint('pk', 'things', type_='primary')
            op.create_primary_key('pk', 'things', ['name', 'id'])
            op.drop_index('ix_things_note')
            op.rename_table('things', 'objects')""",
        )
        model = self.model('aurora_expand01', 'borealis_expand01')
        self.assertEqual(['objects'], list(model.tables))
        self.assertEqual(['name', 'id'], list(model.tables['objects'].primary_key.columns.keys()))
        self.assertEqual(set(), model.tables['objects'].indexes)

    def test_a_dropped_table_is_gone(self):
        self.revisions.add('borealis_contract01', "op.drop_table('things')")
        self.assertEqual({}, dict(self.model('aurora_expand01', 'borealis_contract01').tables))
