# SPDX-License-Identifier: Apache-2.0
"""A type in which some value of the former one does not fit."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.lint.retyping import retyped
from trove_upgrade.schema_tools.lint.rule import Hit, Rule, place
from trove_upgrade.schema_tools.lint.subject import Subject
from trove_upgrade.schema_tools.lint.types import Widening


def _hits(subject: Subject) -> Iterator[Hit]:
    for seen, old in retyped(subject, Widening.NARROWER):
        yield Hit(place(seen), f'{place(seen)} shrinks from {old} to {seen.change.type}', seen)


RULE = Rule(
    code='TYPE_NARROWED',
    why='A row that does not fit makes the statement fail half way, and services of the release '
    'before go on writing such rows.',
    instead='Add a second column of the new type, let a data migration copy, and drop the first in '
    'the contract.',
    check=_hits,
)
