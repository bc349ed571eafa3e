# SPDX-License-Identifier: Apache-2.0
"""Taking a fingerprint: everything that an upgrade must not lose, within a budget of time.

The caller holds the locks that keep it from changing meanwhile, or no other session can write.
"""

import datetime
import functools
from collections.abc import Callable

from trove_upgrade.guestagent.datastores import base
from trove_upgrade.guestagent.datastores.mysql_family import catalog, connection, reading, rows
from trove_upgrade.guestagent.datastores.mysql_family.dialect import Dialect
from trove_upgrade.guestagent.datastores.table_facts import (
    NOT_READ,
    RowFacts,
    TableFacts,
    TableKind,
)
from trove_upgrade.guestagent.machine.progress import Progress

#: Gives the rows of a table that were read before, if they still are what they were; calls the last
#: one while it waits.
ReadAhead = Callable[[connection.Session, catalog.Table, Callable[[], None]], RowFacts | None]


class FingerprintCollector:
    """Takes one fingerprint over one session.

    `budget_seconds` covers rows and checksums of tables, smallest first; the rest (accounts,
    definitions, settings) is always taken.  What did not fit is listed, not left out in silence.
    """

    def __init__(
        self,
        session: connection.Session,
        dialect: Dialect,
        *,
        budget_seconds: float,
        monotonic: Callable[[], float],
        now: Callable[[], datetime.datetime],
        progress: Progress,
        counting: connection.Session | None = None,
        ahead: ReadAhead | None = None,
    ) -> None:
        """`counting`: a second session, for the rows of large tables; `ahead` gives rows that were
        read before.
        """
        self._ahead = ahead
        self._session = session
        self._counting = counting
        self._dialect = dialect
        self._budget_seconds = budget_seconds
        self._monotonic = monotonic
        self._now = now
        self._progress = progress
        self._bytes_per_second: float | None = None

    def take(self) -> base.Fingerprint:
        """Take a fingerprint of tables, accounts, objects and settings.

        :raises StepRefused: a table cannot be read.

        :raises SessionError: the server said no to anything else, or has gone.
        """
        taken_at = self._now().isoformat()
        version = str(self._session.rows('SELECT VERSION()')[0][0])
        found = reading.read(self._session, self._dialect)
        tables, by_file = self._tables(found, self._monotonic() + self._budget_seconds)
        return base.Fingerprint(
            server_version=version,
            taken_at=taken_at,
            tables=tables,
            counted_only_by_file=by_file,
            users=[account.name for account in found.accounts],
            grants=found.permissions,
            objects=found.objects,
            settings=found.settings,
        )

    def _tables(
        self, read: reading.Reading, deadline: float
    ) -> tuple[dict[str, TableFacts], list[str]]:
        found, tables = read.tables, dict[str, TableFacts]()
        by_file: list[str] = []
        total, done = sum(table.size_bytes for table in found) or 1, 0
        for position, table in enumerate(found, start=1):
            tell = functools.partial(
                self._progress,
                min(done * 100 // total, 99),
                f'fingerprint of table {position} of {len(found)}',
            )
            tell()
            began_at = self._monotonic()
            ahead = self._read_ahead(table, tell)
            deadline += self._monotonic() - began_at  # a wait for nothing costs no table its time
            measured = ahead or self._measure(table, deadline)
            if measured is None:
                by_file.append(table.full_name)
                measured = NOT_READ
            tables[table.full_name] = TableFacts(
                kind=table.kind,
                rows=measured,
                columns=table.shape,
                structure=read.structures.get(table.full_name, {}),
            )
            done += table.size_bytes
        self._dialect.limit_statements(self._session, 0)
        return tables, by_file

    def _read_ahead(self, table: catalog.Table, tell: Callable[[], None]) -> RowFacts | None:
        if self._ahead is None or not rows.is_large(table):
            return None
        return self._ahead(self._session, table, tell)

    def _measure(self, table: catalog.Table, deadline: float) -> RowFacts | None:
        """Rows and checksum; None if the time that is left does not do, or did not."""
        if table.kind is TableKind.VIEW:
            return RowFacts(count=0, checksum=None)
        if not table.has_own_rows:  # kind and columns are all that can be the same
            return NOT_READ
        started = self._monotonic()
        left = deadline - started
        if left <= 0 or (
            self._bytes_per_second and table.size_bytes / self._bytes_per_second > left
        ):
            return None
        counting = self._counting if rows.is_large(table) else None
        try:
            for session in (self._session, *([counting] if counting is not None else [])):
                self._dialect.limit_statements(session, left)
            measured = rows.read(self._session, table, counting)
        except connection.SessionError as error:
            if error.number in connection.STATEMENT_TIMEOUT:
                return None
            if error.number in connection.CONNECTION_LOST:
                raise
            raise reading.unreadable(table, error.text) from error
        if measured is None:
            if self._monotonic() >= deadline:
                return None
            raise reading.unreadable(table, 'the server gives no checksum for it')
        took = self._monotonic() - started
        if took > 1:
            self._bytes_per_second = table.size_bytes / took
        return measured
