# SPDX-License-Identifier: Apache-2.0
"""A type for which every row is written anew, or that is another kind of value."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.retyping import retyped
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.lint.types import Widening


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen, old in retyped(subject, Widening.OTHER):
        yield Hit(place(seen), f'{place(seen)} becomes {seen.change.type}; it was {old}', seen)


RULE = Rule(
    code='TYPE_CHANGED',
    why='Servers write every row anew while writers wait, and services of the release before send '
    'the former kind of value.',
    instead='Add a second column of the new type, let a data migration copy, and drop the first in '
    'the contract.',
    check=_hits,
)
