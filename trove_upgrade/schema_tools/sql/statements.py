# SPDX-License-Identifier: Apache-2.0
"""Reader of a statement's text.

Only what revisions are made of is understood.  Whatever else there is (triggers, procedures,
several statements in one) is UNKNOWN, and a rule asks for a word about it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

from trove_upgrade.schema_tools.sql import definitions
from trove_upgrade.schema_tools.sql.changes import Change, Kind
from trove_upgrade.schema_tools.sql.tokens import Token, Words, outside, split, tokens_of

#: Parts of an ALTER TABLE that say how the statement itself is run.
_MANNERS = {'ALGORITHM', 'LOCK', 'WAIT', 'NOWAIT'}
#: Its actions that change neither rows nor what may be written.  ENGINE and ROW_FORMAT build the
#: table anew.
_REMARKS = {'COMMENT', 'VALIDATE', 'AUTO_INCREMENT'}

#: Kinds of tokens behind which anything may stand.
_UNREADABLE = {
    'executable': 'a comment that MySQL or MariaDB runs',
    'unclear': 'a quotation or a comment that cannot be read',
}
#: What may follow the table whose rows a DELETE takes.
_AFTER_DELETE = {'WHERE', 'ORDER', 'LIMIT'}
#: What may follow the tables of a TRUNCATE; CASCADE empties other tables, too.
_AFTER_TRUNCATE = ('RESTART IDENTITY', 'CONTINUE IDENTITY', 'RESTRICT')
#: Settings that change what a quotation is.
_QUOTING = {'SQL_MODE', 'STANDARD_CONFORMING_STRINGS'}


def changes_of(sql: str, dialect: str = 'mysql') -> list[Change]:
    """Everything that the statement does on this kind of server, in its order; one UNKNOWN where
    that is not known.
    """
    tokens = tokens_of(sql, dialect)
    for kind, detail in _UNREADABLE.items():
        if any(token.kind == kind for token in tokens):
            return [Change(kind=Kind.UNKNOWN, detail=detail)]
    while tokens and tokens[-1].keyword == ';':
        tokens.pop()
    if not tokens:
        return []
    if any(token.keyword == ';' for token in tokens):
        return [Change(kind=Kind.UNKNOWN, detail='several statements in one')]
    words = Words(tokens)
    for first, read in _STATEMENTS.items():
        if words.take(*first.split()):
            return list(read(words))
    return [_unknown(tokens)]


def _unknown(tokens: Sequence[Token], table: str = '') -> Change:
    return Change(
        kind=Kind.UNKNOWN, table=table, detail=' '.join(token.text for token in tokens[:4])
    )


def _create(words: Words) -> Iterator[Change]:
    if words.take('TABLE'):
        guarded = words.take('IF', 'NOT', 'EXISTS')
        table = words.name()
        body = words.parentheses()
        after = [token.keyword for token in words.rest]
        yield Change(
            kind=Kind.CREATE_TABLE,
            table=table,
            guarded=guarded,
            references=definitions.referenced(body),
        )
        if 'SELECT' in after or 'LIKE' in after or not body:
            yield _unknown(words.rest, table)
    else:
        yield _create_index(words)


def _create_index(words: Words) -> Change:
    before = words.rest
    kind = words.take_any('UNIQUE INDEX', 'FULLTEXT INDEX', 'SPATIAL INDEX', 'INDEX')
    if not kind:
        return _unknown(before)
    concurrently = words.take('CONCURRENTLY')
    guarded = words.take('IF', 'NOT', 'EXISTS')
    name = '' if words.at('ON') else words.name()
    if words.take('USING'):
        words.name()
    words.take('ON')
    words.take('ONLY')
    table = words.name()
    if words.take('USING'):
        words.name()
    columns = definitions.names_in(words.parentheses())
    return Change(
        kind=Kind.CREATE_INDEX,
        table=table,
        name=name,
        columns=columns,
        unique=kind.startswith('UNIQUE'),
        concurrently=concurrently,
        guarded=guarded,
        locks=kind.startswith(('FULLTEXT', 'SPATIAL')) or _says_that_it_locks(words.rest),
    )


def _says_that_it_locks(tokens: Sequence[Token]) -> bool:
    said = [token.keyword for token in tokens if token.keyword != '=']
    pairs = set(itertools.pairwise(said))
    return bool(pairs & {('LOCK', 'SHARED'), ('LOCK', 'EXCLUSIVE'), ('ALGORITHM', 'COPY')})


def _drop(words: Words) -> Iterator[Change]:
    before = words.rest
    kind = words.take_any('TABLE', 'INDEX')
    concurrently = words.take('CONCURRENTLY')
    guarded = words.take('IF', 'EXISTS')
    if kind == 'TABLE':
        for part in split(words.rest):
            yield Change(kind=Kind.DROP_TABLE, table=Words(part).name(), guarded=guarded)
    elif kind == 'INDEX':
        name = words.name()
        yield Change(
            kind=Kind.DROP_INDEX,
            table=words.name() if words.take('ON') else '',
            name=name,
            concurrently=concurrently,
            guarded=guarded,
        )
    else:
        yield _unknown(before)


def _rename(words: Words) -> Iterator[Change]:
    for part in split(words.rest):
        pair = Words(part)
        old = pair.name()
        yield Change(
            kind=Kind.RENAME_TABLE,
            table=old,
            name=old,
            new_name=pair.name() if pair.take('TO') else '',
        )


def _alter_index(words: Words) -> Iterator[Change]:
    guarded = words.take('IF', 'EXISTS')
    name = words.name()
    yield (
        Change(kind=Kind.RENAME_OTHER, table='', name=name, guarded=guarded)
        if words.take('RENAME', 'TO')
        else _unknown(words.rest)
    )


def _alter_table(words: Words) -> Iterator[Change]:
    words.take('IF', 'EXISTS')
    words.take('ONLY')
    table = words.name()
    locks = _says_that_it_locks(words.rest)
    actions = [action for action in split(words.rest) if action[0].keyword not in _MANNERS]
    for action in actions:
        for change in _action(table, Words(action)):
            yield dataclasses.replace(change, locks=change.locks or locks)
    if not actions:
        yield _unknown(words.rest, table)


def _action(table: str, words: Words) -> Iterator[Change]:
    before = words.rest
    verb = words.take_any('ADD', 'DROP', 'ALTER', 'MODIFY', 'CHANGE', 'RENAME')
    if verb:
        yield from _ACTIONS[verb](table, words)
    else:
        yield (
            Change(kind=Kind.COMMENT, table=table)
            if before[0].keyword in _REMARKS
            else _unknown(before, table)
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
    name = words.name()
    did = words.take_any(
        'SET DATA TYPE', 'TYPE', 'SET NOT NULL', 'DROP NOT NULL', 'SET DEFAULT', 'DROP DEFAULT'
    )
    if did in {'SET DATA TYPE', 'TYPE'}:
        yield dataclasses.replace(
            definitions.column(table, [Token(name, 'quoted'), *words.rest]),
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
    yield Change(kind=kinds[did], table=table, name=name) if did else _unknown(before, table)


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


def _insert(words: Words) -> Iterator[Change]:
    said = {token.keyword for token in words.rest}
    guarded = (
        words.take('IGNORE')
        or words.take('OR', 'IGNORE')
        or 'CONFLICT' in said
        or 'DUPLICATE' in said
    )
    # on PostgreSQL, of any other table
    if 'WITH' in said and said & {'UPDATE', 'DELETE', 'INSERT', 'MERGE'}:
        yield _unknown(words.rest)
        return
    words.take('INTO')
    table = words.name()
    from_query = 'SELECT' in said
    yield Change(
        kind=Kind.INSERT,
        table=table,
        guarded=guarded or (from_query and 'EXISTS' in said),
        from_query=from_query,
    )


def _update(words: Words) -> Iterator[Change]:
    before = words.rest
    for manner in ('LOW_PRIORITY', 'IGNORE', 'ONLY'):
        words.take(manner)
    table = words.name()
    words.alias()
    alone = table and words.take('SET') and 'FROM' not in outside(words.rest)
    yield Change(kind=Kind.UPDATE, table=table) if alone else _unknown(before, table)


def _delete(words: Words) -> Iterator[Change]:
    before = words.rest
    follows = words.take('FROM')
    words.take('ONLY')
    table = words.name()
    words.alias()
    said = outside(words.rest)
    alone = (
        follows
        and table
        and (not said or said[0] in _AFTER_DELETE)
        and not set(said) & {',', 'JOIN', 'USING'}
    )
    yield Change(kind=Kind.DELETE, table=table) if alone else _unknown(before, table)


def _truncate(words: Words) -> Iterator[Change]:
    words.take('TABLE')
    for part in split(words.rest):
        one = Words(part)
        one.take('ONLY')
        yield Change(kind=Kind.DELETE, table=one.name())
        one.take('*')
        while one.take_any(*_AFTER_TRUNCATE):
            pass
        if one.rest:
            yield _unknown(one.rest)


def _comment(words: Words) -> Iterator[Change]:
    before = words.rest
    of_column = words.take_any('TABLE', 'COLUMN') == 'COLUMN'
    path = words.path()
    table = path[-2:-1] if of_column else path[-1:]
    known = (
        before[0].keyword in {'TABLE', 'COLUMN'}
        and table
        and words.take('IS')
        and all(token.kind == 'string' or token.keyword == 'NULL' for token in words.rest)
    )
    yield (
        Change(kind=Kind.COMMENT, table=table[0], name=path[-1] if of_column else '')
        if known
        else _unknown(before)
    )


def _session(words: Words) -> Iterator[Change]:
    said = {token.text.upper() for token in words.rest}
    if said & {'GLOBAL', 'PERSIST'}:
        yield Change(kind=Kind.UNKNOWN, detail='SET of the whole server')
    elif said & _QUOTING:
        yield Change(kind=Kind.UNKNOWN, detail='SET of what is a quotation')
    else:
        yield Change(kind=Kind.SESSION)


_ACTIONS: dict[str, Callable[[str, Words], Iterator[Change]]] = {
    'ADD': _add,
    'DROP': _drop_action,
    'ALTER': _alter_action,
    'MODIFY': _modify,
    'CHANGE': _change,
    'RENAME': _rename_action,
}

_STATEMENTS: dict[str, Callable[[Words], Iterator[Change]]] = {
    'CREATE': _create,
    'ALTER TABLE': _alter_table,
    'ALTER INDEX': _alter_index,
    'DROP': _drop,
    'RENAME TABLE': _rename,
    'INSERT': _insert,
    'REPLACE': _insert,
    'UPDATE': _update,
    'DELETE': _delete,
    'TRUNCATE': _truncate,
    'COMMENT ON': _comment,
    'SET': _session,
}
