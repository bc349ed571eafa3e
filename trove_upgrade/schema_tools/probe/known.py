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
from trove_upgrade.schema_tools.probe.statement import Kind, Parsed, parse

_SESSION = Answer(
    blocks=Blocks.NOTHING,
    work=Work.NONE,
    lock='',
    source=Source.KNOWN,
    detail='a setting of the session',
)
_METADATA_LOCK = 'exclusive metadata lock'
_ACCESS_EXCLUSIVE = 'ACCESS EXCLUSIVE'


def family(dialect: str) -> str:
    """'mysql' for MariaDB too."""
    return 'mysql' if dialect == 'mariadb' else dialect


def answer(parsed: Parsed, dialect: str) -> Answer | None:
    """None where only the server can say."""
    if parsed.kind is Kind.SESSION:
        return _SESSION
    if parsed.kind is Kind.CREATE_TABLE and family(dialect) != 'sqlite':
        return NEW_TABLE
    return {'mysql': _mysql, 'postgresql': _postgresql, 'sqlite': _sqlite}[family(dialect)](parsed)


def _known(blocks: Blocks, work: Work, lock: str, detail: str = '') -> Answer:
    return Answer(blocks=blocks, work=work, lock=lock, source=Source.KNOWN, detail=detail)


def _mysql(parsed: Parsed) -> Answer | None:
    if parsed.kind is Kind.ROWS:
        return _known(Blocks.ROWS, Work.ROWS, 'row locks')
    if parsed.kind in {Kind.DROP_TABLE, Kind.RENAME_TABLE}:
        return _known(Blocks.EVERYTHING, Work.METADATA, _METADATA_LOCK)
    if parsed.kind is Kind.ALTER_TABLE and any('REFERENCES' in action for action in parsed.actions):
        return _known(
            Blocks.WRITES,
            Work.REBUILD,
            'ALGORITHM=COPY, LOCK=SHARED',
            'a foreign key, which is checked for every row; not tried, as the table that it names '
            'would be locked too',
        )
    if parsed.kind is Kind.ALTER_TABLE and all(
        'DROP FOREIGN KEY' in action for action in parsed.actions
    ):
        return _known(
            Blocks.NOTHING,
            Work.METADATA,
            'ALGORITHM=INPLACE, LOCK=NONE',
            'a copy has no foreign keys',
        )
    return None


def _postgresql(parsed: Parsed) -> Answer | None:
    if parsed.kind is Kind.ROWS:
        return _known(Blocks.ROWS, Work.ROWS, 'ROW EXCLUSIVE')
    if parsed.kind in {Kind.DROP_TABLE, Kind.RENAME_TABLE}:
        return _known(Blocks.EVERYTHING, Work.METADATA, _ACCESS_EXCLUSIVE)
    if parsed.kind is Kind.CREATE_INDEX and parsed.concurrently:
        return _known(
            Blocks.NOTHING,
            Work.INDEX,
            'SHARE UPDATE EXCLUSIVE',
            'CONCURRENTLY, which cannot run in a transaction, and is not tried',
        )
    if parsed.kind is Kind.DROP_INDEX:
        blocks, lock = (
            (Blocks.NOTHING, 'SHARE UPDATE EXCLUSIVE')
            if parsed.concurrently
            else (Blocks.EVERYTHING, _ACCESS_EXCLUSIVE)
        )
        return _known(
            blocks, Work.METADATA, lock, "a copy's index has another name, and is not tried"
        )
    if parsed.kind is Kind.OTHER and parsed.sql.upper().startswith('COMMENT ON '):
        return _known(Blocks.NOTHING, Work.METADATA, 'SHARE UPDATE EXCLUSIVE')
    return _postgresql_alter(parsed) if parsed.kind is Kind.ALTER_TABLE else None


def _postgresql_alter(parsed: Parsed) -> Answer | None:
    actions = parsed.actions
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


def _sqlite(parsed: Parsed) -> Answer:
    work = {Kind.ROWS: Work.ROWS, Kind.CREATE_INDEX: Work.INDEX, Kind.OTHER: Work.UNKNOWN}.get(
        parsed.kind, Work.METADATA
    )
    if any(action.startswith('DROP') for action in parsed.actions):
        work = Work.REBUILD
    if parsed.kind is Kind.ROWS and parsed.table.startswith('_alembic_tmp_'):
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
        return answer(
            parse(sql, backslashes=family(self.dialect) == 'mysql'), self.dialect
        ) or not_asked(self.reason)
