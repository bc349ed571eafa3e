# SPDX-License-Identifier: Apache-2.0
"""Loggers of whole lines.

oslo.log appends the exception that is being handled to every line from WARNING on, in the library's
own words. Our lines name the cause already, in words that hold no password. A guest or a tenant
cannot end a line and begin one of its own: control characters of everything
that is logged become escapes.  Lines that belong to a request of a user carry its id, as oslo.log
shows it, in whichever process and thread they are written.
"""

import contextlib
import contextvars
import logging
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from oslo_context import context as oslo_context

from trove_upgrade.domain.printable import printable

#: Ids that come from a row or over the broker: what is none is left out of a line.
_REQUEST_ID = re.compile(r'[A-Za-z0-9._:-]{1,64}')


class _OfRequest(oslo_context.RequestContext):
    """Context for the lines of a request, beside the thread's own one."""

    def update_store(self) -> None:
        """Leave the thread's own context alone."""


_request: contextvars.ContextVar[_OfRequest | None] = contextvars.ContextVar(
    'request', default=None
)


@contextlib.contextmanager
def of_request(request_id: object) -> Iterator[None]:
    """Let the lines of this thread carry the id of a request for as long as the context lasts; what
    can be none leaves them as they are.

    A thread that is to go on with it runs in a copy of the context: `contextvars.copy_context`.
    """
    is_id = isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id) is not None
    token = _request.set(_OfRequest(request_id=request_id) if is_id else _request.get())
    try:
        yield
    finally:
        _request.reset(token)


def request_id() -> str | None:
    """Return the id that lines carry now; None: none."""
    present = _request.get()
    return None if present is None else str(present.request_id)


class WholeLines(logging.LoggerAdapter[logging.Logger]):
    """Logger with lines that no formatter of oslo.log adds to; where a traceback is asked for, both
    stay as they are.
    """

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the request that the line belongs to, as oslo.log's formatters look for it."""
        present = _request.get()
        extra = kwargs.get('extra') or {}
        return msg, {**kwargs, 'extra': extra if present is None else {**extra, 'context': present}}

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
