# SPDX-License-Identifier: Apache-2.0
"""Answers that need no asking, or cannot be had on a copy: by the kind of server.

Source: MariaDB Knowledge Base "InnoDB Online DDL" and "Metadata Locking"; PostgreSQL documentation,
"Explicit Locking", CREATE INDEX, ALTER TABLE; SQLite documentation, "File Locking And Concurrency".
"""

import dataclasses

from trove_upgrade.schema_tools.probe.answers import (
    NEW_TABLE,
    Answer,
    Blocks,
    Source,
    Work,
    not_asked,
)
from trove_upgrade.schema_tools.sql.reader import read
from trove_upgrade.schema_tools.sql.statements import BATCH_COPY, Form, Statement

_SESSION = Answer(
    blocks=Blocks.NOTHING,
    work=Work.NONE,
    lock='',
    source=Source.KNOWN,
    detail='a setting of the session',
)
_SQLITE = {
    Form.ROWS: Work.ROWS,
    Form.CREATE_INDEX: Work.INDEX,
    Form.COMMENT: Work.UNKNOWN,
    Form.OTHER: Work.UNKNOWN,
}
_METADATA_LOCK = 'exclusive metadata lock'
_ACCESS_EXCLUSIVE = 'ACCESS EXCLUSIVE'


def family(dialect: str) -> str:
    """'mysql' for MariaDB too."""
    return 'mysql' if dialect == 'mariadb' else dialect


def answer(statement: Statement, dialect: str) -> Answer | None:
    """None where only the server can say."""
    if statement.form is Form.SESSION:
        return _SESSION
    if statement.form is Form.CREATE_TABLE and family(dialect) != 'sqlite':
        return NEW_TABLE
    return {'mysql': _mysql, 'postgresql': _postgresql, 'sqlite': _sqlite}[family(dialect)](
        statement
    )


def _known(blocks: Blocks, work: Work, lock: str, detail: str = '') -> Answer:
    return Answer(blocks=blocks, work=work, lock=lock, source=Source.KNOWN, detail=detail)


def _mysql(statement: Statement) -> Answer | None:
    if statement.form is Form.ROWS:
        return _known(Blocks.ROWS, Work.ROWS, 'row locks')
    if statement.form in {Form.DROP_TABLE, Form.RENAME_TABLE}:
        return _known(Blocks.EVERYTHING, Work.METADATA, _METADATA_LOCK)
    if statement.form is Form.ALTER_TABLE and any(
        'REFERENCES' in action for action in statement.actions
    ):
        return _known(
            Blocks.WRITES,
            Work.REBUILD,
            'ALGORITHM=COPY, LOCK=SHARED',
            'a foreign key, which is checked for every row; not tried, as the table that it names '
            'would be locked too',
        )
    if statement.form is Form.ALTER_TABLE and all(
        'DROP FOREIGN KEY' in action for action in statement.actions
    ):
        return _known(
            Blocks.NOTHING,
            Work.METADATA,
            'ALGORITHM=INPLACE, LOCK=NONE',
            'a copy has no foreign keys',
        )
    return None


def _postgresql(statement: Statement) -> Answer | None:
    if statement.form is Form.ROWS:
        return _known(Blocks.ROWS, Work.ROWS, 'ROW EXCLUSIVE')
    if statement.form in {Form.DROP_TABLE, Form.RENAME_TABLE}:
        return _known(Blocks.EVERYTHING, Work.METADATA, _ACCESS_EXCLUSIVE)
    if statement.form is Form.CREATE_INDEX and statement.concurrently:
        return _known(
            Blocks.NOTHING,
            Work.INDEX,
            'SHARE UPDATE EXCLUSIVE',
            'CONCURRENTLY, which cannot run in a transaction, and is not tried',
        )
    if statement.form is Form.DROP_INDEX:
        blocks, lock = (
            (Blocks.NOTHING, 'SHARE UPDATE EXCLUSIVE')
            if statement.concurrently
            else (Blocks.EVERYTHING, _ACCESS_EXCLUSIVE)
        )
        return _known(
            blocks, Work.METADATA, lock, "a copy's index has another name, and is not tried"
        )
    if statement.form is Form.COMMENT:
        return _known(Blocks.NOTHING, Work.METADATA, 'SHARE UPDATE EXCLUSIVE')
    return _postgresql_alter(statement) if statement.form is Form.ALTER_TABLE else None


def _postgresql_alter(statement: Statement) -> Answer | None:
    actions = statement.actions
    if any('REFERENCES' in action for action in actions):
        work = Work.METADATA if all('NOT VALID' in action for action in actions) else Work.SCAN
        return _known(
            Blocks.WRITES,
            work,
            'SHARE ROW EXCLUSIVE',
            'a foreign key; not tried, as the table that it names would be locked too',
        )
    if all(action.startswith('VALIDATE CONSTRAINT') for action in actions):
        return _known(
            Blocks.NOTHING,
            Work.SCAN,
            'SHARE UPDATE EXCLUSIVE',
            'a copy has no foreign keys, and is not tried',
        )
    if all(action.startswith('DROP CONSTRAINT') for action in actions):
        return _known(
            Blocks.EVERYTHING,
            Work.METADATA,
            _ACCESS_EXCLUSIVE,
            "a copy's constraint may have another name, and is not tried",
        )
    if any('USING INDEX' in action for action in actions):
        return _known(
            Blocks.EVERYTHING,
            Work.METADATA,
            _ACCESS_EXCLUSIVE,
            "the index is the table's own, and is not tried",
        )
    return None


def _sqlite(statement: Statement) -> Answer:
    work = _SQLITE.get(statement.form, Work.METADATA)
    if any(action.startswith('DROP') for action in statement.actions):
        work = Work.REBUILD
    if statement.form is Form.ROWS and statement.table.startswith(BATCH_COPY):
        work = Work.REBUILD
    return _known(Blocks.DATABASE, work, 'EXCLUSIVE', 'one writer locks the file')


@dataclasses.dataclass
class Unasked:
    """Stands where no server is asked: for another engine's SQL, and for SQLite."""

    dialect: str
    reason: str
    notes: list[str] = dataclasses.field(default_factory=list)

    def ask(self, sql: str) -> Answer:
        """Return what is known without a server."""
        return answer(read(sql, self.dialect), self.dialect) or not_asked(self.reason)
