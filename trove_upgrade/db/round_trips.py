# SPDX-License-Identifier: Apache-2.0
"""Connections of PyMySQL that ask the server for nothing that is known already.

SQLAlchemy tries each connection that it takes from the pool, and rolls back each that it puts there
again; and a SELECT alone opens a transaction.  That makes three round trips of one statement.  Here
what `Database` reads is read without a transaction, one is begun where something is written, a
connection that the server has just answered on is tried by its socket, and nothing is rolled back
where the server has told that no transaction is open.

A connection that is taken of the engine itself, as revisions of the schema do, is what SQLAlchemy
expects: each of its statements is in a transaction.
"""

import select
import socket
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pymysql import connections
from pymysql.constants import SERVER_STATUS

#: A connection that was silent for longer is tried as before: a firewall may have forgotten it, and
#: its socket tells nothing of that.
TRUSTED_SECONDS = 5.0

_OPTION = 'trove_upgrade_begins'


if TYPE_CHECKING:
    _Connection = connections.Connection[Any]
else:  # PyMySQL's class takes no parameter
    _Connection = connections.Connection


class Connection(_Connection):
    """One connection: used by one thread at a time, as the pool gives it."""

    #: PyMySQL's own: the stubs of its types leave them out
    _sock: socket.socket | None
    server_status: int | None

    def __init__(self, *args: Any, trusted_seconds: float, **parameters: Any) -> None:
        self._trusted_seconds = trusted_seconds
        self._heard_at = 0.0  #: when the server has answered last, by the monotonic clock
        super().__init__(*args, **parameters)

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        """Run a statement as PyMySQL does, and note that the server has answered."""
        found: int = super().query(sql, unbuffered)
        self._heard_at = time.monotonic()
        return found

    def ping(self, reconnect: bool | None = False) -> None:  # noqa: ARG002 - SQLAlchemy makes another connection
        """Find out whether the server is there: without a question where it has just answered and
        has not hung up since.

        Raises as PyMySQL does where it is not.
        """
        if time.monotonic() - self._heard_at >= self._trusted_seconds or self._has_unread():
            super().ping(False)

    def commit(self) -> None:
        """Commit, where there is something to commit."""
        if not self._is_free():
            super().commit()

    def rollback(self) -> None:
        """Roll back, where there is something to roll back."""
        if not self._is_free():
            super().rollback()

    def _has_unread(self) -> bool:
        """Tell whether the socket has something that nothing was asked for: mostly its end."""
        if self._sock is None:
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def _is_free(self) -> bool:
        """Tell whether the server has told, with its last answer, that no transaction is open and
        that none opens by itself.
        """
        status = self.server_status or 0
        return bool(
            status & SERVER_STATUS.SERVER_STATUS_AUTOCOMMIT
            and not status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
        )


def save(engine: sa.Engine, *, trusted_seconds: float = TRUSTED_SECONDS) -> None:
    """Make the engine's connections from now on such ones, unless its driver is another."""
    if engine.driver != 'pymysql':
        return

    def connect(
        _dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]
    ) -> Connection:
        return Connection(*arguments, trusted_seconds=trusted_seconds, **parameters)

    sa.event.listen(engine, 'do_connect', connect)
    sa.event.listen(engine, 'begin', _begun)


def taken(connection: sa.Connection) -> sa.Connection:
    """Return a connection on which nothing begins by itself: what is read is read outside of any
    transaction, and `begin` begins one.
    """
    driver = _driver(connection)
    if driver is None:
        return connection
    connection.execution_options(**{_OPTION: True})
    if not driver.get_autocommit():
        connection.exec_driver_sql('SET autocommit = 1')
        connection.rollback()
    return connection


def begin(connection: sa.Connection) -> None:
    """Begin a transaction on a connection of `taken`; SQLAlchemy has begun its own."""
    if _driver(connection) is not None:
        connection.exec_driver_sql('BEGIN')


def _driver(connection: sa.Connection) -> Connection | None:
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, Connection) else None


def _begun(connection: sa.Connection) -> None:
    """Let each statement open a transaction, where the connection was not taken by `taken`."""
    driver = _driver(connection)
    if driver is not None and not connection.get_execution_options().get(_OPTION):
        driver.autocommit(False)
