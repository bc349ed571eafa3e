# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: the statement is done to an empty copy, and the server's own tables say which lock
that took and what was written anew.
"""

import re

import sqlalchemy as sa

from trove_upgrade.schema_tools.probe.answers import Answer, Blocks, Source, Work, already_there
from trove_upgrade.schema_tools.probe.session import ERRORS, LOCK_SECONDS, ServerProbe, cause
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.words import written

#: From the weakest to the strongest, as pg_locks and as the documentation calls them.
_MODES = (
    ('AccessShareLock', 'ACCESS SHARE', Blocks.NOTHING),
    ('RowShareLock', 'ROW SHARE', Blocks.NOTHING),
    ('RowExclusiveLock', 'ROW EXCLUSIVE', Blocks.NOTHING),
    ('ShareUpdateExclusiveLock', 'SHARE UPDATE EXCLUSIVE', Blocks.NOTHING),
    ('ShareLock', 'SHARE', Blocks.WRITES),
    ('ShareRowExclusiveLock', 'SHARE ROW EXCLUSIVE', Blocks.WRITES),
    ('ExclusiveLock', 'EXCLUSIVE', Blocks.WRITES),
    ('AccessExclusiveLock', 'ACCESS EXCLUSIVE', Blocks.EVERYTHING),
)
_ORDER = [mode for mode, _name, _blocks in _MODES]
_TRIED = re.compile(r'ADD |DROP (?!CONSTRAINT)|ALTER |RENAME COLUMN|SET \(|RESET \(')
_NOT_TRIED = re.compile(r'REFERENCES|USING INDEX|PARTITION|INHERIT|OWNER')
#: What an empty copy cannot show: with rows, each of them is read.
_SCANS = re.compile(r'SET NOT NULL|CHECK \(|CHECK\(')
_DUPLICATE_COLUMN, _UNDEFINED_COLUMN = '42701', '42703'

_STRONGEST = sa.text(
    "SELECT mode FROM pg_locks WHERE locktype = 'relation' AND relation = CAST(:name AS regclass)"
    ' AND pid = pg_backend_pid() AND granted'
)
_FILE = sa.text('SELECT pg_relation_filenode(CAST(:name AS regclass))')
_INDEX_FILES = sa.text(
    'SELECT pg_relation_filenode(indexrelid) FROM pg_index WHERE indrelid = CAST(:name AS regclass)'
)
_VALID_INDEX = sa.text('SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)')


class PostgresqlProbe(ServerProbe):
    """Asks PostgreSQL by statements on an empty copy of the table."""

    def prepare(self, connection: sa.Connection) -> None:
        """Set short waits for locks in this session."""
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_SECONDS}s'")

    def session_number(self, connection: sa.Connection) -> int:
        """The process that serves it."""
        return int(connection.exec_driver_sql('SELECT pg_backend_pid()').scalar_one())

    def living_sessions(self, connection: sa.Connection) -> set[int]:
        """Return the numbers of all sessions, which every user may read."""
        return {
            int(number)
            for number in connection.exec_driver_sql('SELECT pid FROM pg_stat_activity').scalars()
        }

    def copy(self, connection: sa.Connection, table: str, name: str) -> None:
        """Make an empty copy with indexes, defaults and checks, without foreign keys."""
        # Committed before anything is tried: who creates a table holds its strongest lock until
        # then.
        connection.exec_driver_sql(
            f'CREATE TABLE {self.quoted(name)} (LIKE {self.quoted(table)} INCLUDING ALL)'
        )

    def may_be_tried(self, statement: Statement) -> bool:
        """A known form that names no other table and no index of the real one."""
        if statement.form is Form.ALTER_TABLE:
            return all(
                _TRIED.match(action) and not _NOT_TRIED.search(action)
                for action in statement.actions
            )
        return statement.form is Form.CREATE_INDEX and not statement.concurrently

    def try_on_copy(self, statement: Statement, copy: str) -> Answer:
        """Return what the transaction held and changed, read before it ends."""
        connection = self.connection
        if (
            statement.form is Form.CREATE_INDEX
            and connection.execute(_VALID_INDEX, {'name': self.quoted(statement.index)}).scalar()
        ):
            return already_there('the index is there')
        name = {'name': self.quoted(copy)}
        before, indexes_before = (
            connection.execute(_FILE, name).scalar(),
            set(connection.execute(_INDEX_FILES, name).scalars()),
        )
        connection.exec_driver_sql('BEGIN')
        try:
            self.run(connection, self._on_copy(statement, copy))
            modes = list(connection.execute(_STRONGEST, name).scalars())
            rebuilt = connection.execute(_FILE, name).scalar() != before
            new_indexes = set(connection.execute(_INDEX_FILES, name).scalars()) - indexes_before
            connection.exec_driver_sql('COMMIT')
        except ERRORS as error:
            connection.exec_driver_sql('ROLLBACK')
            if there := self._there_already(statement, cause(error)[0]):
                return already_there(there)
            raise
        return self._answer(statement, modes, rebuilt=rebuilt, indexes=bool(new_indexes))

    def _on_copy(self, statement: Statement, copy: str) -> str:
        """An index gets the copy's name: names of indexes are one per schema."""
        if statement.form is Form.CREATE_INDEX:
            return (
                f'CREATE {statement.index_type} INDEX {self.quoted(copy + "_index")} ON '
                f'{self.quoted(copy)} {written(statement.rest)}'
            )
        return f'ALTER TABLE {self.quoted(copy)} {written(statement.rest)}'

    @staticmethod
    def _there_already(statement: Statement, code: str) -> str:
        if code == _DUPLICATE_COLUMN and all(
            action.startswith('ADD') for action in statement.actions
        ):
            return 'the column is there'
        dropped = code == _UNDEFINED_COLUMN and all(
            action.startswith('DROP') for action in statement.actions
        )
        return 'what is dropped is not there' if dropped else ''

    @staticmethod
    def _answer(statement: Statement, modes: list[str], *, rebuilt: bool, indexes: bool) -> Answer:
        strongest = max(modes, key=_ORDER.index, default=_ORDER[0])
        _mode, lock, blocks = _MODES[_ORDER.index(strongest)]
        if rebuilt:
            return Answer(blocks=blocks, work=Work.REBUILD, lock=lock, source=Source.ASKED)
        if indexes:
            return Answer(blocks=blocks, work=Work.INDEX, lock=lock, source=Source.ASKED)
        if any(_SCANS.search(action) and 'NOT VALID' not in action for action in statement.actions):
            return Answer(
                blocks=blocks,
                work=Work.SCAN,
                lock=lock,
                source=Source.ASKED,
                detail='every row is read, which an empty copy cannot show',
            )
        return Answer(blocks=blocks, work=Work.METADATA, lock=lock, source=Source.ASKED)
