# SPDX-License-Identifier: Apache-2.0
"""A waiver of a rule that there is not, or that cannot be waived."""

from trove_upgrade.schema_tools.lint.rule import Rule
from trove_upgrade.schema_tools.lint.waivers import judged_afterwards

RULE = Rule(
    code='WAIVER_UNKNOWN',
    why='It waives nothing; the rule that was meant is still in force.',
    instead='Write the code as the lint prints it.',
    check=judged_afterwards,
    can_be_waived=False,
)
