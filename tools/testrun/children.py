# SPDX-License-Identifier: Apache-2.0
"""Programs that the run has started.  Each leads a process group: an interruption reaches a
suite's workers too, whose tests clean up.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

CLEAN_UP_SECONDS = 60.0  #: for the tests' own clean-up, before the kernel ends what is left


class Ending(BaseException):
    """The run is being interrupted: nothing is started any more.

    No failure, like KeyboardInterrupt.
    """


class Children:
    """All that run now.  Usable from several threads."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._interrupted = False

    @contextlib.contextmanager
    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Any = None,
        stderr: int | IO[bytes] = subprocess.STDOUT,
        nice: int = 0,
    ) -> Iterator['subprocess.Popen[bytes]']:
        """A program whose stdout is a pipe; it has ended when the block is left.

        :param nice: added to our niceness, for it and for all that it starts.
        :raises Ending: `interrupt` was called, before or meanwhile.
        """
        with self._lock:
            if self._interrupted:
                raise Ending
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
            )
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, child.pid, own + nice)
            self._running.add(child)
        try:
            yield child
            child.wait()
        except BaseException:
            _signal(child, signal.SIGINT)
            raise
        finally:
            self._finish(child)
        if self._interrupted:  # what it came to, and what it complains of, does not count
            raise Ending

    def _finish(self, child: 'subprocess.Popen[bytes]') -> None:
        _end(child)
        child.stdout.close()  # type: ignore[union-attr]  # a pipe was asked for
        with self._lock:
            self._running.discard(child)

    def interrupt(self) -> None:
        """End all of them, and start no other."""
        with self._lock:
            self._interrupted = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGINT)
        for child in running:
            _end(child)


def _end(child: 'subprocess.Popen[bytes]') -> None:
    """Wait for the end of a child that was asked to end, or end it; what it leaves is ended too."""
    try:
        child.wait(CLEAN_UP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(child, signal.SIGKILL)
        child.wait()
    _signal(child, signal.SIGKILL)


def _signal(child: 'subprocess.Popen[bytes]', number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(child.pid, number)
