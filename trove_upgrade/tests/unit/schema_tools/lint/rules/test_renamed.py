# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestRenamed(base.LintTestCase):
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
