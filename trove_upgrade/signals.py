# SPDX-License-Identifier: Apache-2.0
"""The end of our programs by SIGINT (Ctrl-C) and SIGTERM; commands end by SIGHUP alike.

Each program installs its handlers.  One that is started where SIGINT is ignored (a shell's
background job, cron, some CI runners) inherits that, and Python then installs none.  Source:
execve(2), and Python's signal module.  The children of a program get the default back: execve(2)
resets what is caught.  A hang-up that is ignored at the start stays ignored: nohup(1) asks for
that.

Only the standard library: guests, and the look at a bare machine, have nothing else.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

_CODE = 128  #: a shell adds the signal's number to it
_STDERR = 2
_SERVICES = (signal.SIGINT, signal.SIGTERM)
_COMMANDS = (*_SERVICES, signal.SIGHUP)
_WORDS = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated', signal.SIGHUP: 'hung up'}

_Handler = Callable[[int, FrameType | None], None]


class Interrupted(SystemExit):
    """A signal has come: what is held is given back on the way out.  `code` is the exit code."""

    code: int

    def __init__(self, number: int) -> None:
        super().__init__(_CODE + number)
        self.word = _WORDS[signal.Signals(number)]


def end_at_once(program: str, *, service: bool = False) -> None:
    """Let a signal end the process from now on, with one line: for as long as nothing is held.

    Nothing is raised: imports and callbacks of the interpreter would swallow that, or show it as a
    traceback.  A service ends with 0.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):  # the code says it, too
            os.write(_STDERR, f'{program}: {_WORDS[signal.Signals(number)]}\n'.encode())
        os._exit(0 if service else _CODE + number)

    _install(end, _SERVICES if service else _COMMANDS)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Raise the first signal within the block, in the main thread; what follows is ignored until
    the end.

    Python drops what is raised in a destructor or in a callback of a weak reference, and tells
    sys.unraisablehook: then it is raised once more, in the code around it.

    :raises Interrupted: from where the main thread is.
    """
    # Python's signals are for the main thread
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    come: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not come:
            come.append(number)
            raise Interrupted(number)

    def dropped(lost: 'sys.UnraisableHookArgs') -> None:
        if isinstance(lost.exc_value, Interrupted):
            _raise_around(sys._getframe(1), come[0])  # noqa: SLF001 - inspect's is the same
        else:
            hook(lost)

    hook, before = sys.unraisablehook, {number: signal.getsignal(number) for number in _COMMANDS}
    sys.unraisablehook = dropped
    try:
        _install(interrupt, _COMMANDS)
        yield
    finally:
        sys.unraisablehook = hook
        if come:
            _ignore()
        else:
            for number, handler in before.items():
                signal.signal(number, handler)


def _raise_around(frame: FrameType | None, number: int) -> None:
    """Raise at the next line, or the return, of the frame that Python goes on with.  Source:
    sys.settrace.
    """

    def interrupt(_frame: FrameType, _event: str, _argument: object) -> None:
        sys.settrace(None)
        raise Interrupted(number)

    while frame is not None:
        frame.f_trace = interrupt
        frame = frame.f_back
    sys.settrace(lambda _frame, _event, _argument: None)


def run(program: str, command: Callable[[], int]) -> int:
    """The exit code of `command`; where a signal ends it, one line and 128 and the signal's
    number.
    """
    try:
        with raised():
            return command()
    except Interrupted as end:
        return report(program, end)


def report(program: str, end: Interrupted) -> int:
    """Print the line, and return the code."""
    with contextlib.suppress(OSError):  # the code says it, too
        sys.stderr.write(f'{program}: {end.word}\n')
        sys.stderr.flush()
    return end.code


class Told:
    """Waits until the process is told to end.

    On pipes, not on a lock or a queue: Python notes a signal and runs its handler later, so one
    that comes just before the main thread begins to wait for a lock would stay unseen for as long
    as that waits.  A byte in a pipe stays.  Source: signal.set_wakeup_fd in Python's documentation.
    """

    def __init__(self) -> None:
        self.interrupted: Interrupted | None = None  #: set where a signal has told it
        self._come, self._tell = _pipe()
        weakref.finalize(self, _close, self._come, self._tell)

    def end(self) -> None:
        """Tell it.  From any thread or handler, and more than once."""
        with contextlib.suppress(BlockingIOError):  # full: it was told often enough
            os.write(self._tell, b'.')

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it was told (True), or for `seconds` (False). Signals wake the main thread
        alone.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        waiting = select.poll()
        waiting.register(self._come, select.POLLIN)
        if _woken and threading.current_thread() is threading.main_thread():
            waiting.register(_woken[0], select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = [descriptor for descriptor, _ in waiting.poll(left)]
            if self._come in ready:  # it is left there for the next wait
                return True
            if not ready:
                return False
            _drain(_woken[0])  # the handler runs before the next poll


#: both ends of the pipe into which Python writes a byte for each signal, once there is one
_woken: list[int] = []


def told(*, command: bool = False) -> Told:
    """Let a signal tell, from now on, that the process is to end. More signals change nothing: the
    way out is not left half way.
    """
    ending = Told()

    def end(number: int, _frame: FrameType | None) -> None:
        ending.interrupted = ending.interrupted or Interrupted(number)
        ending.end()

    if not _woken:
        _woken.extend(_pipe())
    signal.set_wakeup_fd(_woken[1], warn_on_full_buffer=False)
    _install(end, _COMMANDS if command else _SERVICES)
    # the interpreter sets what is caught back to the default in its last moments
    atexit.register(_ignore)
    return ending


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


def _install(handler: _Handler, numbers: Sequence[signal.Signals]) -> None:
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _ignore() -> None:
    for number in _COMMANDS:
        signal.signal(number, signal.SIG_IGN)
