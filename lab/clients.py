# SPDX-License-Identifier: Apache-2.0
"""The unmodified clients, as a user types them."""

import pathlib
import subprocess
import sys
from collections.abc import Callable

from lab import errors
from lab.commands import HostCommands
from lab.handle import Credentials

CLIENT_SECONDS = 120.0


class Clients:
    """Runs `trove` and `openstack` as one user."""

    def __init__(self, user: Credentials, programs_dir: pathlib.Path | None = None) -> None:
        self._user = user
        self._programs = programs_dir or pathlib.Path(sys.executable).parent

    def run(self, program: str, *arguments: str) -> str:
        """Return what it printed.

        :raises CommandFailed: it ended with another code than 0; what it said is in the message.
        """
        done = self.attempt(program, *arguments)
        if done.returncode != 0:
            raise errors.CommandFailed(
                f'{program} {" ".join(arguments)} ended with '
                f'{done.returncode}:\n{done.stdout}{done.stderr}'
            )
        return done.stdout

    def attempt(self, program: str, *arguments: str) -> 'subprocess.CompletedProcess[str]':
        """Run it, however it ends."""
        return subprocess.run(
            [str(self._programs / program), *arguments],
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )

    def follow(self, program: str, *arguments: str, on_line: Callable[[str], None]) -> None:
        """Run it to its end, which may come late; each line that it prints is told as it comes.

        :raises CommandFailed: its exit code is not 0; its last lines are in the message.
        """
        argv = [str(self._programs / program), *arguments]
        HostCommands().follow(argv, on_line, env=self._env())

    def _env(self) -> dict[str, str]:
        return {
            'PATH': '/usr/bin:/bin',
            'HOME': '/nonexistent',
            'LANG': 'C.UTF-8',
            'PYTHONWARNINGS': 'ignore',
            **self._user.environ(),
        }
