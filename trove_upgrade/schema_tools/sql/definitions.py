# SPDX-License-Identifier: Apache-2.0
"""Columns, constraints and indexes as CREATE and ALTER spell them."""

import dataclasses
import itertools
from collections.abc import Sequence

from trove_upgrade.schema_tools.sql.changes import Change, Kind
from trove_upgrade.schema_tools.sql.tokens import Token
from trove_upgrade.schema_tools.sql.words import Words, outside, split, text_of

#: A column's type ends where one of these begins.
_AFTER_TYPE = {
    'NOT',
    'NULL',
    'DEFAULT',
    'PRIMARY',
    'UNIQUE',
    'REFERENCES',
    'CHECK',
    'CONSTRAINT',
    'COLLATE',
    'GENERATED',
    'AS',
    'COMMENT',
    'AUTO_INCREMENT',
    'AUTOINCREMENT',
    'FIRST',
    'AFTER',
    'KEY',
    'ON',
    'USING',
    'INVISIBLE',
    'VISIBLE',
    'CHARSET',
}
#: With one of these, the server has a value for writers who do not name the column.
_VALUES = {'DEFAULT', 'GENERATED', 'AS', 'AUTO_INCREMENT', 'AUTOINCREMENT'}
_SERIALS = {'SERIAL', 'BIGSERIAL', 'SMALLSERIAL', 'SERIAL4', 'SERIAL8', 'SERIAL2'}

#: Each begins a constraint or an index; the longer first.
_CONSTRAINTS = (
    'PRIMARY KEY',
    'UNIQUE INDEX',
    'UNIQUE KEY',
    'UNIQUE',
    'FULLTEXT INDEX',
    'FULLTEXT KEY',
    'FULLTEXT',
    'SPATIAL INDEX',
    'SPATIAL KEY',
    'SPATIAL',
    'FOREIGN KEY',
    'CHECK',
    'INDEX',
    'KEY',
)


def names_in(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The first name of each part: the columns of an index or a key."""
    return tuple(part[0].text for part in split(tokens) if part[0].names)


def referenced(tokens: Sequence[Token]) -> tuple[str, ...]:
    """Tables that REFERENCES leads to, however deep."""
    found = []
    for place, token in enumerate(tokens):
        if token.keyword == 'REFERENCES':
            found.append(Words(tokens[place + 1 :]).name())
    return tuple(found)


def column(table: str, tokens: Sequence[Token]) -> Change:
    """`name TYPE ...`, as an ADD_COLUMN."""
    words = Words(tokens)
    name = words.name()
    return described(table, name, words.rest)


def described(table: str, name: str, rest: Sequence[Token]) -> Change:
    """`TYPE ...` of a column whose name has been read, as an ADD_COLUMN."""
    end = next(
        (place for place, token in enumerate(rest) if _ends_type(rest, place, token)), len(rest)
    )
    flags = outside(rest[end:])
    primary = 'PRIMARY' in flags
    not_null = primary or any(pair == ('NOT', 'NULL') for pair in itertools.pairwise(flags))
    default = bool(_VALUES & set(flags)) or any(token.keyword in _SERIALS for token in rest[:end])
    if (
        default
        and 'DEFAULT' in flags
        and flags[flags.index('DEFAULT') + 1 : flags.index('DEFAULT') + 2] == ['NULL']
    ):
        default = False
    return Change(
        kind=Kind.ADD_COLUMN,
        table=table,
        name=name,
        type=text_of(rest[:end]),
        not_null=not_null,
        default=default,
        unique='UNIQUE' in flags or primary,
        references=referenced(rest[end:]),
    )


def _ends_type(tokens: Sequence[Token], place: int, token: Token) -> bool:
    if (
        token.keyword == 'CHARACTER'
        and place
        and tokens[place + 1 :]
        and tokens[place + 1].keyword == 'SET'
    ):
        return True
    return token.keyword in _AFTER_TYPE


def constraint(table: str, words: Words) -> Change | None:
    """Return what begins with CONSTRAINT, PRIMARY KEY, UNIQUE, INDEX, KEY, FOREIGN KEY or CHECK;
    None where none of them comes next.
    """
    name = _constraint_name(words)
    kind = words.take_any(*_CONSTRAINTS)
    if not kind:
        return None
    guarded = words.take('IF', 'NOT', 'EXISTS')
    if kind == 'CHECK':
        columns = tuple(token.text for token in words.parentheses() if token.names)
        found = Change(kind=Kind.ADD_CHECK, table=table, name=name, columns=columns)
    elif kind.startswith('UNIQUE') and words.take('USING', 'INDEX'):
        found = Change(
            kind=Kind.ADD_UNIQUE,
            table=table,
            name=name or words.name(),
            unique=True,
            concurrently=True,
        )
    else:
        name = name if words.at('(') else (words.name() or name)
        found = _key(kind, table, name, words)
    return dataclasses.replace(found, guarded=guarded)


def _constraint_name(words: Words) -> str:
    """Return what CONSTRAINT names, read; '' where it names nothing, or does not come next."""
    if not words.take('CONSTRAINT'):
        return ''
    words.take('IF', 'NOT', 'EXISTS')
    if words.at('CHECK') or words.at('UNIQUE') or words.at('PRIMARY') or words.at('FOREIGN'):
        return ''
    return words.name()


def _key(kind: str, table: str, name: str, words: Words) -> Change:
    """A key or an index, from its columns on."""
    columns = names_in(words.parentheses())
    if kind == 'PRIMARY KEY':
        return Change(
            kind=Kind.ADD_PRIMARY_KEY, table=table, name=name, columns=columns, unique=True
        )
    if kind == 'FOREIGN KEY':
        tables = referenced(words.rest)
        return Change(
            kind=Kind.ADD_FOREIGN_KEY, table=table, name=name, columns=columns, references=tables
        )
    if kind.startswith('UNIQUE'):
        return Change(kind=Kind.ADD_UNIQUE, table=table, name=name, columns=columns, unique=True)
    locks = kind.startswith(('FULLTEXT', 'SPATIAL'))
    return Change(kind=Kind.CREATE_INDEX, table=table, name=name, columns=columns, locks=locks)
