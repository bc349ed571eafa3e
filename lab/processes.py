# SPDX-License-Identifier: Apache-2.0
"""Reads /proc: which process is which.  A pid alone proves nothing, its number is used again."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

#: Every process of the lab carries this variable (value: its run directory), and so do all its
#: descendants.
MARK_VARIABLE = 'TROVE_UPGRADE_LAB_PROCESS_OF'

_PROC = pathlib.Path('/proc')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """One process as it was when read."""

    pid: int
    session: int
    started_ticks: int  #: clock ticks after the boot; with the pid it names a process for good
    state: str  #: one letter, of its first thread; Z is a zombie
    threads: int  #: those that are left

    @property
    def runs(self) -> bool:
        """Tell whether a thread of it runs: a first thread that ended before others is a zombie,
        and their sockets are open.
        """
        return self.state != 'Z' or self.threads > 1


def read(pid: int) -> Process | None:
    """The process `pid`, or None when there is none.  Source: proc(5), /proc/pid/stat, fields 3, 6,
    20 and 22.
    """
    try:
        text = (_PROC / str(pid) / 'stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(')')[2].split()  # the name in brackets may hold blanks and brackets
    return Process(
        pid=pid,
        session=int(fields[3]),
        started_ticks=int(fields[19]),
        state=fields[0],
        threads=int(fields[17]),
    )


def everyone() -> Iterator[Process]:
    """All processes that run now, without zombies."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            process = read(int(entry.name))
            if process is not None and process.runs:
                yield process


def is_marked(pid: int, run_dir: pathlib.Path) -> bool:
    """Tell whether a process is of the cloud in `run_dir`.

    One with another root directory belongs to another machine, with its run directory at the same
    path: see lab/bare.
    """
    try:
        block = (_PROC / str(pid) / 'environ').read_bytes()
        same_root = os.path.samestat((_PROC / str(pid) / 'root').stat(), pathlib.Path('/').stat())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return same_root and f'{MARK_VARIABLE}={run_dir}'.encode() in block.split(b'\0')


def boot_id() -> str:
    """Return the boot id of the machine: start times count from its boot, so they compare only
    within one.
    """
    return (_PROC / 'sys/kernel/random/boot_id').read_text().strip()
