# SPDX-License-Identifier: Apache-2.0
"""A revision may break a rule, if it says why: `safety_assured = {'RULE': 'the reason'}`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from trove_upgrade.schema_tools.lint.rule import Hit
from trove_upgrade.schema_tools.lint.subject import Subject

ATTRIBUTE = 'safety_assured'


@dataclasses.dataclass(frozen=True)
class Waiver:
    """One that is well formed."""

    code: str
    reason: str


def said(subject: Subject) -> Any:
    """Return what the revision has written there, well formed or not."""
    return getattr(subject.script.module, ATTRIBUTE, {})


def waivers_of(subject: Subject) -> list[Waiver]:
    """Those that say why."""
    found = said(subject)
    if not isinstance(found, dict):
        return []
    return [
        Waiver(code, reason)
        for code, reason in found.items()
        if isinstance(code, str) and isinstance(reason, str) and reason.strip()
    ]


def judged_afterwards(_subject: Subject) -> Iterator[Hit]:
    """Find nothing: the rules about waivers are judged after all others, in `waiver_faults`."""
    return iter(())
