# SPDX-License-Identifier: Apache-2.0
"""Databases whose every answer is bounded in time, for what must not wait: the renewal of leases,
and the sign of life of a process that is not ours to hold up.

PyMySQL bounds each answer.  libpq bounds the connect, and nothing after it: there the server bounds
the statement, and a line that hangs all the same is cut here.
"""

import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade.db import engine

#: Whose driver bounds each answer.
_BOUNDED = frozenset({'mysql', 'mariadb'})
_ANSWER_SECONDS, _LOCK_SECONDS = 3, 1
#: libpq takes no shorter time for a connect.
_SHORTEST_SECONDS = 2
#: One answer, a connection that is made anew and its answer have room in it.
_PARTS_OF_LEASE = 5
#: None is made before the first use, which is bounded.
_ONE_CONNECTION = {'max_retries': 0, 'max_pool_size': 1, 'max_overflow': 0}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Longest times, in whole seconds."""

    answer_seconds: int = _ANSWER_SECONDS  #: of a connect, and of each answer
    lock_seconds: int | None = None  #: of a wait for a lock; None: as the server has it

    @classmethod
    def within_lease(cls, lease_seconds: float) -> Self:
        """Return the bounds of renewals of such a lease.

        A lock is waited for shorter than an answer: a statement whose connection was cut waits on
        at the server, and the rows that it has locked already wait with it.
        """
        answer = max(_SHORTEST_SECONDS, int(lease_seconds / _PARTS_OF_LEASE))
        return cls(min(_ANSWER_SECONDS, answer), _LOCK_SECONDS)

    def of_url(self, url: sa.URL) -> sa.URL:
        """Return the URL of the same database under these bounds."""
        if driver_bounds_answers(url.get_backend_name()):
            names = ('connect_timeout', 'read_timeout', 'write_timeout')
            return url.update_query_dict(dict.fromkeys(names, str(self.answer_seconds)))
        if url.get_backend_name() != 'postgresql':
            return url
        return url.update_query_dict(
            {
                'connect_timeout': str(self.answer_seconds),
                'tcp_user_timeout': str(self.answer_seconds * 1000),
            }
        )

    def settle(self, made: sa.Engine) -> sa.Engine:
        """Return the engine, with the bounds in each session that its URL cannot set: a pooler
        between refuses settings that come with the connect.
        """
        settings = self.of_session(made.dialect.name)
        if not settings:
            return made

        def limit(dbapi_connection: Any, _record: Any) -> None:
            with contextlib.closing(dbapi_connection.cursor()) as cursor:
                for setting in settings:
                    cursor.execute(f'SET SESSION {setting}')
            dbapi_connection.commit()

        sa.event.listen(made, 'connect', limit)
        return made

    def of_session(self, dialect: str) -> Sequence[str]:
        """Return the settings of a session that bound what the URL does not."""
        lock = self.lock_seconds
        if dialect in _BOUNDED:
            names = ('innodb_lock_wait_timeout', 'lock_wait_timeout')
            return () if lock is None else [f'{name} = {lock}' for name in names]
        if dialect != 'postgresql':
            return ()
        of_locks = () if lock is None else (f"lock_timeout = '{lock}s'",)
        return [f"statement_timeout = '{self.answer_seconds}s'", *of_locks]


def driver_bounds_answers(name: str) -> bool:
    """Return whether the driver bounds each answer, for this kind of database."""
    return name in _BOUNDED


class _Cutter:
    """Cuts the newest connection of an engine after a time.

    It shuts down a copy of the connection's descriptor, which is no other's as long as it is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._line: socket.socket | None = None

    def watch(self, made: sa.Engine) -> None:
        """Learn of the connections of an engine that has one at a time."""
        # before SQLAlchemy's own questions to a new connection
        sa.event.listen(made, 'connect', self._connected, insert=True)
        sa.event.listen(made, 'close', self._closed)

    @contextlib.contextmanager
    def bounded(self) -> Iterator[None]:
        """Cut the connection that the block is at, each time that so long has passed."""
        ended = threading.Event()
        threading.Thread(target=self._cut_until, args=(ended,), name='cutter', daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _cut_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._seconds):
            with self._lock, contextlib.suppress(OSError):  # the other end has cut it already
                if self._line is not None and not ended.is_set():
                    self._line.shutdown(socket.SHUT_RDWR)

    def _connected(self, dbapi_connection: Any, _record: Any) -> None:
        self._keep(socket.socket(fileno=os.dup(dbapi_connection.fileno())))

    def _closed(self, _dbapi_connection: Any, _record: Any) -> None:
        self._keep(None)

    def _keep(self, line: socket.socket | None) -> None:
        with self._lock:
            former, self._line = self._line, line
            if former is not None:
                former.close()


class ImpatientDatabase(engine.Database):
    """One connection, for one thread at a time.  Every read and every write ends within seconds,
    whether the database is away, hangs, or is locked by others.
    """

    def __init__(self, conf: cfg.ConfigOpts, bounds: Bounds) -> None:
        """Prepare the database of `[database] connection`; nothing is connected yet."""
        super().__init__(
            lambda: self._bounded(engine.of_conf(conf, _ONE_CONNECTION, bounds.of_url), bounds)
        )
        self._cutter = _Cutter(bounds.answer_seconds)

    def _bounded(self, made: sa.Engine, bounds: Bounds) -> sa.Engine:
        if made.dialect.name == 'postgresql':
            self._cutter.watch(made)
        return bounds.settle(made)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Read as in every database, in a bounded time."""
        with self._in_time(), super().read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Write as in every database, in a bounded time."""
        with self._in_time(), super().write() as connection:
            yield connection

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        if self.engine.dialect.name == 'postgresql':
            return self._cutter.bounded()
        return contextlib.nullcontext()
