# SPDX-License-Identifier: Apache-2.0
"""Parts of the outage that the guest's agent has in its hands, each beside the former way in the
same run: opening for clients, and the fingerprint of a large table.

A real MariaDB of this machine, in a network of its own; its service is a child process, so that a
start costs less here than by the scripts of a guest.
"""

import contextlib
import enum
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import fixtures

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import reading
from trove_upgrade.guestagent.datastores.mysql_family.catalog import Table
from trove_upgrade.guestagent.datastores.mysql_family.datastore import Datastore
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.rows import read
from trove_upgrade.guestagent.machine.commands import SystemCommands
from trove_upgrade.guestagent.machine.packet_filter import Either
from trove_upgrade.tests.functional.host import private_mariadb, private_network

ROWS = 1_000_000
ROUNDS = 5
_SEED = (
    'CREATE DATABASE app',
    'USE app',
    (
        'CREATE TABLE app.words (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(200), amount '
        'DECIMAL(20,4), made DATETIME(3), KEY (word))'
    ),
    (
        "INSERT INTO app.words (word, amount, made) SELECT CONCAT('word ', seq, REPEAT('x', 100)), "
        f'seq / 3, NOW(3) FROM seq_1_to_{ROWS}'
    ),
)


#: Only the server itself knows that it replicates.
_REPLICATES = "CHANGE MASTER 'far' TO MASTER_HOST='127.0.0.1', MASTER_USER='x'"


class _Way(enum.StrEnum):
    """Ways from the isolated start to the opening."""

    FILTER = 'filter'  #: the rules are lifted
    START = 'start'  #: without a filter, known before the isolated start
    WORD = 'word'  #: the server tells after its start that it must not be opened so
    LOST = 'lost'  #: others have removed the rules


@contextlib.contextmanager
def _server() -> Iterator[Any]:
    """Yield the root of a seeded server that has been stopped."""
    with fixtures.Fixture() as holder:
        holder.useFixture(private_network.PrivateNetwork())
        root = holder.useFixture(private_mariadb.Root())
        root.service.start('mariadb')
        root.sql(*_SEED)
        root.service.stop('mariadb')
        yield root


def _driver(root: Any, packets: Either | None) -> Datastore:
    return factory.as_service(
        MariaDB(),
        root.context,
        root.service,
        HostPorts(proc=root.path / 'proc'),
        user=private_mariadb.ACCOUNT.pw_name,
        packets=packets,
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure() -> dict[str, float]:
    """Median seconds of each way, and their ratios."""
    found: dict[str, list[float]] = {}
    packets = Either(SystemCommands())
    with _server() as root:
        for _ in range(ROUNDS):
            _open(_Way.START, root, None, found)
            _open(_Way.FILTER, root, packets, found)
            _open(_Way.LOST, root, packets, found)
        root.service.start('mariadb')
        _fingerprints(root, found)
        root.sql(_REPLICATES)
        root.service.stop('mariadb')
        for _ in range(ROUNDS):
            _open(_Way.WORD, root, packets, found)
    for way in _Way:
        times = zip(found[f'isolated_{way}'], found[f'open_{way}'], strict=True)
        found[f'both_{way}'] = [sum(pair) for pair in times]
    figures = {f'{name}_seconds': statistics.median(times) for name, times in found.items()}
    figures['open_ratio'] = figures['open_start_seconds'] / figures['open_filter_seconds']
    figures['rows_ratio'] = figures['rows_one_seconds'] / figures['rows_two_seconds']
    print(
        f'opening for clients, by another start: {figures["open_start_seconds"]:.2f} s; by lifting '
        f'the rules: {figures["open_filter_seconds"]:.2f} s; ratio {figures["open_ratio"]:.1f}\n'
        f'isolated start, without a network: {figures["isolated_start_seconds"]:.2f} s; behind the '
        f'rules: {figures["isolated_filter_seconds"]:.2f} s\n'
        'isolated start and opening, behind the rules: '
        f'{figures["both_filter_seconds"]:.2f} s; where the configuration forbids it: '
        f'{figures["both_start_seconds"]:.2f} s; where the server tells what forbids it: '
        f'{figures["both_word_seconds"]:.2f} s; where the rules were removed meanwhile: '
        f'{figures["both_lost_seconds"]:.2f} s\n'
        f'{ROWS} rows and their checksum, in one session: {figures["rows_one_seconds"]:.2f} s; '
        f'in two: {figures["rows_two_seconds"]:.2f} s; ratio {figures["rows_ratio"]:.2f}'
    )
    return figures


def _open(way: _Way, root: Any, packets: Either | None, found: dict[str, list[float]]) -> None:
    """Measure the isolated start and the opening, and stop the server."""
    driver = _driver(root, packets)
    found.setdefault(f'isolated_{way}', []).append(_seconds(driver.start_isolated))
    driver.fingerprint(GuestOptions(), lambda _percent, _sentence: None)
    if way is _Way.LOST:
        Either(SystemCommands()).open()
    found.setdefault(f'open_{way}', []).append(_seconds(driver.open_for_clients))
    root.service.stop('trove-upgrade-database')


def _fingerprints(root: Any, found: dict[str, list[float]]) -> None:
    """Measure count and checksum of the table, the pages of which are in memory."""
    table = _table(root)
    with contextlib.closing(root.session()) as first, contextlib.closing(root.session()) as second:
        read(first, table)
        for _ in range(ROUNDS):
            found.setdefault('rows_one', []).append(_seconds(lambda: read(first, table)))
            found.setdefault('rows_two', []).append(_seconds(lambda: read(first, table, second)))


def _table(root: Any) -> Table:
    with contextlib.closing(root.session()) as session:
        (table,) = (
            table
            for table in reading.read(session, MariaDB.dialect).tables
            if table.schema == 'app'
        )
    return table
