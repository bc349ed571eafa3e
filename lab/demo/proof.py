# SPDX-License-Identifier: Apache-2.0
"""Facts before and facts after, compared with the promises to a customer.

Nothing here asks the product: the database is asked by its own client in the guest, Nova by its
API.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from trove_upgrade import terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceSnapshot:
    """The instance at one moment."""

    server_version: str
    image: str
    boot_id: str
    agent_version: str
    operating_system: str
    name: str
    address: str
    #: one line per granted privilege of each user, 'user@host: PRIVILEGE ON …'
    grants: frozenset[str]
    users: frozenset[str]
    #: 'schema.table' -> rows, checksum; without the table being written to
    tables: Mapping[str, tuple[int, str]]
    settings: Mapping[str, str]  #: the custom settings of my.cnf, as the server has them in force


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table."""

    what: str
    before: str
    after: str
    holds: bool


@dataclasses.dataclass(frozen=True)
class Writes:
    """Findings of the application: its downtime, and its writes."""

    downtime_seconds: float
    acknowledged: int
    lost: int


def lines(
    before: InstanceSnapshot,
    after: InstanceSnapshot,
    target_version: str,
    writes: Writes,
    *,
    serves_after_reboot: bool | None,
) -> list[Line]:
    """The proof, line by line; `serves_after_reboot` is None where it was not rebooted."""
    return [
        *_server(before, after, target_version),
        Line(what='name', before=before.name, after=after.name, holds=before.name == after.name),
        Line(
            what='address',
            before=before.address,
            after=after.address,
            holds=before.address == after.address,
        ),
        _nothing_missing('users', before.users, after.users),
        _nothing_missing('grants', before.grants, after.grants),
        _rows(before, after),
        _checksums(before, after),
        *_settings(before, after),
        *_service(writes, serves_after_reboot=serves_after_reboot),
    ]


def _server(
    before: InstanceSnapshot, after: InstanceSnapshot, target_version: str
) -> Sequence[Line]:
    """The parts that an upgrade changes."""
    return (
        Line(
            what='server version',
            before=before.server_version,
            after=after.server_version,
            holds=after.server_version.startswith(target_version),
        ),
        Line(
            what='image',
            before=before.image,
            after=after.image,
            holds=before.image != after.image,
        ),
        Line(
            what='boot id',
            before=before.boot_id[:13],
            after=after.boot_id[:13],
            holds=before.boot_id != after.boot_id,
        ),
        Line(
            what='agent version',
            before=before.agent_version,
            after=after.agent_version,
            holds=bool(after.agent_version),
        ),
        Line(
            what='operating system',
            before=before.operating_system,
            after=after.operating_system,
            holds=bool(after.operating_system),
        ),
    )


def _settings(before: InstanceSnapshot, after: InstanceSnapshot) -> Sequence[Line]:
    return [
        Line(
            what=f'my.cnf {name}',
            before=value,
            after=after.settings.get(name, 'absent'),
            holds=after.settings.get(name) == value,
        )
        for name, value in sorted(before.settings.items())
    ]


def _service(writes: Writes, *, serves_after_reboot: bool | None) -> Sequence[Line]:
    rebooted = Line(
        what='plain reboot',
        before='',
        after='serves again' if serves_after_reboot else 'DOES NOT SERVE',
        holds=bool(serves_after_reboot),
    )
    return (
        Line(
            what='acknowledged rows',
            before=str(writes.acknowledged),
            after=f'{writes.lost} lost',
            holds=writes.lost == 0 and writes.acknowledged > 0,
        ),
        Line(
            what='client downtime',
            before='',
            after=f'{writes.downtime_seconds:.1f} s',
            holds=writes.downtime_seconds > 0,
        ),
        *(() if serves_after_reboot is None else (rebooted,)),
    )


def _nothing_missing(what: str, before: frozenset[str], after: frozenset[str]) -> Line:
    missing = sorted(before - after)
    found = f'{len(after)}, none missing' if not missing else f'missing: {", ".join(missing)}'
    return Line(what=what, before=str(len(before)), after=found, holds=not missing and bool(before))


def _rows(before: InstanceSnapshot, after: InstanceSnapshot) -> Line:
    first, second = (
        sum(rows for rows, _ in snapshot.tables.values()) for snapshot in (before, after)
    )
    same = {table: rows for table, (rows, _) in before.tables.items()} == {
        table: rows for table, (rows, _) in after.tables.items()
    }
    return Line(
        what='rows',
        before=f'{first} in {len(before.tables)} tables',
        after=f'{second} in {len(after.tables)} tables',
        holds=same and first > 0,
    )


def _checksums(before: InstanceSnapshot, after: InstanceSnapshot) -> Line:
    changed = sorted(
        table for table, found in before.tables.items() if after.tables.get(table) != found
    )
    return Line(
        what='table checksums',
        before=f'{len(before.tables)} tables',
        after=f'changed: {", ".join(changed)}' if changed else 'all unchanged',
        holds=not changed,
    )


def render(table: Sequence[Line]) -> str:
    """The table for a terminal."""
    rows = [('', 'before', 'after', '')] + [
        (line.what, line.before, line.after, 'ok' if line.holds else 'FAILED') for line in table
    ]
    shown = [[terminal.printable(cell) for cell in row] for row in rows]  # guests' text, in part
    widths = [max(len(row[column]) for row in shown) for column in range(4)]
    drawn = [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    rule = '-' * (sum(widths) + 6)
    return '\n'.join([rule, drawn[0], rule, *drawn[1:], rule])
