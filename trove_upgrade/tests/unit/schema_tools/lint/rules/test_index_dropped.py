# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestIndexDropped(base.LintTestCase):
    def test_an_index_stays_until_the_contract(self):
        self.assertEqual(
            'things.ix_things_note',
            self.refused('INDEX_DROPPED', "ops.ensure_no_index('ix_things_note', 'things')").about,
        )
        self.accepted(
            "ops.ensure_no_index('ix_things_note', 'things')", revision='borealis_contract01'
        )
