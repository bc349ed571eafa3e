# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import trove_upgrade
from trove_upgrade.db.migrations.chain import MAIN, STANDALONE
from trove_upgrade.schema_tools.lint import RULES, lint
from trove_upgrade.tests.unit import base

PAGE = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'reference' / 'lint.rst'


class TestAllRevisions(base.TestCase):
    def test_none_of_ours_breaks_a_rule_without_saying_why(self):
        for chain in (MAIN, STANDALONE):
            self.assertEqual(
                [], [(finding.revision, finding.code, finding.found) for finding in lint(chain)]
            )


class TestPage(base.TestCase):
    def test_each_rule_is_explained_where_its_findings_say(self):
        page = PAGE.read_text()
        self.assertEqual(
            [rule.code for rule in RULES], re.findall(r'^``([A-Z_]+)``$', page, re.MULTILINE)
        )
        for rule in RULES:
            self.assertIn(f'.. _{rule.page.partition("#")[2]}:\n\n``{rule.code}``\n', page)

    def test_examples_of_waivers_waive_the_rule_that_they_stand_under(self):
        for section in re.split(r'^\.\. _lint-', PAGE.read_text(), flags=re.MULTILINE)[1:]:
            code = re.search(r'^``([A-Z_]+)``$', section, re.MULTILINE)[1]
            for waived in re.findall(r"safety_assured = \{'([A-Z_]+)': '[^']+'\}", section):
                self.assertEqual(code, waived)
