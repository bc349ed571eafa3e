# SPDX-License-Identifier: Apache-2.0
"""Runs programs of this machine: behind a port, so that a test can stand in for them, or, for syncs
and installers, with their output in a log.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a program.  `output` is what it wrote to its standard output, `errors` to its
    standard error.
    """

    returncode: int
    output: str
    errors: str


class Commands(Protocol):
    """Runs programs.  Everything that the lab asks of the host goes through here."""

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a program to its end.

        :raises errors.CommandFailed: with `check`, where the exit code is not 0; always where it
            did not end in time.
        """

    def follow(
        self,
        argv: Sequence[str],
        on_line: Callable[[str], None],
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a long program to its end; each line that it prints is told as it comes.

        :raises errors.CommandFailed: its exit code is not 0.
        """

    def launch(self, argv: Sequence[str], log_path: pathlib.Path, env: Mapping[str, str]) -> None:
        """Start a program that outlives this process; what it prints is appended to `log_path`."""


class HostCommands:
    """Programs of this host, without a terminal."""

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input_text: str | None = None,
        timeout_seconds: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        # Without an input the program must not inherit ours: it would wait for a terminal. In a
        # session of its own, a terminal's second Ctrl-C does not end a program that cleans up after
        # the first.
        stdin = None if input_text is not None else subprocess.DEVNULL
        try:
            done = subprocess.run(
                list(argv),
                stdin=stdin,
                input=input_text,
                capture_output=True,
                check=False,
                encoding='utf-8',
                errors='replace',
                timeout=timeout_seconds,
                env=env,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as late:
            raise errors.ProgramFailed(
                list(argv), -1, f'still running after {timeout_seconds:g} seconds'
            ) from late
        except FileNotFoundError as missing:
            raise errors.ProgramFailed(
                list(argv), 127, f'{missing}; install the package that has it'
            ) from missing
        if check and done.returncode != 0:
            raise errors.ProgramFailed(list(argv), done.returncode, done.stdout + done.stderr)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def follow(
        self,
        argv: Sequence[str],
        on_line: Callable[[str], None],
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a long program as `Commands.follow` says; an error quotes its last lines."""
        last: collections.deque[str] = collections.deque(maxlen=40)
        with subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
            env=env,
        ) as program:
            for line in program.stdout or ():
                last.append(line)
                on_line(line.rstrip())
        if program.returncode != 0:
            raise errors.ProgramFailed(list(argv), program.returncode, ''.join(last))

    def launch(self, argv: Sequence[str], log_path: pathlib.Path, env: Mapping[str, str]) -> None:
        """See `Commands.launch`.  `setsid --fork` hands the program to process 1, which reaps
        it.
        """
        with log_path.open('ab') as log:
            subprocess.run(
                ['setsid', '--fork', *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                env=dict(env),
            )
