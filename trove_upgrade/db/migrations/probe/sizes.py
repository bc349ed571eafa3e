# SPDX-License-Identifier: Apache-2.0
"""How large tables are, as the server estimates it: nothing is counted, except on SQLite."""
import dataclasses

import sqlalchemy as sa


@dataclasses.dataclass(frozen=True)
class Size:
    """Of one table, with its indexes."""

    rows: int
    bytes: int | None    #: None where the server does not say

    @property
    def is_empty(self) -> bool:
        """An estimate of 0 alone may be out of date: then the size tells."""
        return self.rows == 0 and (self.bytes is None or self.bytes < _SMALL_BYTES)


_SMALL_BYTES = 1024 * 1024

_MYSQL = sa.text('SELECT table_name, table_rows, data_length + index_length FROM information_schema.tables'
                 " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")
#: Before the first ANALYZE reltuples is -1, and n_live_tup is what the sessions have reported.
_POSTGRESQL = sa.text('SELECT c.relname, GREATEST(c.reltuples, s.n_live_tup, 0), pg_total_relation_size(c.oid) FROM pg_class c'
                      " LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid)")


def table_sizes(connection: sa.Connection) -> dict[str, Size]:
    """By table; those that this user may not see are left out."""
    dialect = connection.dialect.name
    if dialect == 'sqlite':
        return {name: Size(_count(connection, name), None) for name in sa.inspect(connection).get_table_names()}
    if dialect == 'mysql' and not getattr(connection.dialect, 'is_mariadb', False) and (connection.dialect.server_version_info or ()) >= (8,):
        connection.exec_driver_sql('SET SESSION information_schema_stats_expiry = 0')    # else MySQL tells what was true yesterday
    found = connection.execute(_POSTGRESQL if dialect == 'postgresql' else _MYSQL).all()
    return {name: Size(int(rows or 0), int(size or 0)) for name, rows, size in found}


def _count(connection: sa.Connection, table: str) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one()
