# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestForeignKeyNotOurs(base.LintTestCase):
    def test_a_foreign_key_stays_among_our_tables(self):
        self.refused(
            'FOREIGN_KEY_NOT_OURS',
            """
            ops.ensure_table('parts', sa.Column('id', sa.Integer(),
                sa.ForeignKey('instances.id'), primary_key=True))""",
        )
        self.assertIn(
            'FOREIGN_KEY_NOT_OURS',
            self.codes(
                base.only_on(
                    'mysql',
                    'CREATE TABLE IF NOT EXISTS parts (id INT, FOREIGN KEY (id) REFERENCES '
                    'trove.instances (id))',
                )
            ),
        )
        self.accepted(
            "ops.ensure_table('parts', sa.Column('id', sa.Integer(), sa.ForeignKey('things.id'), "
            'primary_key=True))'
        )
