# SPDX-License-Identifier: Apache-2.0
"""One database per process: connected at the first use, which is after any fork.

Every write is one short transaction and none of them calls the network.  READ COMMITTED on every
server: a conditional UPDATE decides each race, and sees the newest row anyway; a snapshot would
only add gap locks, and error 1020 where MariaDB has innodb_snapshot_isolation on.
"""

import contextlib
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade

from trove_upgrade.conf import database as database_conf
from trove_upgrade.db import address, errors, login
from trove_upgrade.db.old_schema import is_of_old_columns

P = ParamSpec('P')
R = TypeVar('R')

#: What services may use.  Each driver is named: what `postgresql://` alone means depends on
#: SQLAlchemy's version.
SERVER_DRIVERS = frozenset(
    {'mysql+pymysql', 'mariadb+pymysql', 'postgresql+psycopg2', 'postgresql+psycopg'}
)


#: As the drivers take it, in a URL.
_CONNECT_SECONDS = '3'


def _not_set(conf: cfg.ConfigOpts) -> str:
    """Describe a missing connection, with the files that were read: mostly it is set in another."""
    read: list[object] = []
    for name in ('config_file', 'config_dir'):
        try:
            read += conf[name] or []
        except cfg.NoSuchOptError:  # what was never called has read nothing
            continue
    if read:
        return f'it is not set in {", ".join(str(place) for place in read)}'
    return (
        'it is not set, as no configuration file was found; name one with --config-file (an API '
        'under a WSGI server: in OS_TROVE_UPGRADE_CONFIG_FILES)'
    )


def require_server_database(
    conf: cfg.ConfigOpts, service: str = 'A service of trove-upgrade'
) -> None:
    """Refuse what a service cannot work with: SQLite has no lease that several processes could
    share.

    :raises DatabaseRefused: the connection is missing, is SQLite, or names no driver that is
        supported.
    """
    database_conf.register_connection_opts(conf)
    connection = conf.database.connection
    if not connection:
        raise errors.DatabaseRefused(service=service, found=_not_set(conf))
    url = address.parse(connection, service)
    if url.get_backend_name() == 'sqlite':
        found = (
            'it is SQLite, which several processes cannot share safely; SQLite is for unit '
            'tests and the database tool'
        )
        raise errors.DatabaseRefused(service=service, found=found)
    if url.drivername not in SERVER_DRIVERS:
        raise errors.DatabaseRefused(
            service=service, found=f'"{url.drivername}" is not a supported database with its driver'
        )


def backend(conf: cfg.ConfigOpts) -> str:
    """The kind of server and its driver, as the URL names them.

    :raises DatabaseRefused: it is no URL.
    """
    return address.parse(conf.database.connection or '', 'This program').drivername


