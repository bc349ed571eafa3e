# SPDX-License-Identifier: Apache-2.0
"""SQL that the reader does not know, so that no rule can judge it."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.sql.changes import Kind


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen in subject.seen:
        if seen.change.kind is Kind.UNKNOWN:
            yield Hit(
                seen.sql or seen.change.detail,
                f'the linter cannot tell what it does: {seen.change.detail}',
                seen,
            )


RULE = Rule(
    code='UNCLASSIFIED_SQL',
    why='What is not understood is not judged: neither its locks nor what it does to services of '
    'the release before.',
    instead='Use the functions of ops, or statements of one kind each; else waive this rule and '
    'say '
    'what the statement does.',
    check=_hits,
)
