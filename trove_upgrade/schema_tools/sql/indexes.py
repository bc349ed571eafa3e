# SPDX-License-Identifier: Apache-2.0
"""Statements about indexes: CREATE, DROP and ALTER INDEX."""

from trove_upgrade.schema_tools.sql import definitions, manners
from trove_upgrade.schema_tools.sql.changes import Change, Kind, unknown
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.words import Name, Words


def create(words: Words) -> Statement:
    """Read on behind CREATE, where no TABLE comes next."""
    before = words.rest
    kind = words.take_any('UNIQUE INDEX', 'FULLTEXT INDEX', 'SPATIAL INDEX', 'INDEX')
    if not kind:
        return Statement(form=Form.OTHER, changes=(unknown(before),))
    concurrently = words.take('CONCURRENTLY')
    guarded = words.take('IF', 'NOT', 'EXISTS')
    index = Name(()) if words.at('ON') else words.full_name()
    is_plain = words.at('ON')
    _pass_method(words)
    words.take('ON')
    is_plain = not words.take('ONLY') and is_plain
    table, rest = words.full_name(), tuple(words.rest)
    _pass_method(words)
    columns = definitions.names_in(words.parentheses())
    created = Change(
        kind=Kind.CREATE_INDEX,
        table=table.last,
        name=index.last,
        columns=columns,
        unique=kind.startswith('UNIQUE'),
        concurrently=concurrently,
        guarded=guarded,
        locks=kind.startswith(('FULLTEXT', 'SPATIAL')) or manners.says_that_it_locks(words.rest),
    )
    if not (is_plain and index.alone and table.parts and rest):
        return Statement(form=Form.OTHER, changes=(created,))
    return Statement(
        form=Form.CREATE_INDEX,
        table=table.alone,
        index=index.alone,
        index_type=kind.removesuffix('INDEX').strip(),
        concurrently=concurrently,
        rest=rest,
        changes=(created,),
    )


def _pass_method(words: Words) -> None:
    if words.take('USING'):
        words.name()


def drop(words: Words) -> Statement:
    """Read on behind DROP INDEX."""
    concurrently = words.take('CONCURRENTLY')
    guarded = words.take('IF', 'EXISTS')
    index = words.full_name()
    table = words.full_name() if words.take('ON') else Name(())
    dropped = Change(
        kind=Kind.DROP_INDEX,
        table=table.last,
        name=index.last,
        concurrently=concurrently,
        guarded=guarded,
    )
    return Statement(
        form=Form.DROP_INDEX if index.parts else Form.OTHER,
        table=table.alone if index.alone else '',
        index=index.alone,
        concurrently=concurrently,
        changes=(dropped,),
    )


def alter(words: Words) -> Statement:
    """Read on behind ALTER INDEX."""
    guarded = words.take('IF', 'EXISTS')
    name = words.name()
    renamed = Change(kind=Kind.RENAME_OTHER, table='', name=name, guarded=guarded)
    return Statement(
        form=Form.OTHER,
        changes=(renamed if words.take('RENAME', 'TO') else unknown(words.rest),),
    )
