# SPDX-License-Identifier: Apache-2.0
"""Shows what is being done and how far it is: one line that changes on a terminal, a line now and
then in a log.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

from trove_upgrade import terminal

QUIET_SECONDS = 2.0  #: in a log, how long a phase may last before its changes are worth a line
CHANGE_SECONDS = 10.0  #: in a log, between two lines of one phase that goes on
SAME_SECONDS = 60.0  #: the same, where nothing has changed: a sign of life
REDRAW_SECONDS = 0.5
_WIDTH = 110


class Phase(Protocol):
    """Phase that a command is in: called with lines about how it gets on."""

    def __call__(self, text: str) -> None:
        """Say how far it is: '12 of 40', '35 %', the name of the part being done."""


class Progress:
    """Phases, one after the other; a phase may be told about from any thread."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def phase(self, title: str) -> Iterator[Phase]:
        """Run a phase.  Its end, with the time it took, is shown once; how it failed is the
        caller's to say.
        """
        current = _Current(title, self._clock())
        done = threading.Event()
        painter = threading.Thread(target=self._paint, args=(current, done), daemon=True)
        painter.start()
        outcome = 'done'
        try:
            yield current
        except BaseException as error:
            outcome = 'failed' if isinstance(error, Exception) else 'interrupted'
            raise
        finally:
            done.set()
            painter.join()
            self._end(current, outcome)

    def line(self, text: str) -> None:
        """Lines of their own, between phases."""
        with self._lock:
            self._stream.write(terminal.printable_lines(text) + '\n')
            self._stream.flush()

    def _paint(self, current: '_Current', done: threading.Event) -> None:
        shown, due_at = '', current.started_at + QUIET_SECONDS
        while not done.wait(REDRAW_SECONDS):
            now, text = self._clock(), current.text
            line = terminal.printable(f'{current.title}: {text} ({now - current.started_at:.0f} s)')
            if self._terminal:
                self._write('\r\x1b[K' + line[:_WIDTH])
            elif now >= due_at + (SAME_SECONDS - CHANGE_SECONDS if shown == text else 0.0):
                shown, due_at = text, now + CHANGE_SECONDS
                self._write(line + '\n')

    def _end(self, current: '_Current', outcome: str) -> None:
        elapsed = self._clock() - current.started_at
        start = '\r\x1b[K' if self._terminal else ''
        self._write(f'{start}{current.title}: {outcome} ({elapsed:.1f} s)\n')

    def _write(self, text: str) -> None:
        with self._lock:
            self._stream.write(text)
            self._stream.flush()


class _Current:
    """A phase under way: its newest text."""

    def __init__(self, title: str, started_at: float) -> None:
        self.title = title
        self.started_at = started_at
        self.text = 'started'

    def __call__(self, text: str) -> None:
        self.text = text
