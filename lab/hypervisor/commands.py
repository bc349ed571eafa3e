# SPDX-License-Identifier: Apache-2.0
"""Programs of the host, behind a port so that a test can stand in for them."""

from __future__ import annotations

import collections
import dataclasses
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lab.hypervisor import errors


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

    def follow(self, argv: Sequence[str], on_line: Callable[[str], None]) -> None:
        """Run a long program to its end; each line that it prints is told as it comes.

        :raises errors.CommandFailed: its exit code is not 0.
        """

    def launch(self, argv: Sequence[str], log_path: Path, env: Mapping[str, str]) -> None:
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
            raise errors.CommandFailed(
                list(argv), -1, f'still running after {timeout_seconds:g} seconds'
            ) from late
        except FileNotFoundError as missing:
            raise errors.CommandFailed(
                list(argv), 127, f'{missing}; install the package that has it'
            ) from missing
        if check and done.returncode != 0:
            raise errors.CommandFailed(list(argv), done.returncode, done.stdout + done.stderr)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def follow(self, argv: Sequence[str], on_line: Callable[[str], None]) -> None:
        """Run a long program as `Commands.follow` says; an error quotes its last lines."""
        last: collections.deque[str] = collections.deque(maxlen=40)
        with subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
        ) as program:
            for line in program.stdout or ():
                last.append(line)
                on_line(line.rstrip())
        if program.returncode != 0:
            raise errors.CommandFailed(list(argv), program.returncode, ''.join(last))

    def launch(self, argv: Sequence[str], log_path: Path, env: Mapping[str, str]) -> None:
        """Launch a program: `setsid --fork` hands the program to process 1, which reaps it."""
        with log_path.open('ab') as log:
            subprocess.run(
                ['setsid', '--fork', *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                env=dict(env),
            )
