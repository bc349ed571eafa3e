# SPDX-License-Identifier: Apache-2.0
"""Connection of the agent to the server: over its unix socket, as root or with root's own client
file.

The client file is read by us and never handed to a client as an option file: a file that came from
elsewhere could name plugins, libraries or other files.
"""

import contextlib
import dataclasses
import functools
import pathlib
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pymysql

from trove_upgrade import logins
from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import option_files

DEFAULT_SOCKET = '/run/mysqld/mysqld.sock'

ACCESS_DENIED = frozenset({1044, 1045, 1698})
#: A server says no to a user: denied, a plugin that it has not, an account that is locked or has
#: another way in. Source: MariaDB Knowledge Base, "MariaDB Error Codes"; MySQL Error Reference,
#: ER_PLUGIN_IS_NOT_LOADED and its neighbours.
LOGIN_REFUSED = ACCESS_DENIED | {1130, 1251, 1524, 1820, 1862, 2049, 2059, 2061, 3118, 3955, 4151}
#: Answers to a login without the TLS that its account requires; the second one where the account
#: logs in by the socket.
_NOT_THIS_USER = frozenset({1045, 1698})
_NO_TLS = 2026
CONNECTION_LOST = frozenset({2002, 2003, 2006, 2013})
LOCK_WAIT_TIMEOUT = 1205
NO_SUCH_THREAD = 1094
STATEMENT_TIMEOUT = frozenset({1969, 3024, 1317})
_UNKNOWN_COMMAND = 1047
#: What PyMySQL raises; the plain ones where a server does not keep to the protocol, or asks for a
#: file of the client's.
_FAILURES = (
    pymysql.err.Error,
    OSError,
    RuntimeError,
    AssertionError,
    LookupError,
    ValueError,
    struct.error,
)
_RESET_CONNECTION = 0x1F  #: Source: MySQL's client/server protocol, COM_RESET_CONNECTION
_NO_LIMIT = 2**64 - 1

#: A tenant who is superuser sets what a new session begins with; what changes answers, or ends
#: them, is the agent's own here. The comments: MariaDB alone reads the first ones, MySQL alone the
#: last.
_VARIABLES = (
    f"SET SESSION sql_mode = '', autocommit = 1, sql_select_limit = {_NO_LIMIT}, "
    'sql_big_selects = 1, sql_safe_updates = 0, sql_auto_is_null = 0, sql_quote_show_create = 1, '
    'completion_type = 0, group_concat_max_len = 1048576, max_sort_length = 1024, '
    "div_precision_increment = 4, default_week_format = 0, lc_messages = 'en_US', "
    "lc_time_names = 'en_US', wait_timeout = 28800, interactive_timeout = 28800, "
    'net_read_timeout = 30, net_write_timeout = 60, low_priority_updates = 0, '
    "time_zone = '+00:00' "
    '/*M!100101 , max_statement_time = 0 */ /*M!100312 , system_versioning_asof = DEFAULT */ '
    '/*!50708 , max_execution_time = 0 */'
)
SESSION = (
    _VARIABLES,
    'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
    'SET SESSION TRANSACTION READ WRITE',
    'USE information_schema',
)


class SessionError(exceptions.TroveUpgradeError):
    """The server refused a statement, or the connection broke.  `number` is the server's own error
    number.
    """

    code = 'DATABASE_STATEMENT_FAILED'
    template = (
        'The database server did not carry out "{statement}": {number} {text}. Look at its '
        'error log.'
    )

    def __init__(self, statement: str, number: int, text: str) -> None:
        super().__init__(statement=statement, number=number, text=text)
        self.statement = statement
        self.number = number
        self.text = text


class NoAnswer(exceptions.TroveUpgradeError):
    """Failure to log in: no server answers on the socket, or none lets us in."""

    code = 'DATABASE_NOT_RUNNING'
    template = (
        'The database server cannot be reached on {socket}: {found}. Start it, or let root '
        'in over the socket.'
    )


class LoginRefused(NoAnswer):
    """A server answers, and lets none of the agent's users in: waiting changes nothing."""

    code = 'DATABASE_LOGIN_REFUSED'
    template = (
        'The database server on {socket} refuses the agent: {found}. Let root in, over the socket '
        'or with a password and a plugin that this server has.'
    )


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Account and address of a connection."""

    socket: str
    user: str = 'root'
    password: str = dataclasses.field(default='', repr=False)


class Session(Protocol):
    """One connection.  Session variables and locks live as long as it does."""

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of the answer; an empty list where there is none.

        :raises SessionError: the server said no, or has gone.
        """

    def close(self) -> None:
        """Let go; locks end.  Safe to call twice, and after the server has gone."""


#: Opens a session; the number is the time in seconds that one statement may take, 0 for no limit.
Connector = Callable[[Credentials, float], Session]


