# SPDX-License-Identifier: Apache-2.0
"""Rows of large tables, read before a fingerprint needs them: while the database still serves, and
while the engine's own upgrade of the data runs.

They count only where it is proven that none of them has changed since; else they are read again.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection, rows
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.mysql_family.unchanged import Unchanged
from trove_upgrade.guestagent.datastores.table_facts import RowFacts, TableKind

LOG = logs.get_logger(__name__)

_WAITING_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class _Ahead:
    """Rows of a table, and facts of it before they were read."""

    facts: object  #: of the proof; compared alone
    rows: RowFacts


class RowsAhead:
    """Readings of one run of a server."""

    def __init__(
        self,
        connect: Callable[[], connection.Session],
        dialect: Dialect,
        proof: Unchanged,
        *,
        limit_seconds: float,
        monotonic: Callable[[], float],
        table_seconds: float | None = None,
    ) -> None:
        """`limit_seconds`: of all readings together; `table_seconds`: of one table."""
        self._connect = connect
        self._dialect = dialect
        self._proof = proof
        self._table_seconds = limit_seconds if table_seconds is None else table_seconds
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

    def read(self, waiting: Callable[[], None]) -> None:
        """Read to the end, and call `waiting` each second.

        :raises TroveUpgradeError: as `waiting` does; no table is begun after it.
        """
        with self.beside():
            while self._reader.is_alive():
                self._reader.join(_WAITING_SECONDS)
                waiting()

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
        if ahead is None or ahead.facts != self._facts(session, table):
            return None
        return ahead.rows

    def _facts(self, session: connection.Session, table: catalog.Table) -> object | None:
        try:
            return self._proof.facts(session, table)
        except connection.SessionError as error:
            LOG.info('Table %s is read again: %s', table.full_name, error.message)
            return None

    def _read_all(self) -> None:
        """Log every error, as the thread's edge: what was not read is read afterwards."""
        try:
            with (
                contextlib.closing(self._connect()) as session,
                contextlib.closing(self._connect()) as counting,
            ):
                self._read_large(session, counting)
        except exceptions.TroveUpgradeError as error:
            LOG.info('Rows are read with the fingerprint: %s', error.message)
        except Exception:
            LOG.exception('Rows cannot be read before the fingerprint')

    def _read_large(self, session: connection.Session, counting: connection.Session) -> None:
        deadline = self._monotonic() + self._limit_seconds
        for table in catalog.tables(session, catalog.far_tables(session)):
            if table.kind is not TableKind.TABLE or not rows.is_large(table):
                continue
            left = deadline - self._monotonic()
            if self._ended.is_set() or left <= 0:
                return
            for each in (session, counting):
                self._dialect.limit_statements(each, min(left, self._table_seconds))
            self._read(session, table, counting)

    def _read(
        self, session: connection.Session, table: catalog.Table, counting: connection.Session
    ) -> None:
        facts = self._proof.facts(session, table)
        if facts is None or not self._proof.is_worth_it(session, table):
            return
        try:
            found = rows.read(session, table, counting)
        except connection.SessionError as error:
            if error.number not in connection.STATEMENT_TIMEOUT:
                raise
            return
        if found is not None:
            self._found[table.full_name] = _Ahead(facts, found)
