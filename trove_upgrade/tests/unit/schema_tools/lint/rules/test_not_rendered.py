# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestNotRendered(base.LintTestCase):
    def test_a_revision_that_needs_a_database_is_refused(self):
        found = self.findings(
            'sa.inspect(op.get_bind()).get_table_names()',
            attributes="safety_assured = {'ONLINE_ONLY': 'a test'}",
        )
        self.assertEqual({'NOT_RENDERED'}, {finding.code for finding in found})
        self.assertEqual(
            {'mysql', 'mariadb', 'postgresql', 'sqlite'}, {finding.about for finding in found}
        )
