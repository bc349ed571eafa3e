# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


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
            op.execute('INSERT INTO parts (id) SELECT id FROM things '
                'WHERE NOT EXISTS (SELECT 1 FROM parts WHERE parts.id = things.id)')""",
        )

    def test_rows_of_a_new_table_are_nobodys_yet(self):
        self.accepted("""
            ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))
            op.execute('DELETE FROM parts')""")