@contextlib.contextmanager
def _as_connection_error() -> Iterator[None]:
    """oslo.db 18 does not know what psycopg2 says today of a server that is away."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise db_exc.DBConnectionError(error) from error


@contextlib.contextmanager
def _as_refusal(connection: str) -> Iterator[None]:
    """Drivers check nothing of a URL's options, they just fail: with an error that names neither
    the URL nor where it is set.
    """
    try:
        yield
    except cfg.Error:  # some are ValueErrors
        raise
    except (
        ImportError,
        OSError,
        sa.exc.ArgumentError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        # OSError: of a file of TLS
        found = f'its driver does not take it ({address.without_secrets(str(error), connection)})'
        raise errors.DatabaseRefused(service='This program', found=found) from error


class Database:
    """Connections to one database, made when first asked for, and anew in a forked child."""

    def __init__(self, connect: Callable[[], sa.Engine]) -> None:
        """:param connect: makes the engine, at the first use."""
        self._connect = connect
        self._engine: sa.Engine | None = None
        self._failed: tuple[float, db_exc.DBConnectionError] | None = None
        self._pid = 0
        self._columns: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._kept: contextvars.ContextVar[sa.Connection | None] = contextvars.ContextVar(
            'kept', default=None
        )

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, *, waits_for_server: bool = True) -> 'Database':
        """Make the database of `[database] connection`; nothing is read or connected yet.

        A server that is away at the first use is waited for as `[database] max_retries` says, 100 s
        unless set; where a caller waits for an answer, that is too long: without `waits_for_server`
        the first try counts, and the next use tries again.
        """
        return cls(lambda: of_conf(conf, {} if waits_for_server else _ONE_TRY))

    @classmethod
    def from_url(cls, url: str, **options: Any) -> 'Database':
        """Make the database of a URL, with oslo.db's own defaults; `options` are named as in
        `[database]`.
        """
        return cls(lambda: _engine(connection=url, **options))

    @property
    def engine(self) -> sa.Engine:
        """The engine of this process."""
        began_at = time.monotonic()
        with self._lock:
            if self._engine is not None and self._pid != os.getpid():
                self._engine.dispose(close=False)  # the parent still uses these sockets
                self._engine = None
            if self._engine is None:
                # another thread has failed while this one waited for its turn
                if self._failed is not None and self._failed[0] >= began_at:
                    raise db_exc.DBConnectionError(
                        self._failed[1].inner_exception
                    ) from self._failed[1]
                self._engine, self._pid = self._connected(), os.getpid()
            return self._engine

    def _connected(self) -> sa.Engine:
        try:
            with _as_connection_error():
                return self._connect()
        except db_exc.DBConnectionError as error:
            self._failed = (time.monotonic(), error)
            raise

    def _take(self) -> sa.Connection:
        engine = self.engine
        with _as_connection_error(), _as_refusal(engine.url.render_as_string(hide_password=False)):
            return engine.connect()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for SELECTs; whatever it did is rolled back."""
        kept = self._kept.get()
        with self._looking():
            if kept is None:
                with self._take() as connection:
                    yield connection
                return
            try:
                yield kept
            except (sa.exc.DBAPIError, db_exc.DBError):
                kept.rollback()  # PostgreSQL answers nothing more in a transaction that has failed
                raise

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: committed at the end of the block, rolled back by any error."""
        kept = self._kept.get()
        if kept is None:
            with self._looking(), self._take() as connection, connection.begin():
                yield connection
            return
        kept.rollback()  # what was read before stays outside of the transaction
        with self._looking():
            try:
                yield kept
                kept.commit()
            except BaseException:
                kept.rollback()
                raise

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        """Forget the columns when they turn out to be old: the block's repetition looks again."""
        try:
            yield
        except (sa.exc.DBAPIError, db_exc.DBError) as error:
            if is_of_old_columns(error):
                self._columns = {}
            raise

    def columns(self, connection: sa.Connection, table: str) -> frozenset[str]:
        """Names of the table's columns as they are in the database, looked up once in a process;
        empty where there is no such table.

        For what has two forms while a release's contract has not been run.  Decorate the caller
        with `repeat_on_new_columns`.
        """
        known = self._columns.get(table)
        if known is None:
            try:
                known = frozenset(
                    column['name'] for column in sa.inspect(connection).get_columns(table)
                )
            except sa.exc.NoSuchTableError:
                return frozenset()
            finally:
                # SQLAlchemy 2.1 sets it to look at a table of MySQL's and leaves it: no error of
                # this connection would be oslo.db's any more
                connection.execution_options(skip_user_error_events=False)
            self._columns[table] = known
        return known

    def forget_columns(self) -> None:
        """The next `columns` looks again."""
        self._columns = {}

    @contextlib.contextmanager
    def one_connection(self) -> Iterator[None]:
        """All that the block reads and writes goes over one connection: each one that is taken
        costs two more round trips.

        Transactions are what they are without it.  Nothing in the block may wait for anything but
        the database.
        """
        with self._take() as connection:
            token = self._kept.set(connection)
            try:
                yield
            finally:
                self._kept.reset(token)

    def dispose(self) -> None:
        """Close the pool; the next use makes an engine anew."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None
            self._columns = {}


_ONE_TRY = {'max_retries': 1, 'retry_interval': 0}

_FACADE_OPTIONS = frozenset(
    {
        'connection',
        'connection_debug',
        'connection_parameters',
        'connection_recycle_time',
        'connection_trace',
        'max_overflow',
        'max_pool_size',
        'max_retries',
        'mysql_sql_mode',
        'mysql_wsrep_sync_wait',
        'pool_timeout',
        'retry_interval',
        'sqlite_synchronous',
    }
)


def of_conf(
    conf: cfg.ConfigOpts,
    changed: Mapping[str, Any],
    change_url: Callable[[sa.URL], sa.URL] = lambda url: url,
) -> sa.Engine:
    """Make the engine of `[database]`, with other values of the `changed` options; `change_url` is
    asked last, and has what `connection_parameters` add.

    :raises DatabaseRefused: the connection is missing, or none that its driver takes.
    """
    database_conf.register_connection_opts(conf)
    if not conf.database.connection:
        raise errors.DatabaseRefused(service='This program', found=_not_set(conf))
    options = {
        name: value
        for name, value in dict(conf.database).items()
        if name in _FACADE_OPTIONS and value is not None
    }
    url = address.parse(options.pop('connection'), 'This program')
    added = options.pop('connection_parameters', '')
    if added:
        url = url.update_query_string(added, append=True)
    connection = change_url(url).render_as_string(hide_password=False)
    return _engine(connection, **options | dict(changed))


def _engine(connection: str, **options: Any) -> sa.Engine:
    """Make the engine, with a character set and time limits where the URL names none.

    :raises DatabaseRefused: the connection is not a URL, or none that its driver takes.
    """
    url = address.parse(connection, 'This program')
    if url.get_backend_name() in {'mysql', 'mariadb'} and 'charset' not in url.query:
        # oslo.db's own default is MySQL's utf8 of three bytes
        url = url.update_query_dict({'charset': 'utf8mb4'})
    if url.get_backend_name() != 'sqlite' and 'connect_timeout' not in url.query:
        # a host that drops packets is as good as down
        url = url.update_query_dict({'connect_timeout': _CONNECT_SECONDS})
    limited = url.drivername.endswith('+pymysql') and 'read_timeout' not in url.query
    # its connect_timeout ends when the socket is there: a server that hangs would be waited for
    # without an end
    if limited:
        url = url.update_query_dict({'read_timeout': url.query['connect_timeout']})
    if url.drivername.endswith('+pymysql'):
        url = login.guarded(url)
    connection = url.render_as_string(hide_password=False)
    context = enginefacade.transaction_context()
    context.configure(connection=connection, **options)
    with _as_refusal(connection):
        return _for_use(context.writer.get_engine(), limited=limited)


def _for_use(engine: sa.Engine, *, limited: bool) -> sa.Engine:
    """MySQL's default isolation is REPEATABLE READ, PostgreSQL's is what we want; a statement may
    take longer than connecting.
    """
    if engine.dialect.name not in {'mysql', 'mariadb'}:
        return engine

    def settle(dbapi_connection: Any, _record: Any) -> None:
        with contextlib.closing(dbapi_connection.cursor()) as cursor:
            cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
        if limited:
            dbapi_connection._read_timeout = None  # noqa: SLF001 - PyMySQL has no other word for it, and looks at each packet

    sa.event.listen(engine, 'connect', settle)
    engine.dispose()  # oslo.db has opened a connection to try it; the next one is ours
    return engine
