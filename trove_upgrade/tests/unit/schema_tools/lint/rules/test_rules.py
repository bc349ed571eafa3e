# SPDX-License-Identifier: Apache-2.0
import pathlib

from trove_upgrade.schema_tools.lint import RULES, rules
from trove_upgrade.tests.unit import base


class TestRules(base.TestCase):
    def test_each_is_alone_in_a_module_that_is_named_as_its_code(self):
        modules = {path.stem for path in pathlib.Path(rules.__file__).parent.glob('*.py')} - {
            '__init__'
        }
        self.assertEqual(modules, {rule.code.lower() for rule in RULES})
        for rule in RULES:
            self.assertIs(rule, getattr(rules, rule.code.lower()).RULE)
