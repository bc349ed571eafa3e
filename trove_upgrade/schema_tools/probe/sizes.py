# SPDX-License-Identifier: Apache-2.0
"""Sizes of tables, as the server estimates them: nothing is counted, except on SQLite."""

import dataclasses

import sqlalchemy as sa


@dataclasses.dataclass(frozen=True)
class Size:
    """Size of one table, with its indexes."""

    rows: int
    bytes: int | None  #: None where the server does not say
    heap_bytes: int | None = (
        #: of the rows alone, 0 before the first one was written; None where the server does not say
        #: exactly
        None
    )

    @property
    def is_empty(self) -> bool:
        """An estimate of 0 alone may be out of date: then the size tells."""
        if self.heap_bytes is not None:
            return self.heap_bytes == 0
        return self.rows == 0 and (self.bytes is None or self.bytes < _SMALL_BYTES)


_SMALL_BYTES = 1024 * 1024

_MYSQL = sa.text(
    'SELECT table_name, table_rows, data_length + index_length FROM information_schema.tables'
    " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
)
#: Before the first ANALYZE reltuples is -1 (0 before PostgreSQL 14), and n_live_tup is what the
#: sessions have reported since the last reset.
_POSTGRESQL = sa.text(
    'SELECT c.relname, GREATEST(c.reltuples, s.n_live_tup, 0), pg_total_relation_size(c.oid), '
    "pg_relation_size(c.oid), current_setting('block_size')::int, has_table_privilege(c.oid, "
    "'SELECT') FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relkind "
    "= 'r' AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace"
)
#: That are read of a table without statistics.
_SAMPLED_PAGES = 100
#: Of a row, where none may be read: rather too many rows than too few.
_ROW_BYTES = 100


def table_sizes(connection: sa.Connection) -> dict[str, Size]:
    """Return sizes by table; those that this user may not see are left out."""
    dialect = connection.dialect.name
    if dialect == 'sqlite':
        return {
            name: Size(_count(connection, name), None)
            for name in sa.inspect(connection).get_table_names()
        }
    if (
        dialect == 'mysql'
        and not getattr(connection.dialect, 'is_mariadb', False)
        and (connection.dialect.server_version_info or ()) >= (8,)
    ):
        # else MySQL tells what was true yesterday
        connection.exec_driver_sql('SET SESSION information_schema_stats_expiry = 0')
    if dialect == 'postgresql':
        return _of_postgresql(connection)
    return {
        name: Size(int(rows or 0), int(size or 0))
        for name, rows, size in connection.execute(_MYSQL).all()
    }


def _of_postgresql(connection: sa.Connection) -> dict[str, Size]:
    """Read PostgreSQL's estimates. After a restore, or a reset of the statistics, a full table has
    none until autovacuum comes by.
    """
    found = {}
    for name, rows, size, heap, page, may_read in connection.execute(_POSTGRESQL).all():
        estimate = int(rows or 0)
        if not estimate and heap:
            estimate = _sampled(connection, name, heap // page) if may_read else heap // _ROW_BYTES
        found[name] = Size(estimate, int(size or 0), int(heap or 0))
    return found


def _sampled(connection: sa.Connection, table: str, pages: int) -> int:
    """Estimate a table's rows from those of some pages; counted where there are few pages."""
    share = min(1.0, _SAMPLED_PAGES / pages)
    name = connection.dialect.identifier_preparer.quote(table)
    seen: int = connection.exec_driver_sql(
        f'SELECT COUNT(*) FROM {name} TABLESAMPLE SYSTEM ({share * 100:.6f})'
    ).scalar_one()
    return round(seen / share)


def _count(connection: sa.Connection, table: str) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one()