def _connected(
    credentials: Credentials, limit: int | None
) -> 'pymysql.connections.Connection[pymysql.cursors.Cursor]':
    """Log in without TLS, which protects nothing on a socket of this machine; where that is
    refused, with it, as an account may require it.  Raises as PyMySQL.
    """
    connect = functools.partial(
        pymysql.connect,
        unix_socket=credentials.socket,
        user=credentials.user,
        password=credentials.password,
        charset='utf8mb4',
        connect_timeout=5,
        read_timeout=limit,
        write_timeout=limit,
        autocommit=True,
        **logins.arguments(),
    )
    try:
        return connect(ssl_disabled=True)
    except pymysql.err.Error as error:
        if not _NOT_THIS_USER.intersection(error.args[:1]):
            raise
        refusal = error
    try:
        return connect(ssl=_any_certificate())
    except _FAILURES as error:
        raise (error if _tells_more(error) else refusal) from None


def _tells_more(error: Exception) -> bool:
    """Return whether the server, with TLS, has refused for another reason, as an account that is
    locked; not whether it has none, or has ended the connection.
    """
    number = error.args[0] if isinstance(error, pymysql.err.Error) and error.args else _NO_TLS
    return number not in {*_NOT_THIS_USER, *CONNECTION_LOST, _NO_TLS}


@functools.cache
def _any_certificate() -> ssl.SSLContext:
    """TLS with a server that is known by its socket.  Made once: it reads no authorities, which
    takes PyMySQL's own 40 ms of each login.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class PyMySQLSession:
    """Implements `Session` over PyMySQL."""

    def __init__(self, credentials: Credentials, timeout_seconds: float) -> None:
        """Connect and log in; each statement may take `timeout_seconds`.

        :raises NoAnswer: nothing listens, or access is denied.
        """
        try:
            self._connection = _connected(credentials, int(timeout_seconds) or None)
            self._pin()
        except _FAILURES as error:
            kind = LoginRefused if error.args and error.args[0] in LOGIN_REFUSED else NoAnswer
            raise kind(
                socket=credentials.socket, found=f'{credentials.user}: {_text(error)}'
            ) from error

    def _pin(self) -> None:
        """Raises as PyMySQL: the session is closed then."""
        try:
            self._forget_init_connect()
            self._connection.set_character_set('utf8mb4')
            with self._connection.cursor() as cursor:
                for statement in SESSION:
                    cursor.execute(statement)
        except _FAILURES:
            self.close()
            raise

    def _forget_init_connect(self) -> None:
        """Reset what `init_connect` has left. It has run where the agent's account is no superuser:
        a temporary table of its could stand before the tenant's real one.
        """
        connected: Any = self._connection
        try:
            connected._execute_command(_RESET_CONNECTION, b'')  # noqa: SLF001 - PyMySQL has no name for it
            connected._read_packet()  # noqa: SLF001
        except pymysql.err.Error as error:  # older than MariaDB 10.2 and MySQL 5.7
            if error.args[:1] != (_UNKNOWN_COMMAND,):
                raise

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, tuple(arguments) or None)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        except _FAILURES as error:
            # after any other error, what comes next on the connection is not known
            if not isinstance(error, pymysql.err.Error):
                self.close()
            number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            raise SessionError(statement[:120], number, _text(error)) from error

    def close(self) -> None:
        if self._connection.open:
            with contextlib.suppress(OSError):
                self._connection.close()  # takes leave of the server, which may have gone


def _text(error: BaseException) -> str:
    if isinstance(error, RuntimeError):
        return "the server asks for a file of the agent's, which it does not get"
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def open_session(credentials: Credentials, timeout_seconds: float) -> Session:
    """Implements `Connector` with PyMySQL."""
    return PyMySQLSession(credentials, timeout_seconds)


def candidates(
    configuration: option_files.Configuration,
    client_file: pathlib.Path,
    told_socket: str | None = None,
) -> tuple[Credentials, ...]:
    """Users to try, in order: the client file's user if it names one, then root by unix socket:
    `told_socket` where the server was told one, else that of its configuration.
    """
    socket = told_socket or configuration.server_value('socket') or DEFAULT_SOCKET
    found = []
    if client_file.is_file():
        client = option_files.read(client_file, follow_includes=False)
        user = client.value('user', ('client', 'client-server', 'mysql'))
        if user:
            password = client.value('password', ('client', 'client-server', 'mysql')) or ''
            found.append(Credentials(socket, user, password))
    found.append(Credentials(socket))
    return tuple(found)


def worst(refusals: Sequence[NoAnswer]) -> NoAnswer:
    """The one to tell of several ways in: that a server says no tells more than that it cannot be
    reached.
    """
    return next(
        (refusal for refusal in refusals if isinstance(refusal, LoginRefused)), refusals[-1]
    )


def quoted(*names: str) -> str:
    """Identifiers in backticks, joined with dots."""
    return '.'.join('`' + name.replace('`', '``') + '`' for name in names)


def literal(text: str) -> str:
    """A string of SQL, with the modes of our sessions."""
    return "'" + text.replace('\\', '\\\\').replace("'", "''") + "'"
