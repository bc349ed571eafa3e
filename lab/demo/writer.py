# SPDX-License-Identifier: Apache-2.0
"""A customer's application: writes a row every 50 ms all through, and keeps what the database has
acknowledged.

Run as a program inside the guest's network, so that it sees what a client sees.  Each attempt is
one JSON line: {"at": seconds, "number": n, "ok": true}; a line is written after the database has
acknowledged the commit, never before.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import pymysql

from trove_upgrade import signals

INTERVAL_SECONDS = 0.05
TIMEOUT_SECONDS = 1
#: Short: a guest that is being rebuilt answers nothing, and each try hides so much of the outage's
#: end.
CONNECT_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One write of the demo's client, and whether the server took it."""

    at: float  #: seconds since the epoch
    number: int
    ok: bool


@dataclasses.dataclass(frozen=True)
class Downtime:
    """Time from the first failed write to the first that succeeded after the last failure."""

    seconds: float
    failed: int
    acknowledged: frozenset[int]


def measure(attempts: Iterable[Attempt]) -> Downtime:
    """Measure the downtime of a list of attempts to write.

    :raises ValueError: the last write failed, so the downtime has not ended.
    """
    first_failed: float | None = None
    ended: float | None = None
    failed, acknowledged = 0, set()
    for attempt in attempts:
        if attempt.ok:
            acknowledged.add(attempt.number)
            if first_failed is not None and ended is None:
                ended = attempt.at
        else:
            failed += 1
            first_failed = attempt.at if first_failed is None else first_failed
            ended = None
    if first_failed is not None and ended is None:
        raise ValueError('the last write failed: the database does not serve yet')
    seconds = 0.0 if first_failed is None or ended is None else ended - first_failed
    return Downtime(seconds, failed, frozenset(acknowledged))


def read(path: pathlib.Path) -> list[Attempt]:
    """The attempts in a writer's file; a half-written last line is left out."""
    lines = path.read_text().split('\n')[:-1]
    return [Attempt(**json.loads(line)) for line in lines]


class Writer:
    """Writes until it is told to stop."""

    def __init__(
        self, connect: dict[str, Any], table: str, sink: TextIO, told: signals.Told
    ) -> None:
        self._connect = connect
        self._table = table
        self._sink = sink
        self._connection: pymysql.connections.Connection[Any] | None = None
        self._told = told

    def run(self) -> None:
        """One write each interval.  A late one does not make the next ones come faster."""
        number = 0
        while not self._told.wait(INTERVAL_SECONDS):
            number += 1
            started = time.time()
            ok = self._write(number)
            # A failure dates from when the client began to wait, a success from when it was
            # acknowledged.
            attempt = Attempt(time.time() if ok else started, number, ok)
            self._sink.write(json.dumps(dataclasses.asdict(attempt)) + '\n')
            self._sink.flush()
        if self._connection is not None and self._connection.open:
            self._connection.close()

    def _write(self, number: int) -> bool:
        try:
            if self._connection is None:
                self._connection = pymysql.connect(**self._connect)
            with self._connection.cursor() as cursor:
                cursor.execute(f'INSERT INTO {self._table} (number) VALUES (%s)', (number,))
        except (pymysql.MySQLError, OSError):
            if self._connection is not None and self._connection.open:
                self._connection.close()
            self._connection = None
            return False
        return True


def main(argv: list[str] | None = None) -> int:
    """Write to the database until the process is told to end; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('host', 'user', 'database', 'table', 'output'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--password-file', required=True, type=pathlib.Path)
    parser.add_argument('--port', type=int, default=3306)
    chosen = parser.parse_args(argv)
    connect = {
        'host': chosen.host,
        'port': chosen.port,
        'user': chosen.user,
        'password': chosen.password_file.read_text().strip(),
        'database': chosen.database,
        'autocommit': True,
        # PyMySQL makes a TLS context for each try, 40 ms of a processor that the guest shares.
        'ssl_disabled': True,
        'connect_timeout': CONNECT_SECONDS,
        'read_timeout': TIMEOUT_SECONDS,
        'write_timeout': TIMEOUT_SECONDS,
    }
    with pathlib.Path(chosen.output).open('a') as sink:
        Writer(connect, chosen.table, sink, signals.told()).run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
