# SPDX-License-Identifier: Apache-2.0
"""Runs a program to its end, with its output in a log: syncs, installers, clients."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab import errors

TAIL_LINES = 25
CHECK_SECONDS = 0.5


def tail(path: pathlib.Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, for an error message; empty where there is no log."""
    try:
        text = path.read_text(errors='replace')
    except FileNotFoundError:
        return ''
    return '\n'.join(text.splitlines()[-lines:])


def run(
    argv: Sequence[str],
    *,
    log: pathlib.Path,
    env: Mapping[str, str],
    timeout_seconds: float,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run `argv` to its end; its output is appended to `log`.

    It has its own session, so that Ctrl-C reaches us alone and we end it, whole.  `check` is called
    every now and then: what it raises ends the program too.

    :raises CommandFailed: it ended with another code than 0, or not within `timeout_seconds`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with log.open('ab') as sink:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        late = _is_late(child, deadline, check)
    if late:
        raise errors.CommandFailed(
            f'{argv[0]} did not end within {timeout_seconds:.0f} s; it was stopped. Log: '
            f'{log}\n{tail(log)}'
        )
    if child.returncode != 0:
        raise errors.CommandFailed(
            f'{" ".join(argv[:4])} ended with {child.returncode}. Log: {log}\n{tail(log)}'
        )


def _is_late(child: 'subprocess.Popen[bytes]', deadline: float, check: Callable[[], None]) -> bool:
    """Wait for the end; True where the deadline came first, which ends the child."""
    try:
        while not _ended(child):
            check()
            if time.monotonic() > deadline:
                end_session(child)
                return True
    except BaseException:
        end_session(child)
        raise
    return False


def _ended(child: 'subprocess.Popen[bytes]') -> bool:
    try:
        child.wait(timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_session(child: 'subprocess.Popen[Any]') -> None:
    """Kill a child that leads its own process group, and reap it."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
