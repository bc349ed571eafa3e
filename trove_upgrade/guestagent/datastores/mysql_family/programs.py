# SPDX-License-Identifier: Apache-2.0
"""The port to other programs: what the driver starts as its own, short-lived child."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trove_upgrade.guestagent.machine.finished import Finished


class Programs(Protocol):
    """Starts programs and waits for them."""

    def find(self, *names: str) -> str | None:
        """The path of the first one of `names` that is installed."""

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
        as_user: tuple[int, int] | None = None,
    ) -> Finished:
        """Run to the end, without standard input; with `as_user` as that user and group, and no
        other of root's rights.

        If `on_line` raises, the program and its children are ended first.

        :raises TimeoutError: it did not end in time, and has been killed.
        :raises OSError: it cannot be run, as one that was removed since it was found.
        """


class LocalPrograms:
    """`Programs` on this machine; each in a process group of its own, so that its children end with
    it.
    """

    def find(self, *names: str) -> str | None:
        path = os.pathsep.join(
            ('/usr/local/sbin', '/usr/sbin', '/usr/local/bin', '/usr/bin', '/sbin', '/bin')
        )
        return next((found for name in names if (found := shutil.which(name, path=path))), None)

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
        as_user: tuple[int, int] | None = None,
    ) -> Finished:
        uid, gid = as_user or (None, None)
        with subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            text=True,
            errors='replace',
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if as_user is None else [],
        ) as process:
            overdue = threading.Event()
            timer = threading.Timer(timeout_seconds, _end_overdue, (process, overdue))
            timer.daemon = True
            timer.start()
            try:
                output = _output(process, on_line)
                process.wait()
            finally:
                timer.cancel()
                if process.poll() is None:
                    _end(process)
        if overdue.is_set():
            found = f'{arguments[0]} did not end within {timeout_seconds:.0f} s'
            raise TimeoutError(found)
        return Finished(process.returncode, output)


def _output(process: 'subprocess.Popen[str]', on_line: Callable[[str], None] | None) -> str:
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line)
        if on_line is not None:
            on_line(line.rstrip('\n'))
    return ''.join(lines)


def _end(process: 'subprocess.Popen[str]') -> None:
    if process.poll() is None:
        # it has ended since, and another thread has waited for it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _end_overdue(process: 'subprocess.Popen[str]', overdue: threading.Event) -> None:
    overdue.set()
    _end(process)
