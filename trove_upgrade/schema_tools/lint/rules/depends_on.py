# SPDX-License-Identifier: Apache-2.0
"""A revision that depends on one of the other branch."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.rule import Hit, Rule
from trove_upgrade.schema_tools.lint.subject import Subject


def _hits(subject: Subject) -> Iterator[Hit]:
    depends = getattr(subject.script.module, 'depends_on', None) or subject.script.dependencies
    if depends:
        yield Hit('depends_on', f'depends_on is {depends!r}')


RULE = Rule(
    code='DEPENDS_ON',
    why='Alembic removes the row of the branch that is depended upon from the version table, and '
    'no command can tell any more what has been run.',
    instead='Leave it away: all expands are run before any contract.',
    check=_hits,
)
