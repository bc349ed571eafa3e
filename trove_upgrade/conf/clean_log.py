# SPDX-License-Identifier: Apache-2.0
"""The log's last edge: control characters of every record become escapes,
whichever logger it came from.

Our own loggers do so for their messages (domain.logs). Tracebacks, and what libraries log, hold
texts of guests and tenants, too: the error of a driver quotes what it could not read.
"""

import logging
from types import TracebackType
from typing import Any

from trove_upgrade.domain.printable import cut, printable, printable_lines

#: Characters of one message: a library repeats what came over the network,
#: such as the id of a reply.
LONGEST = 65536
#: Of errors that caused one another, in one traceback.
_LONGEST_CHAIN = 32
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def install() -> None:
    """Clean what the handlers that are set up now write. Safe to repeat."""
    for handler in _handlers():
        if not any(isinstance(each, CleanRecords) for each in handler.filters):
            handler.addFilter(CleanRecords())
            handler.setFormatter(CleanLines(handler.formatter or logging.Formatter()))


def _handlers() -> list[logging.Handler]:
    """Return the handlers of the root and of all loggers to which a configuration of the log gives
    some of their own.
    """
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    found = [
        handler for one in known if isinstance(one, logging.Logger) for handler in one.handlers
    ]
    return list(dict.fromkeys(found))


class CleanRecords(logging.Filter):
    """Lets every record pass, with its message in one printable line.

    The texts of its errors are so, too. A formatter adds the lines of a traceback itself, and a
    line end in an error's text would begin a line that looks like one of the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the texts in `record`. One with arguments that do not fit its format stays as it
        is: `logging` reports that.
        """
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the edge of any logger's arguments
            return True
        record.msg, record.args = cut(message, LONGEST), None
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            record.exc_info = _clean_info(record.exc_info)
            record.exc_text = None
        if record.exc_text:
            record.exc_text = printable_lines(record.exc_text)
        if record.stack_info:
            record.stack_info = printable_lines(record.stack_info)
        return True


class CleanLines(logging.Formatter):
    """Output of another formatter, without control characters except the ends of its lines: it may
    add more than the record holds.

    oslo.log adds the error that is being handled. Source:
    oslo_log.formatters.ContextFormatter.format (oslo.log 8).
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> Any:
        """Return the text; a formatter for a machine returns another value, which stays."""
        formatted: Any = self._inner.format(record)
        return printable_lines(formatted) if isinstance(formatted, str) else formatted


def _clean_info(found: Any) -> _ExcInfo:
    _, error, trace = found
    clean = _clean(error, {}).with_traceback(trace)
    return type(clean), clean, trace


def _clean(error: BaseException, known: dict[int, BaseException]) -> BaseException:
    """Return a stand-in: the name, place and causes of `error`, with a printable text."""
    made = known[id(error)] = _stand_in(error)
    if len(known) >= _LONGEST_CHAIN:
        return made
    for name in ('__cause__', '__context__'):
        earlier = getattr(error, name)
        if earlier is not None:
            clean = known[id(earlier)] if id(earlier) in known else _clean(earlier, known)
            setattr(made, name, clean)
    made.__suppress_context__ = error.__suppress_context__
    for note in getattr(error, '__notes__', ()):
        made.add_note(printable(str(note)))
    return made


def _stand_in(error: BaseException) -> Exception:
    kind = type(error)
    names = {'__module__': kind.__module__, '__qualname__': kind.__qualname__}
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - as traceback does it: the text of any library's error
        text = f'<{kind.__name__} without a text>'
    made: Exception
    if isinstance(error, BaseExceptionGroup):  # its members are shown without their causes
        inner = [_stand_in(each) for each in error.exceptions]
        made = type(kind.__name__, (ExceptionGroup,), names)(printable(error.message), inner)
    else:
        made = type(kind.__name__, (Exception,), names)(printable(text))
    return made.with_traceback(error.__traceback__)
