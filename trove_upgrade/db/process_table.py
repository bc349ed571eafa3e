# SPDX-License-Identifier: Apache-2.0
"""Identity of a process, as a service writes it into its row, and proof that the process has ended.

A pid alone proves nothing: it is used again, and another machine or another container has a process
of the same number.  So the row also holds when the process started, and in which table of processes
that number counts.  Where the table is another one than ours, nothing is known, and the row's age
has to do.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re

_PROC = pathlib.Path('/proc')
_WRITTEN = re.compile(r'(?P<start>\d+)\.(?P<table>[0-9a-f]{8})')
#: After the command in parentheses, which may hold anything.  Source: proc_pid_stat(5), fields 3
#: and 22.
_STATE, _START = 0, 19


@dataclasses.dataclass(frozen=True)
class Birth:
    """One process among all that had, or will have, its pid."""

    start_ticks: int  #: since the machine's boot
    table: str  #: 8 hex digits of this boot of the machine and of the pid namespace

    def __str__(self) -> str:
        return f'{self.start_ticks}.{self.table}'

    @classmethod
    def parse(cls, text: str | None) -> 'Birth | None':
        """Return what `str` has made; None of anything else."""
        written = _WRITTEN.fullmatch(text or '')
        return cls(int(written['start']), written['table']) if written else None


class ProcessTable:
    """The processes that this process sees.  Safe to share between threads, and over a fork."""

    def __init__(self, proc: pathlib.Path = _PROC) -> None:
        self._proc = proc

    def birth_of(self, pid: int) -> Birth | None:
        """Return when a process began; None where it cannot be read.

        It has ended, it is hidden from us, or there is no /proc of our pid namespace.
        """
        table, fields = self._table(), self._stat(pid)
        return Birth(int(fields[_START]), table) if table and fields else None

    def has_ended(self, pid: int | None, birth: Birth | None) -> bool:
        """Return True if this process runs no more for certain.

        Never of one of another machine or another pid namespace.
        """
        if pid is None or birth is None or birth.table != self._table():
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # another user's: it is there
        fields = self._stat(pid)  # /proc may hide other users' processes: then nothing is known
        return bool(fields) and (
            int(fields[_START]) != birth.start_ticks or fields[_STATE] in {'Z', 'X'}
        )

    def _stat(self, pid: int) -> list[str]:
        with contextlib.suppress(OSError):
            return (
                (self._proc / str(pid) / 'stat')
                .read_text(encoding='utf-8', errors='replace')
                .rpartition(')')[2]
                .split()
            )
        return []

    def _table(self) -> str | None:
        """Ticks and pids mean the same in processes that have the same one."""
        spaces = self._proc / 'self/ns'
        try:
            # A pid namespace that was entered without a /proc of its own shows other pids.
            if (self._proc / 'self').readlink().name != str(os.getpid()):
                return None
            boot = (self._proc / 'sys/kernel/random/boot_id').read_text(encoding='ascii').strip()
            pids = (spaces / 'pid').readlink()
        except OSError:
            return None
        # namespaces of time exist since Linux 5.6
        ticks = (spaces / 'time').readlink() if (spaces / 'time').is_symlink() else ''
        return hashlib.sha256(f'{boot}/{pids}/{ticks}'.encode()).hexdigest()[:8]


TABLE = ProcessTable()
