# SPDX-License-Identifier: Apache-2.0
"""Tells which process is which.  A pid alone proves nothing, its number is used again."""

import contextlib
import os
import pathlib
import signal
from collections.abc import Iterator

import psutil

from lab.layout import MARK_VARIABLE

_PROC = pathlib.Path('/proc')
_TICKS = os.sysconf('SC_CLK_TCK')


def read(pid: int) -> psutil.Process | None:
    """The process `pid`, or None when there is none."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def recorded(pid: int, ticks: int) -> psutil.Process | None:
    """The process `pid` that was started at this moment, where it still runs.

    The boot's time, which psutil adds and takes away, moves by a second when the clock is set.
    """
    process = read(pid)
    if process is None or abs(started_ticks(process) - ticks) > _TICKS:
        return None
    return process if runs(process) else None


def started_ticks(process: psutil.Process) -> int:
    """Clock ticks after the boot, of a process that has just been read; with the pid they name it
    for good, whatever the clock is set to.
    """
    return round((process.create_time() - psutil.boot_time()) * _TICKS)


def runs(process: psutil.Process) -> bool:
    """True until its last thread has ended: a first thread that ended before others is a zombie,
    and their sockets are open.
    """
    try:
        return process.is_running() and (
            process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
            or process.num_threads() > 1
        )
    except psutil.NoSuchProcess:
        return False


def everyone() -> Iterator[psutil.Process]:
    """All processes that run now, without zombies."""
    for pid in psutil.pids():
        process = read(pid)
        if process is not None and runs(process):
            yield process


def in_session(leader: int) -> list[psutil.Process]:
    """Those that run in the session that this pid leads, or led."""
    found = (read(pid) for pid in psutil.pids() if _session(pid) == leader)
    # asked again once it is known who has the pid
    return [
        process
        for process in found
        if process and _session(process.pid) == leader and runs(process)
    ]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def is_marked(process: psutil.Process, run_dir: pathlib.Path) -> bool:
    """True for a process of the cloud in `run_dir`.

    One with another root directory belongs to another machine, with its run directory at the same
    path: see lab/bare.
    """
    try:
        mark = process.environ().get(MARK_VARIABLE)
        root = (_PROC / str(process.pid) / 'root').stat()
    except (psutil.Error, FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return mark == str(run_dir) and os.path.samestat(root, pathlib.Path('/').stat())


def send(process: psutil.Process, number: signal.Signals | int) -> None:
    """Signal exactly this process, where it still is: psutil compares its start time first."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def boot_id() -> str:
    """Of the machine: start times count from its boot, so they compare only within one."""
    return (_PROC / 'sys/kernel/random/boot_id').read_text().strip()
