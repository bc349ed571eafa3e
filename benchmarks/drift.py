# SPDX-License-Identifier: Apache-2.0
"""Figures of drift over 100,000 instances: all pages of all projects, the page of one project, and
the memory that it takes.

The servers are private ones on Unix sockets, with memory for all rows and without syncs.
"""

import dataclasses
import datetime
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import engine, models, repositories, trove_tables
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.tests.functional.schema import old_rows
from trove_upgrade.tests.unit import database

INSTANCES = 100_000
PROJECTS = 500
SERVERS: dict[str, Callable[[], Any]] = {
    'MariaDB': old_rows.MariaDB,
    'PostgreSQL': old_rows.PostgreSQL,
}
_PAGE = 100
_INSERT = 5000
#: One in so many is on an older image; of one in so many none is known.
_DRIFTED, _UNKNOWN = 10, 25
_CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One way to ask."""

    name: str
    seconds: float
    longest_page_ms: float
    pages: int
    peak_mib: float  #: of Python's own objects, meanwhile

    def line(self, server: str) -> str:
        """For a terminal."""
        return (
            f'{server:12} {self.name:28} {self.seconds:8.2f} s  {self.pages:5} pages  longest '
            f'{self.longest_page_ms:7.0f} ms  {self.peak_mib:6.1f} MiB'
        )


def measure() -> dict[str, list[dict[str, Any]]]:
    """Print a line for each server and way; return the figures for programs."""
    found = {}
    for name, make in SERVERS.items():
        figures = _on(make())
        for figure in figures:
            print(figure.line(name))
        found[name] = [dataclasses.asdict(figure) for figure in figures]
    return found


def _on(server: Any) -> list[Figure]:
    server.setUp()
    try:
        made = engine.Database.from_url(server.create())
        Runner(made.engine).sync(standalone=True)
        _fill(made)
        drift = repositories.Repositories.of(made).drift
        projects = _timed(
            'figures of all projects', lambda at: drift.projects(None, limit=_PAGE, marker=at)
        )
        one = _timed(
            'instances of one project',
            lambda at: drift.instances(None, _project(0), limit=_PAGE, marker=at),
        )
        made.dispose()
        return [projects, one]
    finally:
        server.cleanUp()


def _timed(name: str, ask: Callable[[str | None], Any]) -> Figure:
    """Ask for all pages twice: for their time, then for their memory, whose watch slows them."""
    began, longest, pages = time.perf_counter(), 0.0, 0
    for seconds in _pages(ask):
        longest, pages = max(longest, seconds), pages + 1
    whole = time.perf_counter() - began
    tracemalloc.start()
    for _ in _pages(ask):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Figure(name, whole, longest * 1000, pages, peak / 2**20)


def _pages(ask: Callable[[str | None], Any]) -> Iterator[float]:
    marker = None
    while True:
        began = time.perf_counter()
        page = ask(marker)
        yield time.perf_counter() - began
        marker = page.next_marker
        if marker is None:
            return


def _project(number: int) -> str:
    return f'{number:032x}'


def _fill(made: engine.Database) -> None:
    """Rows as Trove and this service have them: one of ours for each instance."""
    with made.write() as connection:
        connection.execute(
            sa.insert(trove_tables.datastores).values(id=database.MARIADB, name='mariadb')
        )
        connection.execute(
            sa.insert(trove_tables.datastore_versions).values(
                id=database.MARIADB_11_8,
                datastore_id=database.MARIADB,
                name='11.8.6',
                version='11.8.6',
                manager='mariadb',
                image_id=database.IMAGE_11_8,
                packages='',
                active=True,
                registry_ext='',
                repl_strategy='',
            )
        )
    for first in range(0, INSTANCES, _INSERT):
        numbers = range(first, first + _INSERT)
        ids = {number: str(uuid.uuid4()) for number in numbers}
        with made.write() as connection:
            connection.execute(
                sa.insert(trove_tables.instances),
                [_instance(number, ids[number]) for number in numbers],
            )
            connection.execute(
                sa.insert(models.upgrade_guests),
                [
                    {'instance_id': ids[number], 'image_id': _image(number)}
                    for number in numbers
                    if number % _UNKNOWN
                ],
            )


def _instance(number: int, instance_id: str) -> dict[str, Any]:
    return {
        'id': instance_id,
        'name': f'db{number}',
        'tenant_id': _project(number % PROJECTS),
        'compute_instance_id': str(uuid.uuid4()),
        'datastore_version_id': database.MARIADB_11_8,
        'task_id': 1,
        'created': _CREATED,
        'updated': _CREATED,
        'deleted': False,
    }


def _image(number: int) -> str:
    return database.IMAGE_10_11 if number % _DRIFTED == 1 else database.IMAGE_11_8
