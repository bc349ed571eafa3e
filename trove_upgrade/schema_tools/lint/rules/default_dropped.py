# SPDX-License-Identifier: Apache-2.0
"""A server default that older services count on, taken away."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    if not subject.old_services_run:
        return
    for seen in subject.over_rows(Kind.DROP_DEFAULT):
        column = subject.column_before(seen.change)
        if column is not None and column.server_default is not None:
            yield Hit(place(seen), f'{place(seen)} loses its server default', seen)


RULE = Rule(
    code='DEFAULT_DROPPED',
    why='Services of the release before do not name the column where they count on its default.',
    instead='Drop the default in the contract.',
    check=_hits,
)
