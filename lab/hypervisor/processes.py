# SPDX-License-Identifier: Apache-2.0
"""Process 1 of a guest as the host sees it: a pid, and the start time that tells it from a later
process of that pid.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from lab.hypervisor import errors
from trove_upgrade.waiting import wait_until

_START_TIME = 19  #: field 22 of /proc/<pid>/stat, counted from the one after the name


@dataclasses.dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for another one."""

    pid: int
    start_time: str

    def alive(self) -> bool:
        """Return whether it still runs; a zombie does not."""
        try:
            fields = Path(f'/proc/{self.pid}/stat').read_text('utf-8').rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return fields[_START_TIME] == self.start_time and fields[0] not in {'Z', 'X'}

    def name(self) -> str:
        """The short name of what it runs now; empty where it is gone."""
        try:
            return Path(f'/proc/{self.pid}/comm').read_text('utf-8').strip()
        except (FileNotFoundError, ProcessLookupError):
            return ''

    def send(self, signal_number: int) -> None:
        """Send a signal where it still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):  # it ended between the two lines
                os.kill(self.pid, signal_number)

    def wait_gone(self, seconds: float) -> None:
        """Return when it has gone.

        :raises errors.TimedOut: it still runs.
        """
        if not wait_until(lambda: not self.alive(), seconds, interval_seconds=0.02):
            raise errors.TimedOut(
                f'process {self.pid} to end',
                seconds,
                'Look at what it waits for in /proc/<pid>/stack.',
            )


def read_process(record: Path) -> Process | None:
    """The process named in a file of `<pid> <start time>`, where it still runs."""
    try:
        pid, start_time = record.read_text('utf-8').split()
    except (FileNotFoundError, ValueError):
        return None
    process = Process(int(pid), start_time)
    return process if process.alive() else None
