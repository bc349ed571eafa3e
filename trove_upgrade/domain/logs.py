# SPDX-License-Identifier: Apache-2.0
"""Loggers of whole lines.

oslo.log appends the exception that is being handled to every line from WARNING on, in the library's
own words. Our lines name the cause already, in words that hold no password. A guest or a tenant
cannot end a line and begin one of its own: control characters of everything
that is logged become escapes.
"""

import logging
from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain.printable import printable


class WholeLines(logging.LoggerAdapter[logging.Logger]):
    """Logger with lines that no formatter of oslo.log adds to; where a traceback is asked for, both
    stay as they are.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log from within the handler of a plain KeyError, which the formatters leave out.

        They ask `sys.exc_info`, which sees the handlers of all callers, too, and ignore what
        `extra` holds. Source: oslo_log.formatters._get_error_summary (oslo.log 8).
        """
        if not self.isEnabledFor(level):
            return
        msg, args = printable(str(msg)), tuple(_shown(value) for value in args)
        stacklevel = kwargs.pop('stacklevel', 1) + 1  # the line is the caller's
        if kwargs.get('exc_info'):
            super().log(level, msg, *args, stacklevel=stacklevel, **kwargs)
            return
        try:
            raise KeyError  # noqa: TRY301 - see above
        except KeyError:
            super().log(level, msg, *args, stacklevel=stacklevel, **kwargs)


class _Shown:
    """A value in a line: an error's text, or a list of a guest's, can hold what a text can."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return printable(str(self._value))

    def __repr__(self) -> str:
        return printable(repr(self._value))


def _shown(value: object) -> object:
    """Return what a line may hold in the place of `value`; numbers stay, for their own formats."""
    if isinstance(value, Mapping):
        return {name: _shown(inner) for name, inner in value.items()}
    return value if value is None or isinstance(value, int | float) else _Shown(value)


def get_logger(name: str) -> WholeLines:
    """Return the logger of a module of ours."""
    return WholeLines(logging.getLogger(name), {})
