# SPDX-License-Identifier: Apache-2.0
"""Statements about whole tables: CREATE, DROP, RENAME and ALTER TABLE."""

from collections.abc import Iterator, Sequence

from trove_upgrade.schema_tools.sql import alterations, definitions
from trove_upgrade.schema_tools.sql.changes import Change, Kind, unknown
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.tokens import Token
from trove_upgrade.schema_tools.sql.words import Words, split

#: Of ALTER TABLE ... RENAME: followed by one of these it renames no table.
_PARTS_OF_TABLES = {'COLUMN', 'INDEX', 'KEY', 'CONSTRAINT'}


def create(words: Words) -> Statement:
    """Read on behind CREATE TABLE."""
    guarded = words.take('IF', 'NOT', 'EXISTS')
    name = words.full_name()
    body = words.parentheses()
    after = [token.keyword for token in words.rest]
    created = Change(
        kind=Kind.CREATE_TABLE,
        table=name.last,
        guarded=guarded,
        references=definitions.referenced(body),
    )
    whole = body and 'SELECT' not in after and 'LIKE' not in after
    return Statement(
        form=Form.CREATE_TABLE if name.parts else Form.OTHER,
        table=name.alone,
        changes=(created,) if whole else (created, unknown(words.rest, name.last)),
    )


def drop(words: Words) -> Statement:
    """Read on behind DROP TABLE; it may name several."""
    guarded = words.take('IF', 'EXISTS')
    dropped = [Words(part) for part in split(words.rest)]
    names = [one.full_name() for one in dropped]
    changes = (Change(kind=Kind.DROP_TABLE, table=name.last, guarded=guarded) for name in names)
    behind = [token.keyword for one in dropped for token in one.rest]
    is_one = len(names) == 1 and names[0].parts and behind in ([], ['CASCADE'], ['RESTRICT'])
    return Statement(
        form=Form.DROP_TABLE if is_one else Form.OTHER,
        table=names[0].alone if is_one else '',
        changes=tuple(changes),
    )


def rename(words: Words) -> Statement:
    """Read on behind RENAME TABLE; it may name several."""
    changes = tuple(_renamed(split(words.rest)))
    old = words.full_name()
    new = words.full_name().alone if words.take('TO') else ''
    if not new or words.rest:
        return Statement(form=Form.OTHER, changes=changes)
    return Statement(form=Form.RENAME_TABLE, table=old.alone, new_table=new, changes=changes)


def _renamed(parts: Sequence[Sequence[Token]]) -> Iterator[Change]:
    for part in parts:
        pair = Words(part)
        old = pair.name()
        yield Change(
            kind=Kind.RENAME_TABLE,
            table=old,
            name=old,
            new_name=pair.name() if pair.take('TO') else '',
        )


def alter(words: Words) -> Statement:
    """Read on behind ALTER TABLE."""
    words.take('IF', 'EXISTS')
    words.take('ONLY')
    name, rest = words.full_name(), words.rest
    changes = tuple(alterations.changes_of(name.last, rest))
    if new := _new_name(rest):
        return Statement(form=Form.RENAME_TABLE, table=name.alone, new_table=new, changes=changes)
    return Statement(
        form=Form.ALTER_TABLE if name.parts and rest else Form.OTHER,
        table=name.alone,
        rest=tuple(rest),
        changes=changes,
    )


def _new_name(tokens: Sequence[Token]) -> str:
    """Return the one that an ALTER TABLE with this alone gives the table; '' where it gives none,
    or one with a schema.
    """
    words = Words(tokens)
    if not words.take('RENAME'):
        return ''
    if not words.take_any('TO', 'AS') and any(words.at(part) for part in _PARTS_OF_TABLES):
        return ''
    name = words.full_name()
    return '' if words.rest else name.alone
