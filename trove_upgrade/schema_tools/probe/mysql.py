# SPDX-License-Identifier: Apache-2.0
"""MariaDB and MySQL: each statement is tried with the least ALGORITHM and LOCK first, and the
errors say what it needs.

Source: measured on MariaDB 10.11: errors 1845 and 1846 end in "Try ALGORITHM=..." or "Try
LOCK=...".
"""

import dataclasses
import re

import sqlalchemy as sa

from trove_upgrade.schema_tools.probe.answers import Answer, Blocks, Source, Work, already_there
from trove_upgrade.schema_tools.probe.session import ERRORS, LOCK_SECONDS, ServerProbe, cause
from trove_upgrade.schema_tools.sql.manners import without_choice
from trove_upgrade.schema_tools.sql.statements import Form, Statement
from trove_upgrade.schema_tools.sql.words import written

_LOCKS = {'NONE': Blocks.NOTHING, 'SHARED': Blocks.WRITES, 'EXCLUSIVE': Blocks.EVERYTHING}
#: Not supported; 1221: INSTANT goes with no LOCK clause on MySQL; 1800: MySQL does not know NOCOPY.
_TRY_NEXT = frozenset({'1221', '1800', '1845', '1846'})
_THERE = {'1060': 'the column is there', '1061': 'the index is there'}
_GONE = '1091'
_TRIED = re.compile(
    r'(?:ADD|DROP|MODIFY|CHANGE|ALTER|RENAME (?:COLUMN|INDEX|KEY)|CONVERT|COMMENT|ENGINE|ROW_FORMAT'
    r'|(?:DEFAULT )?CHARACTER SET|(?:DEFAULT )?CHARSET|COLLATE|ALGORITHM|LOCK)\b'
)
_NOT_TRIED = re.compile(r'FOREIGN KEY|REFERENCES|PARTITION|TABLESPACE|SYSTEM VERSIONING')


@dataclasses.dataclass(frozen=True)
class Way:
    """Way in which the server is asked to do it."""

    algorithm: str
    lock: str = ''

    @property
    def sql(self) -> str:
        """As an ALTER TABLE ends, and as the plan prints it."""
        return f'ALGORITHM={self.algorithm}' + (f', LOCK={self.lock}' if self.lock else '')


#: From the least to the most.
_MARIADB = (
    Way('INSTANT'),
    *(Way(algorithm, lock) for algorithm in ('NOCOPY', 'INPLACE', 'COPY') for lock in _LOCKS),
)
_MYSQL = tuple(way for way in _MARIADB if way.algorithm != 'NOCOPY')


def next_way(ways: tuple[Way, ...], tried: Way, message: str) -> Way | None:
    """Return what the error names, if that is more than what was tried; else the next one.  None
    after the last.
    """
    later = ways[ways.index(tried) + 1 :]
    if found := re.search(r'Try ALGORITHM=(?P<names>[A-Z/]+)', message):
        named = set(found['names'].split('/'))
        return next(
            (way for way in later if way.algorithm in named and way.algorithm != tried.algorithm),
            later[0] if later else None,
        )
    if found := re.search(r'Try LOCK=(?P<name>[A-Z]+)', message):
        return next(
            (
                way
                for way in later
                if way.lock == found['name'] and way.algorithm == tried.algorithm
            ),
            later[0] if later else None,
        )
    return later[0] if later else None


