# SPDX-License-Identifier: Apache-2.0
"""The end of our programs by SIGINT (Ctrl-C) and SIGTERM; commands end by SIGHUP alike.

Each program installs its handlers.  One that is started where SIGINT is ignored (a shell's background
job, cron, some CI runners) inherits that, and Python then installs none.  Source: execve(2), and
Python's signal module.  The children of a program get the default back: execve(2) resets what is
caught.  A hang-up that is ignored at the start stays ignored: nohup(1) asks for that.

Only the standard library: guests, and the look at a bare machine, have nothing else.
"""
import atexit
import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

_CODE = 128    #: a shell adds the signal's number to it
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
    """From now on a signal ends the process, with one line: for as long as nothing is held.

    Nothing is raised: imports and callbacks of the interpreter would swallow that, or show it as a
    traceback.  A service ends with 0.
    """
    def end(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):    # the code says it, too
            os.write(_STDERR, f'{program}: {_WORDS[signal.Signals(number)]}\n'.encode())
        os._exit(0 if service else _CODE + number)
    _install(end, _SERVICES if service else _COMMANDS)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, the first signal is raised in the main thread; what follows is ignored until the end.

    Python drops what is raised in a destructor or in a callback of a weak reference, and tells
    sys.unraisablehook: then it is raised once more, in the code around it.

    :raises Interrupted: from where the main thread is.
    """
    if threading.current_thread() is not threading.main_thread():    # Python's signals are for that one
        yield
        return
    come: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not come:
            come.append(number)
            raise Interrupted(number)

    def dropped(lost: 'sys.UnraisableHookArgs') -> None:
        if isinstance(lost.exc_value, Interrupted):
            _raise_around(sys._getframe(1), come[0])    # noqa: SLF001 - inspect's is the same
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
    """Raise at the next line, or the return, of the frame that Python goes on with.  Source: sys.settrace."""
    def interrupt(_frame: FrameType, _event: str, _argument: object) -> None:
        sys.settrace(None)
        raise Interrupted(number)
    while frame is not None:
        frame.f_trace = interrupt
        frame = frame.f_back
    sys.settrace(lambda _frame, _event, _argument: None)


def run(program: str, command: Callable[[], int]) -> int:
    """The exit code of `command`; where a signal ends it, one line and 128 and the signal's number."""
    try:
        with raised():
            return command()
    except Interrupted as end:
        return report(program, end)


def report(program: str, end: Interrupted) -> int:
    """Print the line, and return the code."""
    with contextlib.suppress(OSError):    # the code says it, too
        sys.stderr.write(f'{program}: {end.word}\n')
        sys.stderr.flush()
    return end.code


class Told:
    """Waits until the process is told to end.

    Not a threading.Event: a handler that sets one while its own thread begins to wait for it takes a
    lock twice.  SimpleQueue is made for that.  Source: the documentation of Python's queue module.
    """

    def __init__(self) -> None:
        self.interrupted: Interrupted | None = None   #: set where a signal has told it
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()

    def end(self) -> None:
        """Tell it.  From any thread or handler, and more than once."""
        self._queue.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """True once it was told, False after `seconds`."""
        try:
            self._queue.get(timeout=seconds)
        except queue.Empty:
            return False
        self._queue.put(None)
        return True


def told(*, command: bool = False) -> Told:
    """Told by a signal from now on.  More signals change nothing: the way out is not left half way."""
    ending = Told()

    def end(number: int, _frame: FrameType | None) -> None:
        ending.interrupted = ending.interrupted or Interrupted(number)
        ending.end()
    _install(end, _COMMANDS if command else _SERVICES)
    atexit.register(_ignore)    # the interpreter sets what is caught back to the default in its last moments
    return ending


def _install(handler: _Handler, numbers: Sequence[signal.Signals]) -> None:
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _ignore() -> None:
    for number in _COMMANDS:
        signal.signal(number, signal.SIG_IGN)
