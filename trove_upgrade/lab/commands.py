# SPDX-License-Identifier: Apache-2.0
"""Runs a program to its end, with its output in a log: syncs, installers, clients."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Mapping, Sequence

from trove_upgrade.lab import errors

TAIL_LINES = 25


def tail(path: pathlib.Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, for an error message; empty where there is no log."""
    try:
        text = path.read_text(errors='replace')
    except FileNotFoundError:
        return ''
    return '\n'.join(text.splitlines()[-lines:])


def run(argv: Sequence[str], *, log: pathlib.Path, env: Mapping[str, str], timeout_seconds: float,
        stdin: str | None = None) -> None:
    """Run `argv` to its end; its output is appended to `log`.

    It has its own session, so that Ctrl-C reaches us alone and we end it, whole.

    :raises CommandFailed: it ended with another code than 0, or not within `timeout_seconds`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('ab') as sink:
        child = subprocess.Popen(list(argv), stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                 stdout=sink, stderr=subprocess.STDOUT, env=dict(env), start_new_session=True)
        try:
            child.communicate(stdin.encode() if stdin is not None else None, timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            end_session(child)
            raise errors.CommandFailed(
                f'{argv[0]} did not end within {timeout_seconds:.0f} s; it was stopped. Log: {log}\n{tail(log)}',
            ) from error
        except BaseException:
            end_session(child)
            raise
    if child.returncode != 0:
        raise errors.CommandFailed(f'{" ".join(argv[:4])} ended with {child.returncode}. Log: {log}\n{tail(log)}')


def end_session(child: 'subprocess.Popen[bytes]') -> None:
    """Kill a child that leads its own process group, and reap it."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
