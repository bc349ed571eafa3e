# SPDX-License-Identifier: Apache-2.0
"""An index or a constraint dropped under the services that count on it."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    """Not where the same index is made again: that clears away what a killed build has left."""
    made = {seen.change.name for seen in subject.seen if seen.change.kind is Kind.CREATE_INDEX}
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.DROP_INDEX, Kind.DROP_CONSTRAINT):
        if seen.change.name not in made:
            table = subject.table_of(seen.change)
            yield Hit(
                f'{table}.{seen.change.name}',
                f'{seen.change.name} of {table or "no table of ours"} is dropped',
                seen,
            )


RULE = Rule(
    code='INDEX_DROPPED',
    why='Services of the release before count on it: on its speed, or on what it forbids.',
    instead='Drop it in the contract, when they are gone.',
    check=_hits,
)
