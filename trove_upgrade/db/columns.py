# SPDX-License-Identifier: Apache-2.0
"""Column types, and the database's clock in SQL.

Times are naive UTC in the database and aware UTC outside.  Leases and tries are compared by the
database's clock alone, so that the clocks of the hosts that run our services do not matter.
"""

import datetime
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """Column of times: with the zone UTC outside, without one inside, to the microsecond where
    `precise` (Trove's own columns hold whole seconds).
    """

    impl = sa.DateTime
    cache_ok = True

    def __init__(self, *, precise: bool = True) -> None:
        super().__init__()
        self.precise = precise

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """DATETIME(6) on MySQL, where the plain type drops fractions."""
        if self.precise and dialect.name in {'mysql', 'mariadb'}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(
        self,
        value: datetime.datetime | None,
        dialect: sa.Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime.datetime | None:
        """Turn a time with a zone into UTC without one. A naive one is a fault of the program."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f'a time without a zone cannot be stored: {value!r}')
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self,
        value: datetime.datetime | None,
        dialect: sa.Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime.datetime | None:
        """Mark a time from the database, which is without a zone, as UTC."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class JsonText(sa.types.TypeDecorator[Any]):
    """JSON in a text column: the same on every server, and up to 4 GiB on MySQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """LONGTEXT on MySQL, whose TEXT ends at 64 KiB."""
        if dialect.name in {'mysql', 'mariadb'}:
            return dialect.type_descriptor(mysql.LONGTEXT())
        return sa.Text()  # psycopg's descriptor of it is VARCHAR

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Write JSON compactly, with sorted keys, so that equal values are equal text."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(',', ':'))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Parse the text of the column; NULL is None."""
        return None if value is None else json.loads(value)


#: Characters of a message that any server's TEXT holds: 65,535 bytes on MySQL, of at most 4 for
#: each.
_LONGEST_TEXT = 16_000


def fitting(
    column: expression.ColumnElement[Any], text: str | None, *, wide: bool = False
) -> str | None:
    """`text` as the column can hold it: what a guest or a library says must never keep a row from
    being written.

    Cut to the column's length.  NUL goes, which PostgreSQL refuses; halves of surrogates become
    question marks, and so does what MySQL's utf8 of three bytes refuses: Trove's tables may have
    it.  `wide`: the table is ours, and holds every character.
    """
    if text is None:
        return None
    length = getattr(column.type, 'length', None) or _LONGEST_TEXT
    text = text.replace('\0', '').encode('utf-8', 'replace').decode()[:length]
    if wide:
        return text
    return ''.join(character if character <= '\uffff' else '?' for character in text)


class _DatabaseTime(expression.FunctionElement[datetime.datetime]):
    type = UtcDateTime()
    inherit_cache = True


class _Now(_DatabaseTime):
    name = 'utc_now'
    inherit_cache = True


class _Ahead(_DatabaseTime):
    name = 'utc_ahead'
    inherit_cache = True


def now() -> expression.ColumnElement[Any]:
    """The database's clock, naive UTC."""
    return _Now()


def ahead(seconds: float) -> expression.ColumnElement[Any]:
    """The database's clock that many seconds ahead (or back, where negative)."""
    return ahead_by(sa.bindparam(None, round(seconds * 1_000_000), type_=sa.BigInteger))


def ahead_by(microseconds: sa.BindParameter[int]) -> expression.ColumnElement[Any]:
    """The same for a statement that is built once."""
    return _Ahead(microseconds)


#: By dialect; PostgreSQL's is the standard form.
_NOW = {
    'mysql': 'UTC_TIMESTAMP(6)',
    'mariadb': 'UTC_TIMESTAMP(6)',
    'sqlite': "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')",
}
_AHEAD = {
    'mysql': 'TIMESTAMPADD(MICROSECOND, {microseconds}, UTC_TIMESTAMP(6))',
    'mariadb': 'TIMESTAMPADD(MICROSECOND, {microseconds}, UTC_TIMESTAMP(6))',
    'sqlite': "(strftime('%Y-%m-%d %H:%M:%f', 'now', (({microseconds}) / 1000000.0) || ' "
    "seconds') || '000')",
}


@compiler.compiles(_Now)
def _render_now(_element: _Now, compiler_: Any, **_options: Any) -> str:
    return _NOW.get(compiler_.dialect.name, "timezone('utc', clock_timestamp())")


@compiler.compiles(_Ahead)
def _render_ahead(element: _Ahead, compiler_: Any, **options: Any) -> str:
    form = _AHEAD.get(
        compiler_.dialect.name,
        "(timezone('utc', clock_timestamp()) + ({microseconds}) * interval '1 microsecond')",
    )
    return form.format(microseconds=compiler_.process(element.clauses, **options))
