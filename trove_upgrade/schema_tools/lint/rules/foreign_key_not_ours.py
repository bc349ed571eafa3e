# SPDX-License-Identifier: Apache-2.0
"""A foreign key that leads to another project's table."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        for table in seen.change.references:
            if table not in subject.ours or table in subject.others:
                yield Hit(
                    f'{seen.change.table} {table}',
                    f'a foreign key of {seen.change.table} leads to {table}',
                    seen,
                )


RULE = Rule(
    code='FOREIGN_KEY_NOT_OURS',
    why='It forbids another project to change or delete its rows.',
    instead='Keep the id without a foreign key, and expect that the row is gone one day.',
    check=_hits,
)
