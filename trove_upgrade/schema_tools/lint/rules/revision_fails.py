# SPDX-License-Identifier: Apache-2.0
"""A revision that does not run at all."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject


def _hits(subject: Subject) -> Iterator[Hit]:
    yield from (
        Hit('upgrade()', fault.found)
        for fault in subject.readings.faults(subject.revision)
        if fault.at_once
    )


RULE = Rule(
    code='REVISION_FAILS',
    why='It does not even run on an empty database of the schema before.',
    instead='Mend it; what one server alone understands stands under a question for the dialect.',
    check=_hits,
)
