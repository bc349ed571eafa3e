# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestRemovals(base.LintTestCase):
    def test_what_older_services_use_is_not_dropped_in_expand(self):
        self.assertEqual(
            'things.size',
            self.refused('DROPPED_IN_EXPAND', "ops.ensure_no_column('things', 'size')").about,
        )
        self.assertEqual(
            'things', self.refused('DROPPED_IN_EXPAND', "ops.ensure_no_table('things')").about
        )
        self.assertIn(
            'DROPPED_IN_EXPAND', self.codes(base.only_on('mysql', 'DROP TABLE IF EXISTS things'))
        )
        self.assertIn(
            'DROPPED_IN_EXPAND',
            self.codes(base.only_on('postgresql', 'ALTER TABLE ONLY public.things DROP size')),
        )

    def test_a_batch_cannot_hide_it_on_sqlite_alone(self):
        self.assertIn(
            'DROPPED_IN_EXPAND',
            self.codes("""
            if op.get_context().dialect.name == 'sqlite':
                with op.batch_alter_table('things', recreate='always') as batch:
                    batch.drop_column('size')"""),
        )

    def test_in_contract_and_of_a_new_table_it_is_fine(self):
        self.accepted("ops.ensure_no_column('things', 'size')", revision='borealis_contract01')
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True), \
sa.Column('name', sa.String(64)))
            ops.ensure_column('parts', sa.Column('size', sa.Integer()))""")

    def test_a_name_stays_in_both_branches(self):
        rename = (
            "op.alter_column('things', 'size', new_column_name='width', existing_type=sa.Integer())"
        )
        for revision in ('borealis_expand01', 'borealis_contract01'):
            self.assertIn('RENAMED', self.codes(rename, revision=revision))
            self.assertIn(
                'RENAMED', self.codes("op.rename_table('things', 'objects')", revision=revision)
            )
        for statement in (
            'ALTER TABLE things CHANGE size width INT',
            'RENAME TABLE things TO objects',
            'ALTER TABLE things RENAME TO objects',
            'ALTER TABLE things RENAME COLUMN size TO width',
        ):
            self.assertIn('RENAMED', self.codes(base.only_on('mysql', statement)), statement)

    def test_an_index_stays_until_the_contract(self):
        self.assertEqual(
            'things.ix_things_note',
            self.refused('INDEX_DROPPED', "ops.ensure_no_index('ix_things_note', 'things')").about,
        )
        self.accepted(
            "ops.ensure_no_index('ix_things_note', 'things')", revision='borealis_contract01'
        )


class TestIndexLocksWriters(base.LintTestCase):
    def test_postgresql_builds_it_concurrently(self):
        finding = self.refused(
            'INDEX_LOCKS_WRITERS', "ops.ensure_index('ix_things_size', 'things', ['size'])"
        )
        self.assertEqual(('postgresql',), finding.dialects)
        self.accepted("ops.ensure_index_online('ix_things_size', 'things', ['size'])")
        self.accepted(
            "ops.ensure_index_online('ix_things_size', 'things', ['size'])",
            revision='borealis_contract01',
        )

    def test_a_unique_constraint_locks_in_contract_too_unless_its_index_has_been_built(self):
        self.assertIn(
            'INDEX_LOCKS_WRITERS',
            self.codes(
                base.only_on('postgresql', 'ALTER TABLE things ADD CONSTRAINT uq UNIQUE (name)'),
                revision='borealis_contract01',
            ),
        )
        self.accepted(
            "ops.ensure_constraint('things', sa.UniqueConstraint('name', name='uq_things_name'))",
            revision='borealis_contract01',
        )

    def test_a_new_table_may_be_locked(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True), \
sa.Column('size', sa.Integer()))
            ops.ensure_index('ix_parts_size', 'parts', ['size'])""")

    def test_mysql_is_not_asked_for_locks_nor_for_what_needs_them(self):
        for statement in (
            'CREATE FULLTEXT INDEX ft ON things (note)',
            'ALTER TABLE things ADD COLUMN a INT, LOCK=EXCLUSIVE',
            'CREATE INDEX ix ON things (size) ALGORITHM = COPY',
            'ALTER TABLE things ADD SPATIAL INDEX (size)',
        ):
            self.assertIn(
                'INDEX_LOCKS_WRITERS', self.codes(base.only_on('mysql', statement)), statement
            )
        self.assertNotIn(
            'INDEX_LOCKS_WRITERS',
            self.codes(base.only_on('mysql', 'CREATE INDEX ix ON things (size) LOCK=NONE')),
        )


class TestInvalidIndexLeft(base.LintTestCase):
    def test_what_a_killed_build_has_left_is_dropped_first(self):
        build = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON things (size)'
        self.refused('INVALID_INDEX_LEFT', base.only_on('postgresql', build))
        self.accepted(base.only_on('postgresql', 'DROP INDEX CONCURRENTLY IF EXISTS ix', build))


class TestDataChanged(base.LintTestCase):
    def test_rows_are_for_data_migrations_in_both_branches(self):
        for revision in ('borealis_expand01', 'borealis_contract01'):
            self.refused(
                'DATA_CHANGED', 'op.execute("UPDATE things SET note = name")', revision=revision
            )
            self.refused(
                'DATA_CHANGED', "op.execute(sa.delete(sa.table('things')))", revision=revision
            )

    def test_a_copy_of_a_whole_table_is_one_transaction_too(self):
        self.refused(
            'DATA_CHANGED',
            """
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            op.execute('INSERT INTO parts (id) SELECT id FROM things WHERE NOT EXISTS (SELECT 1 \
FROM parts WHERE parts.id = things.id)')""",
        )

    def test_rows_of_a_new_table_are_nobodys_yet(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            op.execute('DELETE FROM parts')""")
