# SPDX-License-Identifier: Apache-2.0
"""Expand and migrate of a million upgrades beside a reader and a writer, against one INSERT ...
SELECT of the server's own.

The servers are private ones on Unix sockets, with memory for all rows and without syncs: what is
measured is work, not the disk.
"""

import dataclasses
import itertools
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import engine
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.tests.functional.schema import old_rows

ROWS = 1_000_000
SERVERS: dict[str, Callable[[], Any]] = {
    'MariaDB': old_rows.MariaDB,
    'PostgreSQL': old_rows.PostgreSQL,
}

_TOOL = pathlib.Path(sys.executable).with_name('trove-upgrade-manage')
_PAUSE_SECONDS = 0.005
_QUIET_SECONDS = 5
_LOOK_SECONDS = 0.05
_LIVING = 200  #: upgrades that the writer writes, spread over the table
_MAY_END = {'expand': {0}, 'migrate': {0, 9}}  # 9: the writer has written since

_BASELINE_INTO = (
    'INSERT INTO bench_steps SELECT upgrades.id, entry.place - 1, entry.attempt, entry.step, '
    '{began}, {ended}, entry.runs, entry.outcome, entry.percent, entry.message FROM '
    'instance_upgrades AS upgrades CROSS JOIN {entries}'
)
_BASELINE = {
    'mysql': _BASELINE_INTO.format(
        began='LEFT(entry.began, 26)',
        ended='LEFT(entry.ended, 26)',
        entries="JSON_TABLE(upgrades.steps, '$[*]' COLUMNS (place FOR ORDINALITY, attempt INT "
        "PATH '$.attempt', step VARCHAR(16) PATH '$.step', began VARCHAR(32) PATH "
        "'$.started_at', ended VARCHAR(32) PATH '$.ended_at', runs INT PATH '$.runs', "
        "outcome VARCHAR(16) PATH '$.outcome', percent INT PATH '$.percent', message "
        "TEXT PATH '$.message')) AS entry",
    ),
    'postgresql': _BASELINE_INTO.format(
        began='CAST(LEFT(entry.started_at, 26) AS timestamp)',
        ended='CAST(LEFT(entry.ended_at, 26) AS timestamp)',
        entries='LATERAL ROWS FROM (json_to_recordset(CAST(upgrades.steps AS json)) AS (attempt '
        'integer, step text, started_at text, ended_at text, runs integer, outcome text, '
        'percent integer, message text)) WITH ORDINALITY AS entry (attempt, step, '
        'started_at, ended_at, runs, outcome, percent, message, place)',
    ),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One command, and what it did to others."""

    command: str
    seconds: float
    rows_per_second: float | None
    longest_read_ms: float
    longest_write_ms: float
    queries: int  #: of the reader and the writer, meanwhile
    failed: int  #: of those
    peak_mib: float  #: resident memory of the command's process

    def line(self, server: str) -> str:
        """For a terminal."""
        rate = f'{self.rows_per_second:>9.0f}' if self.rows_per_second else ' ' * 9
        return (
            f'{server:<12} {self.command:<12} {self.seconds:>8.2f} {rate} '
            f'{self.longest_read_ms:>10.1f} {self.longest_write_ms:>10.1f} {self.queries:>8} '
            f'{self.failed:>6} {self.peak_mib:>8.0f}'
        )


HEADING = (
    f'{"server":<12} {"command":<12} {"s":>8} {"rows/s":>9} {"read ms":>10} {"write ms":>10} '
    f'{"queries":>8} {"failed":>6} {"MiB":>8}    (longest wait of any query; peak memory)'
)


class Client(threading.Thread):
    """Asks the same, every few milliseconds, and keeps the longest answer's time."""

    def __init__(self, url: str, ask: Callable[[sa.Connection], object]) -> None:
        super().__init__(daemon=True)
        self._database = engine.Database.from_url(url)
        self._ask = ask
        self._stopping = threading.Event()
        self.asked = self.failed = 0
        self.longest = 0.0

    def run(self) -> None:
        """Until `stop`.  The first one, which connects, does not count."""
        with self._database.write() as connection:
            self._ask(connection)
        while not self._stopping.wait(_PAUSE_SECONDS):
            started = time.perf_counter()
            try:
                with self._database.write() as connection:
                    self._ask(connection)
            except (sa.exc.SQLAlchemyError, db_exc.DBError):
                self.failed += 1  # counted, and shown
            self.longest = max(self.longest, time.perf_counter() - started)
            self.asked += 1
        self._database.dispose()

    def stop(self) -> None:
        """And wait for its end."""
        self._stopping.set()
        self.join()


def _reader(ids: list[str]) -> Callable[[sa.Connection], object]:
    query = sa.text(
        'SELECT id, state, step, steps, updated_at FROM instance_upgrades WHERE id = :id'
    )
    chance = random.Random(1)
    return lambda connection: connection.execute(query, {'id': chance.choice(ids)}).one()


def _writer(ids: list[str]) -> Callable[[sa.Connection], object]:
    now = "timezone('utc', clock_timestamp())", 'UTC_TIMESTAMP(6)'
    chance, round_ = random.Random(2), itertools.count()

    def ask(connection: sa.Connection) -> object:
        clock = now[0] if connection.dialect.name == 'postgresql' else now[1]
        update = sa.text(
            f'UPDATE instance_upgrades SET rebuild_attempt = :round, updated_at = {clock} WHERE id '
            '= :id'
        )
        return connection.execute(update, {'id': chance.choice(ids), 'round': next(round_) % 1000})

    return ask


class Bench:
    """Runs of the commands on one server, beside a reader and a writer."""

    def __init__(self, url: str, folder: pathlib.Path) -> None:
        self._url = url
        self._configuration = folder / 'bench.conf'
        self._configuration.write_text(f'[database]\nconnection = {url}\n')
        self._database = engine.Database.from_url(url)
        self._ids: list[str] = old_rows.ids(ROWS, _LIVING)  # type: ignore[no-untyped-call]

    def prepare(self) -> None:
        """The schema and the rows of the release below."""
        Runner(self._database.engine).sync('aurora')
        old_rows.load(self._database.engine, ROWS)  # type: ignore[no-untyped-call]

    def baseline(self) -> float:
        """Seconds in which the server alone makes rows of all histories, in one statement, and
        nothing of them is written down.
        """
        with self._database.engine.begin() as connection:
            connection.exec_driver_sql(
                'CREATE TABLE bench_steps (upgrade_id VARCHAR(36), position INTEGER, attempt '
                'INTEGER, step VARCHAR(16), started_at TIMESTAMP(6) NULL, ended_at TIMESTAMP(6) '
                'NULL, runs INTEGER, outcome VARCHAR(16), percent INTEGER, message TEXT, PRIMARY '
                'KEY (upgrade_id, position))'
            )
        started = time.perf_counter()
        with self._database.engine.begin() as connection:
            connection.execute(
                sa.text(
                    _BASELINE['postgresql' if connection.dialect.name == 'postgresql' else 'mysql']
                )
            )
        seconds = time.perf_counter() - started
        with self._database.engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE bench_steps')
        return seconds

    def quiet(self) -> Run:
        """How long queries wait while nothing else runs."""
        return self._beside('(nothing)', lambda: (threading.Event().wait(_QUIET_SECONDS), 0.0)[1])

    def command(self, name: str) -> Run:
        """One command of the tool, as a process."""
        return self._beside(name, lambda: self._process(name), ROWS if name == 'migrate' else None)

    def close(self) -> None:
        """Close the connections to the server."""
        self._database.dispose()

    def _beside(self, name: str, work: Callable[[], float], rows: int | None = None) -> Run:
        reader, writer = (
            Client(self._url, _reader(self._ids)),
            Client(self._url, _writer(self._ids)),
        )
        reader.start()
        writer.start()
        started = time.perf_counter()
        try:
            peak = work()
        finally:
            seconds = time.perf_counter() - started
            reader.stop()
            writer.stop()
        return Run(
            name,
            seconds,
            rows / seconds if rows else None,
            reader.longest * 1000,
            writer.longest * 1000,
            reader.asked + writer.asked,
            reader.failed + writer.failed,
            peak,
        )

    def _process(self, name: str) -> float:
        """Its peak memory in MiB, read while it runs: what getrusage(2) tells afterwards includes
        the parent's, from before the exec.
        """
        peak, never = 0.0, threading.Event()
        argv = [_TOOL, '--config-file', self._configuration, 'db', name]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                while process.poll() is None:
                    peak = max(peak, _peak_mib(process.pid))
                    never.wait(_LOOK_SECONDS)
            except BaseException:
                process.kill()  # its database goes, too
                raise
        if process.returncode not in _MAY_END[name]:
            raise SystemExit(f'benchmarks: db {name} ended with {process.returncode}')
        return peak


def _peak_mib(pid: int) -> float:
    """Linux gives it in KiB (proc_pid_status(5)); 0 for one that has just ended."""
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) / 1024
    return 0.0


def measure() -> dict[str, dict[str, Any]]:
    """Both servers, one after the other; printed as it comes."""
    print(f'\n{ROWS} upgrades\n{HEADING}', flush=True)
    found: dict[str, dict[str, Any]] = {}
    for name, server_class in SERVERS.items():
        server = server_class()
        server.setUp()
        try:
            found[name] = _measure_one(name, server)
        finally:
            server.cleanUp()
    return found


def _measure_one(name: str, server: Any) -> dict[str, Any]:
    bench = Bench(server.create(), server.folder)
    try:
        bench.prepare()
        baseline = bench.baseline()
        runs = []
        for one in (bench.quiet, lambda: bench.command('expand'), lambda: bench.command('migrate')):
            runs.append(one())
            print(runs[-1].line(name), flush=True)
    finally:
        bench.close()
    ratio = runs[-1].seconds / baseline
    print(
        f'{name:<12} baseline: one INSERT ... SELECT by the server: {baseline:.2f} s, '
        f'{ROWS / baseline:.0f} rows/s; migrate takes {ratio:.1f} times that long',
        flush=True,
    )
    return {
        'baseline_seconds': baseline,
        'ratio': ratio,
        'runs': [dataclasses.asdict(run) for run in runs],
    }
