# SPDX-License-Identifier: Apache-2.0
"""The driver's own error inside oslo.db's around SQLAlchemy's, and what the server gave it."""


def wrapped(error: BaseException) -> BaseException:
    """Return SQLAlchemy's error inside oslo.db's; `error` itself where there is none."""
    inner = getattr(error, 'inner_exception', None)
    return wrapped(inner) if isinstance(inner, BaseException) else error


def drivers(error: BaseException) -> BaseException | None:
    """Return the driver's error; None where no driver raised one."""
    original = getattr(wrapped(error), 'orig', None)
    return original if isinstance(original, BaseException) else None


def number(error: BaseException) -> int | None:
    """Return MySQL's number of a driver's error; None where it has none."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def sql_state(error: BaseException) -> str | None:
    """Return PostgreSQL's SQLSTATE of a driver's error, of psycopg or of psycopg2; None where it
    has none.
    """
    return getattr(error, 'sqlstate', None) or getattr(error, 'pgcode', None)


def is_of_postgresql(error: BaseException) -> bool:
    """Return whether a driver of PostgreSQL raised it, with or without a SQLSTATE."""
    return hasattr(error, 'sqlstate') or hasattr(error, 'pgcode')
