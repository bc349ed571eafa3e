# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestDroppedInExpand(base.LintTestCase):
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
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True),
                sa.Column('name', sa.String(64)))
            ops.ensure_column('parts', sa.Column('size', sa.Integer()))""")
