# SPDX-License-Identifier: Apache-2.0
"""Process 1 of a guest as the host sees it: a pid, and the start time that tells it from a later
process of that pid.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from lab import errors, processes
from trove_upgrade.waiting import wait_until


def read_process(record: Path) -> psutil.Process | None:
    """The process named in a file of `<pid> <start time>`, where it still runs."""
    try:
        pid, started_ticks = map(int, record.read_text('utf-8').split())
    except (FileNotFoundError, ValueError):
        return None
    return processes.recorded(pid, started_ticks)


def name_of(process: psutil.Process) -> str:
    """The short name of what it runs now; empty where it is gone."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ''


def wait_gone(process: psutil.Process, seconds: float) -> None:
    """Return when it has gone.

    :raises errors.TimedOut: it still runs.
    """
    if not wait_until(lambda: not processes.runs(process), seconds, interval_seconds=0.02):
        raise errors.TimedOut(
            f'process {process.pid} to end',
            seconds,
            'Look at what it waits for in /proc/<pid>/stack.',
        )
