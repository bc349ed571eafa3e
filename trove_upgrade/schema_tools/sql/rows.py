# SPDX-License-Identifier: Apache-2.0
"""Statements about rows: INSERT, UPDATE, DELETE and TRUNCATE."""

from collections.abc import Iterator

from trove_upgrade.schema_tools.sql.changes import Change, Kind, unknown
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.words import Words, outside, split

#: What may follow the table whose rows a DELETE takes.
_AFTER_DELETE = {'WHERE', 'ORDER', 'LIMIT'}
#: What may follow the tables of a TRUNCATE; CASCADE empties other tables, too.
_AFTER_TRUNCATE = ('RESTART IDENTITY', 'CONTINUE IDENTITY', 'RESTRICT')


def insert(words: Words) -> Statement:
    """Read on behind INSERT; one that passes over some rows is of no known form."""
    said = {token.keyword for token in words.rest}
    is_plain = words.at('INTO')
    guarded = (
        words.take('IGNORE')
        or words.take('OR', 'IGNORE')
        or 'CONFLICT' in said
        or 'DUPLICATE' in said
    )
    before = words.rest
    words.take('INTO')
    name = words.full_name()
    from_query = 'SELECT' in said
    inserted = Change(
        kind=Kind.INSERT,
        table=name.last,
        guarded=guarded or (from_query and 'EXISTS' in said),
        from_query=from_query,
    )
    # on PostgreSQL, of any other table
    changes_others = 'WITH' in said and bool(said & {'UPDATE', 'DELETE', 'INSERT', 'MERGE'})
    return Statement(
        form=Form.ROWS if is_plain and name.parts else Form.OTHER,
        table=name.alone if is_plain else '',
        changes=(unknown(before) if changes_others else inserted,),
    )


def replace(words: Words) -> Statement:
    """Read on behind REPLACE, which deletes rows, too."""
    return Statement(form=Form.OTHER, changes=insert(words).changes)


def update(words: Words) -> Statement:
    """Read on behind UPDATE."""
    before = words.rest
    for manner in ('LOW_PRIORITY', 'IGNORE', 'ONLY'):
        words.take(manner)
    name = words.full_name()
    words.alias()
    alone = name.parts and words.take('SET') and 'FROM' not in outside(words.rest)
    return Statement(
        form=Form.ROWS if name.parts else Form.OTHER,
        table=name.alone,
        changes=(
            Change(kind=Kind.UPDATE, table=name.last) if alone else unknown(before, name.last),
        ),
    )


def delete(words: Words) -> Statement:
    """Read on behind DELETE."""
    before = words.rest
    follows = words.take('FROM')
    words.take('ONLY')
    name = words.full_name()
    words.alias()
    said = outside(words.rest)
    alone = (
        follows
        and name.parts
        and (not said or said[0] in _AFTER_DELETE)
        and not set(said) & {',', 'JOIN', 'USING'}
    )
    return Statement(
        form=Form.ROWS if follows and name.parts else Form.OTHER,
        table=name.alone if follows else '',
        changes=(
            Change(kind=Kind.DELETE, table=name.last) if alone else unknown(before, name.last),
        ),
    )


def truncate(words: Words) -> Statement:
    """Read on behind TRUNCATE; it may name several tables."""
    words.take('TABLE')
    return Statement(form=Form.OTHER, changes=tuple(_emptied(words)))


def _emptied(words: Words) -> Iterator[Change]:
    for part in split(words.rest):
        one = Words(part)
        one.take('ONLY')
        yield Change(kind=Kind.DELETE, table=one.name())
        one.take('*')
        while one.take_any(*_AFTER_TRUNCATE):
            pass
        if one.rest:
            yield unknown(one.rest)
