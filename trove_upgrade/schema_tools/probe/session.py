# SPDX-License-Identifier: Apache-2.0
"""Empty copies of tables, on which a server is asked what it would do to the table itself.

A copy is called upgrade_probe_<16 hexadecimal digits>: the first 8 are the number of the session
that made it, so that what a killed plan has left can be told from what a living one uses.  The real
tables are only ever named as what a copy is made like.
"""

import abc
import contextlib
import re
import secrets
from collections.abc import Iterator
from typing import Self

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import driver_errors
from trove_upgrade.schema_tools.probe import known
from trove_upgrade.schema_tools.probe.answers import NEW_TABLE, Answer, Source, not_asked
from trove_upgrade.schema_tools.sql.reader import read
from trove_upgrade.schema_tools.sql.statements import Form, Statement

PREFIX = 'upgrade_probe_'
_NAME = re.compile(rf'{PREFIX}(?P<session>[0-9a-f]{{8}})[0-9a-f]{{8}}')
#: How long a probe's own statement waits for a lock: it must never stand in a service's way.
LOCK_SECONDS = 1

_BEHIND = 'an earlier statement on this table could not be tried on a copy'

#: oslo.db's engines raise their own errors, others SQLAlchemy's.
ERRORS = (sa.exc.DBAPIError, db_exc.DBError)


def cause(error: BaseException) -> tuple[str, str]:
    """The server's code ('1846', '42501') and the first line of what it says."""
    original = driver_errors.drivers(error) or driver_errors.wrapped(error)
    number = driver_errors.number(original)
    if number is not None and len(original.args) > 1:  # PyMySQL: number and text
        return str(number), next(iter(str(original.args[1]).splitlines()), '')
    return driver_errors.sql_state(original) or '', next(
        iter(str(original).splitlines()), type(original).__name__
    )


