# SPDX-License-Identifier: Apache-2.0
"""Port to other programs: what the agent runs is short, has a time limit and speaks C."""

import dataclasses
import os
import subprocess
from collections.abc import Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Completed:
    """End of a program: its exit code and its output."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Its last words on one line, for a message."""
        return ' '.join((self.stderr.strip() or self.stdout.strip()).split())[-500:]


class Commands(Protocol):
    """Port to programs of the guest."""

    def run(self, argv: Sequence[str], timeout_seconds: float = 60) -> Completed:
        """Run to its end; whatever its return code.

        As of a shell: 127 for a program that is not there, 126 for one that cannot be run, 124 for
        one that outlasted its time and was killed.
        """


class SystemCommands:
    """Runs programs of the guest."""

    def run(self, argv: Sequence[str], timeout_seconds: float = 60) -> Completed:
        environment = {
            **os.environ,
            'LC_ALL': 'C',
            'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        }
        try:
            done = subprocess.run(
                list(argv),
                capture_output=True,
                timeout=timeout_seconds,
                env=environment,
                stdin=subprocess.DEVNULL,
                text=True,
                errors='replace',
            )
        except FileNotFoundError:
            return Completed(127, '', f'{argv[0]}: command not found')
        except OSError as error:
            return Completed(126, '', f'{argv[0]}: cannot be run: {error.strerror}')
        except subprocess.TimeoutExpired:
            return Completed(124, '', f'{argv[0]} did not end within {timeout_seconds:.0f} s')
        return Completed(done.returncode, done.stdout, done.stderr)
