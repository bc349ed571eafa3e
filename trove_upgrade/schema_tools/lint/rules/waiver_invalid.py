# SPDX-License-Identifier: Apache-2.0
"""A waiver without a reason, or waivers in no dictionary."""

from trove_upgrade.schema_tools.lint.rule import Rule
from trove_upgrade.schema_tools.lint.waivers import ATTRIBUTE, judged_afterwards

RULE = Rule(
    code='WAIVER_INVALID',
    why='Who reviews the revision, or runs it, must be able to judge the reason.',
    instead=f"Write {ATTRIBUTE} = {{'RULE': 'why it is safe here'}}.",
    check=judged_afterwards,
    can_be_waived=False,
)
