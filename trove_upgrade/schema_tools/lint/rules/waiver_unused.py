# SPDX-License-Identifier: Apache-2.0
"""A waiver of a rule that the revision does not break."""

from trove_upgrade.schema_tools.lint.rule import Rule
from trove_upgrade.schema_tools.lint.waivers import judged_afterwards

RULE = Rule(
    code='WAIVER_UNUSED',
    why='It would hide the next mistake of this kind.',
    instead='Remove it.',
    check=judged_afterwards,
    can_be_waived=False,
)
