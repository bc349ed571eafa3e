# SPDX-License-Identifier: Apache-2.0
"""Loggers whose lines are whole.

oslo.log appends the exception that is being handled to every line from WARNING on, in the library's own words. Our lines
name the cause already, in words that hold no password.
"""

import logging
from typing import Any


class WholeLines(logging.LoggerAdapter[logging.Logger]):
    """Logger to whose lines no formatter of oslo.log adds; where a traceback is asked for, both stay as they are."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log from within the handler of a plain KeyError, which the formatters leave out.

        They ask `sys.exc_info`, which sees the handlers of all callers, too, and ignore what `extra` holds.
        Source: oslo_log.formatters._get_error_summary (oslo.log 8).
        """
        stacklevel = kwargs.pop('stacklevel', 1) + 1  # the line is the caller's
        if kwargs.get('exc_info'):
            super().log(level, msg, *args, stacklevel=stacklevel, **kwargs)
            return
        try:
            raise KeyError  # noqa: TRY301 - see above
        except KeyError:
            super().log(level, msg, *args, stacklevel=stacklevel, **kwargs)


def get_logger(name: str) -> WholeLines:
    """Return the logger of a module of ours."""
    return WholeLines(logging.getLogger(name), {})