class ServerProbe(abc.ABC):
    """Asks one server, statement by statement in the order in which they would run; `with` drops
    the copies.
    """

    def __init__(self, engine: sa.Engine, dialect: str) -> None:
        """`engine` keeps no connection, as the probe changes their settings; `dialect` is what the
        server is, however the URL calls it.
        """
        self._engine = engine
        self._dialect = dialect
        self._connection: sa.Connection | None = None
        self._session = 0
        # by the name that the table has at this point of the plan
        self._copies: dict[str, str] = {}
        self._made: list[str] = []
        self._new: set[str] = set()  # tables that an earlier statement creates
        self._refused: dict[str, str] = {}  # tables that cannot be asked about, and why
        self.notes: list[str] = []  #: what an operator should know besides the answers

    def __enter__(self) -> Self:
        self._connection = self._engine.connect()
        try:
            self.connection.execution_options(isolation_level='AUTOCOMMIT')
            self.prepare(self.connection)
            self._session = self.session_number(self.connection)
            self._drop_leftovers()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()
        if not self._made:
            return
        # A fresh connection: the old one may have been cut in the middle of a statement, by Ctrl-C
        # for one.
        with self._own_connection() as connection:
            for name in self._made:
                self._drop(connection, name)

    @property
    def connection(self) -> sa.Connection:
        """The probe's own."""
        if self._connection is None:
            raise RuntimeError('the probe is used outside of its with block')
        return self._connection

    @abc.abstractmethod
    def prepare(self, connection: sa.Connection) -> None:
        """Short waits for this session."""

    @abc.abstractmethod
    def session_number(self, connection: sa.Connection) -> int:
        """The server's number for this session."""

    @abc.abstractmethod
    def living_sessions(self, connection: sa.Connection) -> set[int]:
        """The numbers of the sessions that are there."""

    @abc.abstractmethod
    def copy(self, connection: sa.Connection, table: str, name: str) -> None:
        """Make `name` like `table`, without its rows."""

    @abc.abstractmethod
    def try_on_copy(self, statement: Statement, copy: str) -> Answer:
        """Do the statement to the copy; it stays done, as later statements build on it."""

    @abc.abstractmethod
    def may_be_tried(self, statement: Statement) -> bool:
        """Return whether the statement, with the copy's name, can touch nothing but the copy."""

    def ask(self, sql: str) -> Answer:
        """About the next statement of the plan."""
        statement = read(sql, self._dialect)
        if statement.table in self._new and statement.form not in {
            Form.DROP_TABLE,
            Form.RENAME_TABLE,
        }:
            return NEW_TABLE
        certain = known.answer(statement, self._dialect)
        if certain is not None:
            return self._follow(statement, certain)
        if not statement.table or not self.may_be_tried(statement):
            # the copy is no longer what the table will be
            self._refused.setdefault(statement.table, _BEHIND)
            return not_asked('a statement of this form is not tried on a copy')
        copy = self._copy_of(statement.table)
        if copy is None:
            return not_asked(self._refused[statement.table])
        try:
            return self.try_on_copy(statement, copy)
        except ERRORS as error:
            self._refused[statement.table] = _BEHIND
            self._copies.pop(statement.table)
            return not_asked(f'the server refused it on an empty copy: {cause(error)[1]}')

    def _follow(self, statement: Statement, answer: Answer) -> Answer:
        """Keep in mind what the statement does to the list of tables."""
        table = statement.table
        if statement.form is Form.CREATE_TABLE and table:
            if self._is_there(table):
                return Answer(
                    blocks=answer.blocks,
                    work=answer.work,
                    lock='',
                    source=Source.ASKED,
                    detail='done already: the table is there',
                )
            self._new.add(table)
        elif statement.form is Form.DROP_TABLE:
            self._new.discard(table)
            self._copies.pop(table, None)
        elif statement.form is Form.RENAME_TABLE and statement.new_table:
            if table in self._new:
                self._new = self._new - {table} | {statement.new_table}
            copy = self._copy_of(table) if table and table not in self._new else None
            if copy is not None:
                self._copies[statement.new_table] = self._copies.pop(table)
        return answer

    def _is_there(self, table: str) -> bool:
        return sa.inspect(self.connection).has_table(table)

    def _copy_of(self, table: str) -> str | None:
        """None where there can be no copy; `_refused` says why."""
        if table in self._refused:
            return None
        if table not in self._copies:
            name = f'{PREFIX}{self._session & 0xFFFFFFFF:08x}{secrets.token_hex(4)}'
            # first: an interrupt right after the statement must not lose it
            self._made.append(name)
            try:
                self.copy(self.connection, table, name)
            except ERRORS as error:
                self._refused[table] = f'no empty copy of {table} can be made: {cause(error)[1]}'
                return None
            self._copies[table] = name
        return self._copies[table]

    @staticmethod
    def run(connection: sa.Connection, sql: str) -> None:
        """A statement as it stands: no driver looks for parameters in it."""
        connection.exec_driver_sql(sql, execution_options={'no_parameters': True})

    def quoted(self, name: str) -> str:
        """As this server writes a name."""
        return self._engine.dialect.identifier_preparer.quote(name)

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            # without a word to the server: it may be in the middle of a statement
            connection.invalidate()
            connection.close()

    @contextlib.contextmanager
    def _own_connection(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level='AUTOCOMMIT')
            self.prepare(connection)
            yield connection

    def _drop_leftovers(self) -> None:
        tables = [
            name for name in sa.inspect(self.connection).get_table_names() if _NAME.fullmatch(name)
        ]
        if not tables:
            return
        living = self.living_sessions(self.connection)
        for name in tables:
            found = _NAME.fullmatch(name)
            if (
                found is not None
                and int(found['session'], 16) not in living
                and self._is_empty(name)
            ):
                self._drop(self.connection, name)

    def _is_empty(self, name: str) -> bool:
        """A copy never has rows: a table that has some is another's, whatever its name is."""
        return (
            self.connection.exec_driver_sql(f'SELECT 1 FROM {self.quoted(name)} LIMIT 1').first()
            is None
        )

    def _drop(self, connection: sa.Connection, name: str) -> None:
        try:
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS {self.quoted(name)}')
        except ERRORS as error:
            self.notes.append(
                f'table {name}, an empty copy, could not be dropped: {cause(error)[1]}; drop it by '
                'hand'
            )
