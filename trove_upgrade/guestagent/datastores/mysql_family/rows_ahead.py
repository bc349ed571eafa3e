# SPDX-License-Identifier: Apache-2.0
"""Rows of large tables, read while the engine's own upgrade of the data runs.

That upgrade works on system tables, and rebuilds tables that the new server cannot use as they are.
The server tells which; their rows are read afterwards.  So are those of a table that was changed
since the start by the server's own word, or whose file is not what it was before the reading.
"""

import contextlib
import dataclasses
import pathlib
import re
import stat
import threading
from collections.abc import Callable, Iterator

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection, rows
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.table_facts import RowFacts, TableKind

LOG = logs.get_logger(__name__)

#: Names that a server does not write in another way to name a file.
_PLAIN = re.compile(r'[A-Za-z0-9_]+')
#: What the server answers of a table that it uses as it is, in the columns after the table's name
#: and the statement's.
_AS_IT_IS = ('status', 'OK')
_WAITING_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TableFile:
    """Identity of a table's own file, as it changes with each write."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int


@dataclasses.dataclass(frozen=True)
class _Ahead:
    """Rows of a table, and its file before they were read."""

    file: _TableFile
    rows: RowFacts


class RowsAhead:
    """Readings of one start of a server that no client reaches."""

    def __init__(
        self,
        connect: Callable[[], connection.Session],
        dialect: Dialect,
        data_directory: pathlib.Path,
        *,
        limit_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """`limit_seconds`: of all readings together."""
        self._connect = connect
        self._dialect = dialect
        self._data_directory = data_directory
        self._limit_seconds = limit_seconds
        self._monotonic = monotonic
        self._found: dict[str, _Ahead] = {}
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read_all, name='rows-ahead', daemon=True)

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Read as long as the context lasts; no table is begun after it."""
        self._reader.start()
        try:
            yield
        finally:
            self._ended.set()

    def take(
        self, session: connection.Session, table: catalog.Table, waiting: Callable[[], None]
    ) -> RowFacts | None:
        """Return the rows of a table that is as it was when they were read, else None; waits for
        the table that is being read, and calls `waiting` each second.
        """
        while table.full_name not in self._found and self._reader.is_alive():
            self._reader.join(_WAITING_SECONDS)
            waiting()
        ahead = self._found.pop(table.full_name, None)
        if ahead is None or ahead.file != self._file(table) or _was_changed(session, table):
            return None
        return ahead.rows

    def _read_all(self) -> None:
        """Log every error, as the thread's edge: what was not read is read afterwards."""
        try:
            with (
                contextlib.closing(self._connect()) as session,
                contextlib.closing(self._connect()) as counting,
            ):
                self._read_large(session, counting)
        except exceptions.TroveUpgradeError as error:
            LOG.info('Rows are read after the upgrade of the data: %s', error.message)
        except Exception:
            LOG.exception('Rows cannot be read beside the upgrade of the data')

    def _read_large(self, session: connection.Session, counting: connection.Session) -> None:
        deadline = self._monotonic() + self._limit_seconds
        for table in catalog.tables(session, catalog.far_tables(session)):
            file = self._file(table) if rows.is_large(table) else None
            if file is None or table.kind is not TableKind.TABLE:
                continue
            left = deadline - self._monotonic()
            if self._ended.is_set() or left <= 0:
                return
            for each in (session, counting):
                self._dialect.limit_statements(each, left)
            if not _is_used_as_it_is(session, table):
                continue
            found = rows.read(session, table, counting)
            if found is not None:
                self._found[table.full_name] = _Ahead(file, found)

    def _file(self, table: catalog.Table) -> _TableFile | None:
        """Return the identity of the one file that has the table's rows; None where they are
        elsewhere.
        """
        if not (_PLAIN.fullmatch(table.schema) and _PLAIN.fullmatch(table.name)):
            return None
        try:
            found = (self._data_directory / table.schema / f'{table.name}.ibd').lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return _TableFile(
            device=found.st_dev,
            inode=found.st_ino,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
            changed_ns=found.st_ctime_ns,
        )


def _is_used_as_it_is(session: connection.Session, table: catalog.Table) -> bool:
    """Ask as the upgrade does: a table that it rebuilds it must not wait for."""
    answer = session.rows(f'CHECK TABLE {table.quoted} FOR UPGRADE')
    return [row[2:] for row in answer] == [_AS_IT_IS]


def _was_changed(session: connection.Session, table: catalog.Table) -> bool:
    """Return False only where no transaction has changed it since the start, on disk or not yet.
    Source: MariaDB Knowledge Base, "Information Schema TABLES Table", UPDATE_TIME; measured on
    10.11 and 11.8: NULL until then.
    """
    try:
        found = session.rows(
            'SELECT UPDATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '
            f'{connection.literal(table.schema)} AND TABLE_NAME = {connection.literal(table.name)}'
        )
    except connection.SessionError as error:
        LOG.info('Table %s is read again: %s', table.full_name, error.message)
        return True
    return found != [(None,)]
