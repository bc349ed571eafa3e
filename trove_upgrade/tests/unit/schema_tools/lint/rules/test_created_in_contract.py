# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestCreatedInContract(base.LintTestCase):
    def test_a_table_or_a_column_that_this_release_already_wants_is_refused(self):
        self.refused(
            'CREATED_IN_CONTRACT',
            "ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))",
            revision='borealis_contract01',
        )
        self.refused(
            'CREATED_IN_CONTRACT',
            "ops.ensure_column('things', sa.Column('colour', sa.Integer()))",
            revision='borealis_contract01',
        )

    def test_in_expand_they_are_fine(self):
        self.accepted("ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))")
