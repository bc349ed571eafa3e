# SPDX-License-Identifier: Apache-2.0
"""Judgement of a revision's waivers, once it is known which rules the revision breaks."""

from collections.abc import Iterator, Sequence

from trove_upgrade.schema_tools.lint.rule import Finding, Hit, Rule
from trove_upgrade.schema_tools.lint.rules import waiver_invalid, waiver_unknown, waiver_unused
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.lint.waivers import ATTRIBUTE, said


def faults(
    subject: Subject, found: Sequence[Finding], codes: Sequence[str]
) -> Iterator[tuple[Rule, Hit]]:
    """Waivers without a reason, of rules that there are not, and of rules that nothing breaks."""
    waived = said(subject)
    if not isinstance(waived, dict):
        yield (
            waiver_invalid.RULE,
            Hit(ATTRIBUTE, f'{ATTRIBUTE} is {waived!r}, which is no dictionary'),
        )
        return
    broken = {finding.code for finding in found}
    for code, reason in waived.items():
        if code not in codes:
            yield (
                waiver_unknown.RULE,
                Hit(str(code), f'{code!r} is no rule that can be waived'),
            )
        elif not isinstance(reason, str) or not reason.strip():
            yield waiver_invalid.RULE, Hit(str(code), f'{code} is waived without a reason')
        elif code not in broken:
            yield (
                waiver_unused.RULE,
                Hit(str(code), f'{code} is waived, and the revision does not break it'),
            )
