# SPDX-License-Identifier: Apache-2.0
"""Actions of an ALTER TABLE."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from trove_upgrade.schema_tools.sql import definitions, manners
from trove_upgrade.schema_tools.sql.changes import Change, Kind, unknown
from trove_upgrade.schema_tools.sql.tokens import Token
from trove_upgrade.schema_tools.sql.words import Words, split

#: Actions that change neither rows nor what may be written.  ENGINE and ROW_FORMAT build the table
#: anew.
_REMARKS = {'COMMENT', 'VALIDATE', 'AUTO_INCREMENT'}


def changes_of(table: str, tokens: Sequence[Token]) -> Iterator[Change]:
    """Yield what they do; an UNKNOWN one where there are none."""
    locks = manners.says_that_it_locks(tokens)
    actions = manners.actions_in(tokens)
    for action in actions:
        for change in _action(table, Words(action)):
            yield dataclasses.replace(change, locks=change.locks or locks)
    if not actions:
        yield unknown(tokens, table)


def _action(table: str, words: Words) -> Iterator[Change]:
    before = words.rest
    verb = words.take_any('ADD', 'DROP', 'ALTER', 'MODIFY', 'CHANGE', 'RENAME')
    if verb:
        yield from _ACTIONS[verb](table, words)
    else:
        yield (
            Change(kind=Kind.COMMENT, table=table)
            if before[0].keyword in _REMARKS
            else unknown(before, table)
        )


def _add(table: str, words: Words) -> Iterator[Change]:
    if (constraint := definitions.constraint(table, words)) is not None:
        yield constraint
        return
    words.take('COLUMN')
    guarded = words.take('IF', 'NOT', 'EXISTS')
    parts = split(words.parentheses()) if words.at('(') else [words.rest]
    for part in parts:
        yield dataclasses.replace(definitions.column(table, part), guarded=guarded)


def _drop_action(table: str, words: Words) -> Iterator[Change]:
    kind = words.take_any(
        'PRIMARY KEY', 'FOREIGN KEY', 'CONSTRAINT', 'CHECK', 'INDEX', 'KEY', 'COLUMN'
    )
    guarded = words.take('IF', 'EXISTS')
    name = words.name()
    kinds = {
        'PRIMARY KEY': Kind.DROP_PRIMARY_KEY,
        'INDEX': Kind.DROP_INDEX,
        'KEY': Kind.DROP_INDEX,
        'COLUMN': Kind.DROP_COLUMN,
        '': Kind.DROP_COLUMN,
    }
    yield Change(
        kind=kinds.get(kind, Kind.DROP_CONSTRAINT), table=table, name=name, guarded=guarded
    )


def _alter_action(table: str, words: Words) -> Iterator[Change]:
    before = words.rest
    words.take('COLUMN')
    column = words.name()
    did = words.take_any(
        'SET DATA TYPE', 'TYPE', 'SET NOT NULL', 'DROP NOT NULL', 'SET DEFAULT', 'DROP DEFAULT'
    )
    if did in {'SET DATA TYPE', 'TYPE'}:
        yield dataclasses.replace(
            definitions.described(table, column, words.rest),
            kind=Kind.SET_TYPE,
            not_null=False,
            default=False,
            unique=False,
        )
        return
    kinds = {
        'SET NOT NULL': Kind.SET_NOT_NULL,
        'DROP NOT NULL': Kind.DROP_NOT_NULL,
        'SET DEFAULT': Kind.SET_DEFAULT,
        'DROP DEFAULT': Kind.DROP_DEFAULT,
    }
    yield Change(kind=kinds[did], table=table, name=column) if did else unknown(before, table)


def _modify(table: str, words: Words) -> Iterator[Change]:
    """MySQL names the whole column anew: what is not said is taken away."""
    words.take('COLUMN')
    words.take('IF', 'EXISTS')
    column = definitions.column(table, words.rest)
    yield Change(kind=Kind.SET_TYPE, table=table, name=column.name, type=column.type)
    yield Change(
        kind=Kind.SET_NOT_NULL if column.not_null else Kind.DROP_NOT_NULL,
        table=table,
        name=column.name,
    )
    yield Change(
        kind=Kind.SET_DEFAULT if column.default else Kind.DROP_DEFAULT,
        table=table,
        name=column.name,
    )


def _change(table: str, words: Words) -> Iterator[Change]:
    words.take('COLUMN')
    words.take('IF', 'EXISTS')
    old = words.name()
    modified = list(_modify(table, Words(words.rest)))
    if modified[0].name != old:
        yield Change(kind=Kind.RENAME_COLUMN, table=table, name=old, new_name=modified[0].name)
    yield from (dataclasses.replace(change, name=old) for change in modified)


def _rename_action(table: str, words: Words) -> Iterator[Change]:
    kind = words.take_any('COLUMN', 'INDEX', 'KEY', 'CONSTRAINT', 'TO', 'AS')
    old = words.name()
    if kind == 'COLUMN' or (not kind and words.at('TO')):
        words.take('TO')
        yield Change(kind=Kind.RENAME_COLUMN, table=table, name=old, new_name=words.name())
    elif kind in {'INDEX', 'KEY', 'CONSTRAINT'}:
        yield Change(kind=Kind.RENAME_OTHER, table=table, name=old)
    else:
        yield Change(kind=Kind.RENAME_TABLE, table=table, name=table, new_name=old)


_ACTIONS: dict[str, Callable[[str, Words], Iterator[Change]]] = {
    'ADD': _add,
    'DROP': _drop_action,
    'ALTER': _alter_action,
    'MODIFY': _modify,
    'CHANGE': _change,
    'RENAME': _rename_action,
}
