# SPDX-License-Identifier: Apache-2.0
"""Parts of a statement of MySQL that say how it is run: ALGORITHM and LOCK, with or without a
sign.
"""

import itertools
from collections.abc import Sequence

from trove_upgrade.schema_tools.sql.tokens import Token
from trove_upgrade.schema_tools.sql.words import Words, split

#: Each begins such a part of an ALTER TABLE.
_MANNERS = {'ALGORITHM', 'LOCK', 'WAIT', 'NOWAIT'}
_CHOSEN = ('ALGORITHM', 'LOCK')
_CHOICES = (
    'DEFAULT',
    'INSTANT',
    'NOCOPY',
    'INPLACE',
    'COPY',
    'NONE',
    'SHARED',
    'EXCLUSIVE',
)


def actions_in(tokens: Sequence[Token]) -> list[list[Token]]:
    """Parts of an ALTER TABLE that say what is done."""
    return [action for action in split(tokens) if action[0].keyword not in _MANNERS]


def says_that_it_locks(tokens: Sequence[Token]) -> bool:
    """Return whether the statement itself asks for a lock."""
    said = [token.keyword for token in tokens if token.keyword != '=']
    pairs = set(itertools.pairwise(said))
    return bool(pairs & {('LOCK', 'SHARED'), ('LOCK', 'EXCLUSIVE'), ('ALGORITHM', 'COPY')})


def without_choice(tokens: Sequence[Token]) -> list[Token]:
    """Leave ALGORITHM and LOCK out, with the comma before each."""
    kept: list[Token] = []
    left = list(tokens)
    while left:
        words = Words(left)
        chosen = words.take_any(*_CHOSEN)
        words.take('=')
        if chosen and words.take_any(*_CHOICES):
            left = words.rest
            if kept and kept[-1].keyword == ',':
                kept.pop()
        else:
            kept.append(left.pop(0))
    return _without_commas_around(kept)


def _without_commas_around(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[0].keyword == ',':
        tokens = tokens[1:]
    while tokens and tokens[-1].keyword == ',':
        tokens = tokens[:-1]
    return tokens
