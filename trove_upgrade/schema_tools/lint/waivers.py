# SPDX-License-Identifier: Apache-2.0
"""A revision may break a rule, if it says why: `safety_assured = {'RULE': 'the reason'}`."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from trove_upgrade.schema_tools.lint.rule import Finding, Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject

ATTRIBUTE = 'safety_assured'


def _said(subject: Subject) -> Any:
    return getattr(subject.script.module, ATTRIBUTE, {})


def _nothing(_subject: Subject) -> Iterator[Hit]:
    """These are judged after all others."""
    return iter(())


INVALID = Rule(
    code='WAIVER_INVALID',
    why='Who reviews the revision, or runs it, must be able to judge the reason.',
    instead=f"Write {ATTRIBUTE} = {{'RULE': 'why it is safe here'}}.",
    check=_nothing,
    can_be_waived=False,
)
UNKNOWN = Rule(
    code='WAIVER_UNKNOWN',
    why='It waives nothing; the rule that was meant is still in force.',
    instead='Write the code as the lint prints it.',
    check=_nothing,
    can_be_waived=False,
)
UNUSED = Rule(
    code='WAIVER_UNUSED',
    why='It would hide the next mistake of this kind.',
    instead='Remove it.',
    check=_nothing,
    can_be_waived=False,
)
RULES = (INVALID, UNKNOWN, UNUSED)


@dataclasses.dataclass(frozen=True)
class Waiver:
    """One that is well formed."""

    code: str
    reason: str


def waivers_of(subject: Subject) -> list[Waiver]:
    """Those that say why."""
    said = _said(subject)
    if not isinstance(said, dict):
        return []
    return [
        Waiver(code, reason)
        for code, reason in said.items()
        if isinstance(code, str) and isinstance(reason, str) and reason.strip()
    ]


def faults(
    subject: Subject, found: Sequence[Finding], codes: Sequence[str]
) -> Iterator[tuple[Rule, Hit]]:
    """Waivers without a reason, of rules that there are not, and of rules that nothing breaks."""
    said = _said(subject)
    if not isinstance(said, dict):
        yield INVALID, Hit(ATTRIBUTE, f'{ATTRIBUTE} is {said!r}, which is no dictionary')
        return
    broken = {finding.code for finding in found}
    for code, reason in said.items():
        if code not in codes:
            yield UNKNOWN, Hit(str(code), f'{code!r} is no rule that can be waived')
        elif not isinstance(reason, str) or not reason.strip():
            yield INVALID, Hit(str(code), f'{code} is waived without a reason')
        elif code not in broken:
            yield UNUSED, Hit(str(code), f'{code} is waived, and the revision does not break it')
