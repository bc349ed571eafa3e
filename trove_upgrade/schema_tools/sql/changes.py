# SPDX-License-Identifier: Apache-2.0
"""Changes that one statement or operation makes to a schema, in the words that the rules use."""

import dataclasses
import enum
from collections.abc import Sequence

from trove_upgrade.schema_tools.sql.tokens import Token


class Kind(enum.StrEnum):
    """One thing that is done."""

    CREATE_TABLE = 'create table'
    DROP_TABLE = 'drop table'
    RENAME_TABLE = 'rename table'
    ADD_COLUMN = 'add column'
    DROP_COLUMN = 'drop column'
    RENAME_COLUMN = 'rename column'
    SET_TYPE = 'set the type'
    SET_NOT_NULL = 'set NOT NULL'
    DROP_NOT_NULL = 'allow NULL'
    SET_DEFAULT = 'set a default'
    DROP_DEFAULT = 'drop the default'
    CREATE_INDEX = 'create index'
    DROP_INDEX = 'drop index'
    ADD_UNIQUE = 'add a unique constraint'
    ADD_FOREIGN_KEY = 'add a foreign key'
    ADD_CHECK = 'add a check'
    ADD_PRIMARY_KEY = 'add the primary key'
    DROP_PRIMARY_KEY = 'drop the primary key'
    DROP_CONSTRAINT = 'drop a constraint'
    RENAME_OTHER = 'rename an index or a constraint'
    INSERT = 'insert rows'
    UPDATE = 'update rows'
    DELETE = 'delete rows'
    COMMENT = 'comment'
    SESSION = 'set something of the session'
    UNKNOWN = 'something that is not known'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that a statement does; a statement may do several."""

    kind: Kind
    table: str = ''  #: '' where the statement does not name it (PostgreSQL's DROP INDEX)
    name: str = ''  #: of the column, index or constraint
    new_name: str = ''  #: of what is renamed
    columns: tuple[str, ...] = ()  #: of an index or a constraint
    type: str = ''  #: as the server is told it
    not_null: bool = False
    default: bool = False  #: the server has a value for writers who do not name the column
    unique: bool = False
    concurrently: bool = False  #: PostgreSQL
    locks: bool = False  #: it says itself that it locks, or cannot be built beside writers on MySQL
    guarded: bool = False  #: IF EXISTS, IF NOT EXISTS
    from_query: bool = False  #: the rows come from a SELECT
    references: tuple[str, ...] = ()  #: tables that foreign keys lead to
    detail: str = ''  #: why it is not known


def unknown(tokens: Sequence[Token], table: str = '') -> Change:
    """Return a change of which these words are all that is known."""
    return Change(
        kind=Kind.UNKNOWN, table=table, detail=' '.join(token.text for token in tokens[:4])
    )
