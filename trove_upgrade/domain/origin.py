# SPDX-License-Identifier: Apache-2.0
"""The place where an unexpected error was raised, for a message that an operator can report.

Nothing of the error's own text: it can hold a password, a statement or a tenant's data.  The log
has it, with the traceback.
"""

import errno
import traceback
import types

_OURS = 'trove_upgrade.'
#: An error and two more below it.
_CHAIN = 3


def unexpected(what: str, error: BaseException, log: str) -> str:
    """Return the sentences for `what`, such as 'pre_upgrade failed';
    `log` is where the traceback was written.
    """
    return (
        f'{what}: an unexpected error was found, {of(error)}. Look at its traceback in {log}, and '
        'report it as a bug.'
    )


def of(error: BaseException) -> str:
    """Return the kind, module, line and function of `error`,
    and of the errors that it was raised from.
    """
    found: list[str] = []
    current: BaseException | None = error
    while current is not None and len(found) < _CHAIN:
        found.append(_one(current))
        current = current.__cause__
    return ', caused by '.join(found)


def _one(error: BaseException) -> str:
    frames = [_Place(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return _kind(error)
    ours = next((place for place in reversed(frames) if place.module.startswith(_OURS)), frames[-1])
    below = f', which called {frames[-1]}' if ours is not frames[-1] else ''
    return f'{_kind(error)} at {ours}{below}'


def _kind(error: BaseException) -> str:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == 'builtins'
        else f'{kind.__module__}.{kind.__qualname__}'
    )
    number = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    return f'{name} ({number})' if number else name


class _Place:
    def __init__(self, frame: types.FrameType, line: int) -> None:
        self.module = str(frame.f_globals.get('__name__') or frame.f_code.co_filename)
        self._line = line
        self._function = frame.f_code.co_name

    def __str__(self) -> str:
        return f'{self.module}:{self._line} ({self._function})'
