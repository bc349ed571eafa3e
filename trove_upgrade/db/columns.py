# SPDX-License-Identifier: Apache-2.0
"""Column types, and the database's clock in SQL.

Times are naive UTC in the database and aware UTC outside.  Leases and tries are compared by the database's clock alone, so
that the clocks of the hosts that run our services do not matter.
"""
import datetime
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """Aware UTC outside, naive UTC inside, to the microsecond where `precise` (Trove's own columns hold whole seconds)."""

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

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Aware to naive.  A naive one is a fault of the program."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f'a time without a zone cannot be stored: {value!r}')
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Naive to aware."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class JsonText(sa.types.TypeDecorator[Any]):
    """JSON in a text column: the same on every server, and up to 4 GiB on MySQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """LONGTEXT on MySQL, whose TEXT ends at 64 KiB."""
        if dialect.name in {'mysql', 'mariadb'}:
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Compact, with sorted keys, so that equal values are equal text."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(',', ':'))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Parsed."""
        return None if value is None else json.loads(value)


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
    return _Ahead(sa.bindparam(None, round(seconds * 1_000_000), type_=sa.BigInteger))


@compiler.compiles(_Now)
def _now_default(element: _Now, compiler_: Any, **kwargs: Any) -> str:
    return "timezone('utc', clock_timestamp())"


@compiler.compiles(_Now, 'mysql')
@compiler.compiles(_Now, 'mariadb')
def _now_mysql(element: _Now, compiler_: Any, **kwargs: Any) -> str:
    return 'UTC_TIMESTAMP(6)'


@compiler.compiles(_Now, 'sqlite')
def _now_sqlite(element: _Now, compiler_: Any, **kwargs: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


@compiler.compiles(_Ahead)
def _ahead_default(element: _Ahead, compiler_: Any, **kwargs: Any) -> str:
    return f"(timezone('utc', clock_timestamp()) + ({compiler_.process(element.clauses, **kwargs)}) * interval '1 microsecond')"


@compiler.compiles(_Ahead, 'mysql')
@compiler.compiles(_Ahead, 'mariadb')
def _ahead_mysql(element: _Ahead, compiler_: Any, **kwargs: Any) -> str:
    return f'TIMESTAMPADD(MICROSECOND, {compiler_.process(element.clauses, **kwargs)}, UTC_TIMESTAMP(6))'


@compiler.compiles(_Ahead, 'sqlite')
def _ahead_sqlite(element: _Ahead, compiler_: Any, **kwargs: Any) -> str:
    seconds = f"(({compiler_.process(element.clauses, **kwargs)}) / 1000000.0) || ' seconds'"
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds}) || '000')"
