# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestDependsOn(base.LintTestCase):
    def test_depends_on_is_refused(self):
        finding = self.refused('DEPENDS_ON', 'pass', attributes="depends_on = 'aurora_contract01'")
        self.assertIn('aurora_contract01', finding.found)
        self.accepted('pass')