class MysqlProbe(ServerProbe):
    """Asks MariaDB or MySQL."""

    def prepare(self, connection: sa.Connection) -> None:
        """Short waits for this session."""
        connection.exec_driver_sql(
            f'SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION innodb_lock_wait_timeout = '
            f'{LOCK_SECONDS}'
        )

    def session_number(self, connection: sa.Connection) -> int:
        """As information_schema.processlist calls it."""
        return int(connection.exec_driver_sql('SELECT CONNECTION_ID()').scalar_one())

    def living_sessions(self, connection: sa.Connection) -> set[int]:
        """Without the PROCESS privilege only this user's own; the copy of another's plan may go
        then, and that plan says so.
        """
        return {
            int(number)
            for number in connection.exec_driver_sql(
                'SELECT id FROM information_schema.processlist'
            ).scalars()
        }

    def copy(self, connection: sa.Connection, table: str, name: str) -> None:
        """Without foreign keys, which LIKE leaves out."""
        # Who may create but not drop would leave the copy for good: dropping is tried first.
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS {self.quoted(name)}')
        connection.exec_driver_sql(f'CREATE TABLE {self.quoted(name)} LIKE {self.quoted(table)}')

    def may_be_tried(self, statement: Statement) -> bool:
        """A known form that names no other table."""
        if statement.form is Form.ALTER_TABLE:
            return all(
                _TRIED.match(action) and not _NOT_TRIED.search(action)
                for action in statement.actions
            )
        return statement.form in {Form.CREATE_INDEX, Form.DROP_INDEX}

    def try_on_copy(self, statement: Statement, copy: str) -> Answer:
        """The least way that the server accepts."""
        sql = self._on_copy(statement, copy)
        ways = _MARIADB if self._dialect == 'mariadb' else _MYSQL
        way: Way = ways[0]
        while True:
            try:
                self.run(self.connection, f'{sql}, {way.sql}')
            except ERRORS as error:
                code, message = cause(error)
                if there := self._there_already(statement, code):
                    return already_there(there)
                following = next_way(ways, way, message) if code in _TRY_NEXT else None
                if following is None:
                    raise
                way = following
            else:
                return self._answer(statement, way)

    def _on_copy(self, statement: Statement, copy: str) -> str:
        """Always an ALTER TABLE: DROP INDEX takes no ALGORITHM on MariaDB."""
        rest = written(without_choice(statement.rest))
        if statement.form is Form.CREATE_INDEX:
            rest = f'ADD {statement.index_type} INDEX {self.quoted(statement.index)} {rest}'
        elif statement.form is Form.DROP_INDEX:
            rest = f'DROP INDEX {self.quoted(statement.index)}'
        return f'ALTER TABLE {self.quoted(copy)} {rest}'

    @staticmethod
    def _there_already(statement: Statement, code: str) -> str:
        if code in _THERE:
            return _THERE[code]
        # a copy lacks some of these
        constraint = any(
            'CONSTRAINT' in action or 'CHECK' in action for action in statement.actions
        )
        return 'what is dropped is not there' if code == _GONE and not constraint else ''

    def _answer(self, statement: Statement, way: Way) -> Answer:
        blocks = _LOCKS.get(way.lock, Blocks.NOTHING)
        if way.algorithm == 'INSTANT':
            return Answer(blocks=blocks, work=Work.METADATA, lock=way.sql, source=Source.ASKED)
        if way.algorithm == 'COPY':
            return Answer(blocks=blocks, work=Work.REBUILD, lock=way.sql, source=Source.ASKED)
        if way.algorithm == 'NOCOPY' or _is_of_indexes(statement):
            drops = statement.form is Form.DROP_INDEX or all(
                action.startswith('DROP') for action in statement.actions
            )
            return Answer(
                blocks=blocks,
                work=Work.METADATA
                if drops and statement.form is not Form.CREATE_INDEX
                else Work.INDEX,
                lock=way.sql,
                source=Source.ASKED,
            )
        return Answer(
            blocks=blocks,
            work=Work.REBUILD,
            lock=way.sql,
            source=Source.ASKED,
            detail=''
            if self._dialect == 'mariadb'
            else 'MySQL may do some changes INPLACE without writing the table anew',
        )


_OF_INDEXES = (
    'ADD INDEX',
    'ADD KEY',
    'ADD UNIQUE',
    'ADD FULLTEXT',
    'ADD CONSTRAINT',
    'DROP INDEX',
    'DROP KEY',
)


def _is_of_indexes(statement: Statement) -> bool:
    """Return whether the statement changes nothing but indexes."""
    if statement.form in {Form.CREATE_INDEX, Form.DROP_INDEX}:
        return True
    return all(action.startswith(_OF_INDEXES) for action in statement.actions)
