# SPDX-License-Identifier: Apache-2.0
"""Runs the customer's application (writer.py) in the guests' network for as long as something is
looked at.
"""

import contextlib
import dataclasses
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Protocol

from lab import errors
from lab.demo import writer
from lab.servers import Networks
from trove_upgrade.waiting import wait_until

SETTLE_WRITES = 20  #: writes that must have succeeded before and after what is looked at
SERVES_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Database:
    """The place where the application writes, and the user that it writes as.  `table` has a column
    `number`.
    """

    instance_id: str
    entry: tuple[str, ...]  #: the beginning of a command that runs inside the client's network
    address: str
    user: str
    password: str
    database: str
    table: str


class Placed(Protocol):
    """An instance, as far as a client has to know where it is."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def network_id(self) -> str:
        """The network in which clients reach it."""

    @property
    def address(self) -> str:
        """Its address there."""


def database_of(
    instance: Placed, fabric: Networks, user: str, password: str, table: str
) -> Database:
    """Return the database of an instance as the customer's application reaches it; `table` with the
    name of its database before it.
    """
    database, name = table.split('.')
    return Database(
        instance_id=instance.id,
        entry=fabric.entry(instance.network_id),
        address=instance.address,
        user=user,
        password=password,
        database=database,
        table=name,
    )


@contextlib.contextmanager
def writing(target: Database, directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """A client writes a row every 50 ms for as long as the context lasts; the file of its attempts.

    :raises NotReady: it could not write at first.
    """
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / f'{target.instance_id}.writes'
    password = directory / f'{target.instance_id}.password'
    password.touch(mode=0o600)
    password.write_text(target.password)
    child = subprocess.Popen(
        [
            *target.entry,
            sys.executable,
            '-m',
            'lab.demo.writer',
            '--host',
            target.address,
            '--user',
            target.user,
            '--password-file',
            str(password),
            '--database',
            target.database,
            '--table',
            target.table,
            '--output',
            str(output),
        ],
        start_new_session=True,
    )
    try:
        wait_for_writes(output, SETTLE_WRITES)
        yield output
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


def wait_for_writes(path: pathlib.Path, count: int) -> None:
    """Wait until the last `count` writes have all succeeded.

    :raises NotReady: they did not, in time.
    """
    start = len(writer.read(path)) if path.exists() else 0

    def written() -> bool:
        attempts = writer.read(path)[start:] if path.exists() else []
        return len(attempts) >= count and all(attempt.ok for attempt in attempts[-count:])

    if not wait_until(written, SERVES_SECONDS, interval_seconds=0.2):
        raise errors.NotReady(
            f'The application could not write to the database within {SERVES_SECONDS:.0f} s; see '
            f'{path}.'
        )
