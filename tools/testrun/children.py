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
    ) -> Iterator['subprocess.Popen[bytes]']:
        """A program whose stdout is a pipe; it has ended when the block is left.

        :raises KeyboardInterrupt: the run is being interrupted; nothing is started any more.
        """
        with self._lock:
            if self._interrupted:
                raise KeyboardInterrupt
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
            )
            self._running.add(child)
        try:
            yield child
            child.wait()
        finally:
            _end(child)
            with self._lock:
                self._running.discard(child)

    def interrupt(self) -> None:
        """Ask all of them to end; whoever waits for one sees its end.  No other is started."""
        with self._lock:
            self._interrupted = True
            for child in self._running:
                _signal(child, signal.SIGINT)


def _end(child: 'subprocess.Popen[bytes]') -> None:
    if child.poll() is None:
        _signal(child, signal.SIGINT)
        try:
            child.wait(CLEAN_UP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _signal(child: 'subprocess.Popen[bytes]', number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(child.pid, number)
