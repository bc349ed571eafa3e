# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestPrimaryKeyChanged(base.LintTestCase):
    def test_another_key_is_refused_in_both_branches(self):
        for revision in ('borealis_expand01', 'borealis_contract01'):
            codes = self.codes(
                base.only_on(
                    'mysql', 'ALTER TABLE things DROP PRIMARY KEY, ADD PRIMARY KEY (name)'
                ),
                revision=revision,
            )
            self.assertIn('PRIMARY_KEY_CHANGED', codes)
            self.assertIn(
                'PRIMARY_KEY_CHANGED',
                self.codes("op.create_primary_key('pk', 'things', ['name'])", revision=revision),
            )

    def test_that_of_a_new_table_is_fine(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), nullable=False),
                sa.Column('a', sa.Integer(), nullable=False),
                             sa.PrimaryKeyConstraint('id', name='parts_pkey'))""")
