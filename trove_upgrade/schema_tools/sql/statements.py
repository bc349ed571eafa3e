# SPDX-License-Identifier: Apache-2.0
"""Statements that have been read: what each changes, and the parts from which the same can be done
to another table.
"""

import dataclasses
import enum
from collections.abc import Sequence

from trove_upgrade.schema_tools.sql.changes import Change
from trove_upgrade.schema_tools.sql.tokens import Token
from trove_upgrade.schema_tools.sql.words import masked, parts_of

#: Alembic copies a table of SQLite into one whose name begins so.
BATCH_COPY = '_alembic_tmp_'


class Form(enum.StrEnum):
    """Form of a statement that is known to its end."""

    CREATE_TABLE = enum.auto()
    DROP_TABLE = enum.auto()
    RENAME_TABLE = enum.auto()
    ALTER_TABLE = enum.auto()
    CREATE_INDEX = enum.auto()
    DROP_INDEX = enum.auto()
    ROWS = enum.auto()  #: INSERT, UPDATE, DELETE
    COMMENT = enum.auto()  #: COMMENT ON
    SESSION = enum.auto()  #: SET, BEGIN, COMMIT: nothing of the data
    OTHER = enum.auto()  #: never tried: a wrong guess could touch the real table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement, taken apart; names are without their quotes."""

    form: Form
    changes: tuple[Change, ...]  #: in its order; an UNKNOWN one where that is not known
    table: str = ''  #: '' where none is named, or where it is named with its schema
    new_table: str = ''  #: of RENAME_TABLE
    index: str = ''
    index_type: str = ''  #: 'UNIQUE', 'FULLTEXT', ...
    concurrently: bool = False
    rest: Sequence[Token] = ()  #: of ALTER_TABLE and CREATE_INDEX: what follows the table's name

    @property
    def actions(self) -> tuple[str, ...]:
        """Parts of an ALTER_TABLE, as `masked` writes them."""
        if self.form is not Form.ALTER_TABLE:
            return ()
        return tuple(masked(part) for part in parts_of(self.rest))
