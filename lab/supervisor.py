# SPDX-License-Identifier: Apache-2.0
"""Starts the cloud's processes, waits until they answer, and stops them, also from another process
than the one that started them.

Each process leads its own session: Ctrl-C in the terminal reaches only us, and whatever it forks is
found again.  What was started stands in one record per process; before anything is signalled its
start time is compared, because pids are used again. What a crash kept from being recorded is found
by the variable that each process carries in its environment.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import psutil

from lab import commands, errors, processes
from lab.layout import MARK_VARIABLE
from trove_upgrade.waiting import wait_until

POLL_SECONDS = 0.1
KILLED_SECONDS = 10.0  #: a killed process that waits for a device takes a moment
READY_POLL_SECONDS = 0.3  #: some probes start a program, and the services need the processor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A process that is to stay."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stage: int  #: stages stop from the highest to the lowest; within one, all at once
    stop_seconds: float = 3.0  #: from SIGTERM to SIGKILL
    cwd: str = '/'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The record of a started process."""

    name: str
    pid: int
    started_ticks: int
    boot_id: str
    stage: int
    stop_seconds: float

    def leads(self) -> bool:
        """True while the started process itself runs."""
        return (
            processes.boot_id() == self.boot_id
            and processes.recorded(self.pid, self.started_ticks) is not None
        )

    def members(self) -> list[psutil.Process]:
        """The process and all that stayed in its session; empty when its pid means another process
        today.

        A leader that is gone proves nothing against its children: the kernel gives out no pid that
        names a session.
        """
        if processes.boot_id() != self.boot_id:
            return []
        leader = processes.read(self.pid)
        if leader is not None and processes.started_ticks(leader) != self.started_ticks:
            return []
        return processes.in_session(self.pid)


class Supervisor:
    """The processes of the cloud in one run directory."""

    def __init__(
        self,
        run_dir: pathlib.Path,
        pids_dir: pathlib.Path,
        logs_dir: pathlib.Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._run_dir = run_dir
        self._pids_dir = pids_dir
        self._logs_dir = logs_dir
        self._clock = clock
        self._sleep = sleep
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, command: Command) -> Record:
        """Start it and return at once; its output goes to its log.

        :raises CommandFailed: the program cannot be started at all.
        """
        self._pids_dir.mkdir(parents=True, exist_ok=True)
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        env = dict(command.env) | {MARK_VARIABLE: str(self._run_dir)}
        with (self._logs_dir / f'{command.name}.log').open('ab') as sink:
            try:
                child = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=command.cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise errors.CommandFailed(f'Cannot start {command.name}: {error}.') from error
        self._children[child.pid] = child
        # At least a zombie of ours: no other process reaps it.
        process = processes.read(child.pid)
        record = Record(
            name=command.name,
            pid=child.pid,
            started_ticks=processes.started_ticks(process) if process else 0,
            boot_id=processes.boot_id(),
            stage=command.stage,
            stop_seconds=command.stop_seconds,
        )
        path = self._pids_dir / f'{command.name}.json'
        unfinished = path.with_suffix('.new')
        unfinished.write_text(json.dumps(dataclasses.asdict(record)))
        unfinished.rename(path)
        return record

    def records(self) -> list[Record]:
        """All processes on record, whether they still run or not."""
        if not self._pids_dir.is_dir():
            return []
        return [
            Record(**json.loads(path.read_text())) for path in sorted(self._pids_dir.glob('*.json'))
        ]

    def runs(self, name: str) -> bool:
        """True while the recorded process itself runs, not merely children that it left."""
        self._reap()
        return any(record.leads() for record in self.records() if record.name == name)

    def wait_ready(self, name: str, probe: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once `probe` is true.

        :raises NotReady: the process died before, or the time is over; the end of its log is in the
            message.
        """
        log = self._logs_dir / f'{name}.log'

        def ready() -> bool:
            if probe():
                return True
            if not self.runs(name):
                raise errors.NotReady(
                    f'{name} died before it was ready. Log: {log}\n{commands.tail(log)}'
                )
            return False

        if not self._wait_until(ready, timeout_seconds, READY_POLL_SECONDS):
            raise errors.NotReady(
                f'{name} was not ready after {timeout_seconds:.0f} s. Log: '
                f'{log}\n{commands.tail(log)}'
            )

    def stop(self, names: Iterable[str]) -> None:
        """End these processes and all in their sessions; one that does not run is no error."""
        wanted = set(names)
        self._end([record for record in self.records() if record.name in wanted])

    def kill(self, name: str) -> None:
        """SIGKILL, as when its machine dies: nothing is said goodbye to."""
        for record in self.records():
            if record.name == name:
                for member in record.members():
                    processes.send(member, signal.SIGKILL)
        self.stop((name,))

    def stop_all(self, tell: Callable[[str], None] = lambda _text: None) -> None:
        """End all that is on record, stage by stage, and then what a crash left without a record.
        Safe to repeat.
        """
        records = self.records()
        for stage in sorted({record.stage for record in records}, reverse=True):
            group = [record for record in records if record.stage == stage]
            tell(', '.join(record.name for record in group))
            self._end(group)
        self.end_strays()

    def end_strays(self) -> None:
        """Kill every process that carries our mark but stands in no record: they have no state
        worth a goodbye.
        """
        strays = [
            process
            for process in processes.everyone()
            if process.pid != os.getpid() and processes.is_marked(process, self._run_dir)
        ]
        for stray in strays:
            processes.send(stray, signal.SIGKILL)
        self._wait_gone(strays, 5.0)

    def _end(self, records: list[Record]) -> None:
        self._ask_to_end(records)
        for record in records:
            rest = record.members()
            for member in rest:
                processes.send(member, signal.SIGKILL)
            if not self._wait_gone(rest, KILLED_SECONDS):
                raise errors.LabError(
                    f'Cannot end {record.name} (process {record.pid}): it survives SIGKILL. '
                    'It waits for a device; see its stack in /proc.',
                    code='lab_cannot_end',
                )
            (self._pids_dir / f'{record.name}.json').unlink(missing_ok=True)

    def _ask_to_end(self, records: list[Record]) -> None:
        """SIGTERM, and wait as long as each is given.  A leader tells its own workers; once it is
        gone, they are told.
        """
        started = self._clock()
        told: set[psutil.Process] = set()
        while records:
            self._reap()
            left = []
            for record in records:
                group = record.members()
                leader = [member for member in group if member.pid == record.pid]
                for member in leader or group:
                    if member not in told:
                        told.add(member)
                        processes.send(member, signal.SIGTERM)
                if group and self._clock() < started + record.stop_seconds:
                    left.append(record)
            records = left
            if records:
                self._sleep(2 * POLL_SECONDS)

    def _wait_gone(self, group: Iterable[psutil.Process], timeout_seconds: float) -> bool:
        rest = list(group)

        def gone() -> bool:
            rest[:] = [process for process in rest if processes.runs(process)]
            self._reap()  # what has just ended is a zombie of ours
            return not rest

        return self._wait_until(gone, timeout_seconds, POLL_SECONDS / 2)

    def _wait_until(
        self, condition: Callable[[], bool], seconds: float, interval_seconds: float
    ) -> bool:
        return wait_until(
            condition,
            seconds,
            monotonic=self._clock,
            sleep=self._sleep,
            interval_seconds=interval_seconds,
        )

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                self._children.pop(pid, None)  # another thread may have been here


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait outside while we clean up; a second Ctrl-C must not leave half of it
    behind.

    Python's signals belong to the main thread; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
