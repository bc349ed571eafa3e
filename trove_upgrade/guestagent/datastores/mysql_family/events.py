# SPDX-License-Identifier: Apache-2.0
"""Events of a MariaDB with a DISABLED scheduler: it shows none, and keeps them in its table all
the same.
"""

from collections.abc import Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import connection

#: Source: MariaDB Knowledge Base, "MariaDB Error Codes", ER_EVENTS_DB_ERROR.
SCHEDULER_IS_DISABLED = 1577
_STATEMENT = (
    'SELECT db, name, CONVERT(body_utf8 USING utf8mb4), IF(interval_value IS NULL, '
    "'ONE TIME', 'RECURRING'), CONVERT_TZ(execute_at, '+00:00', time_zone), interval_value, "
    'interval_field, status, definer, sql_mode FROM mysql.event ORDER BY db, name'
)
_VALUE, _UNIT = 5, 6  #: columns
#: How many units of the table make one that information_schema.EVENTS shows.  Measured on 10.11.19.
_WHOLE = {'QUARTER': 3, 'WEEK': 7}
#: What separates the parts of an interval, and how many of each part make one of the part before;
#: the last part is what the table counts.
_PARTS: dict[str, tuple[str, tuple[int, ...]]] = {
    'YEAR_MONTH': ('-', (12,)),
    'DAY_HOUR': (' ', (24,)),
    'DAY_MINUTE': (' :', (24, 60)),
    'DAY_SECOND': (' ::', (24, 60, 60)),
    'HOUR_MINUTE': (':', (60,)),
    'HOUR_SECOND': ('::', (60, 60)),
    'MINUTE_SECOND': (':', (60,)),
}


def rows(session: connection.Session) -> list[tuple[Any, ...]]:
    """Return them in the columns, and in the words, of information_schema.EVENTS."""
    return [
        (*row[:_VALUE], _shown(row[_VALUE], row[_UNIT]), *row[_UNIT:])
        for row in session.rows(_STATEMENT)
    ]


def _shown(value: int | None, unit: str | None) -> str | None:
    if value is None or unit is None:
        return None
    if unit not in _PARTS:
        return str(value // _WHOLE.get(unit, 1))
    signs, sizes = _PARTS[unit]
    rest, parts = value, list[int]()
    for size in reversed(sizes):
        rest, part = divmod(rest, size)
        parts.insert(0, part)
    return f"'{_joined([rest, *parts], signs)}'"


def _joined(parts: Sequence[int], signs: str) -> str:
    return str(parts[0]) + ''.join(
        f'{sign}{part}' for sign, part in zip(signs, parts[1:], strict=True)
    )
