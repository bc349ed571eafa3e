# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


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
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True),
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
