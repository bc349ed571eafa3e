# SPDX-License-Identifier: Apache-2.0
"""Takes our tables out of a database, and nothing else: what Trove, or an operator, has made there
stays as it is.

The version table goes first.  A run that was killed then leaves tables without a version, which no
service and no `db sync` takes for whole; the next removal takes them.
"""

import dataclasses
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from trove_upgrade.db import batches, errors, models, trove_tables
from trove_upgrade.db.migrations import gate, lease, lock_waits
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.migrations.runner import Options
from trove_upgrade.domain import instances
from trove_upgrade.domain.states import ACTIVE, UpgradeState

_upgrades = models.instance_upgrades
_instances = trove_tables.instances
#: What says whether a removal may go on is dropped last.
_LAST = (models.upgrade_services.name, models.instance_upgrades.name)
_ACTIVE = tuple(str(state) for state in sorted(ACTIVE))
#: Ids that a message names; it is one line.
_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Plan of a removal: the tables that go, with their rows, and what forbids it."""

    #: in the order in which they go, with their rows; the lease's own is the last
    tables: tuple[tuple[str, int], ...]
    others: int  #: tables that stay
    obstacles: tuple[str, ...]  #: why it may not be done now
    losses: tuple[str, ...]  #: what is in the rows that an operator may miss


def ours() -> tuple[str, ...]:
    """Names of all tables of ours, in the order in which they go."""
    middle = sorted(set(models.METADATA.tables) - set(_LAST))
    return (MAIN.version_table, *middle, *_LAST, lease.TABLE.name)


def plan(engine: sa.Engine, *, guests_released: bool = False) -> Plan:
    """Look; nothing is changed.

    :param guests_released: the operator has let go the guests of failed upgrades after a reset of
        their status.
    """
    with engine.connect() as connection:
        return _plan(connection, guests_released)


def remove(
    engine: sa.Engine,
    options: Options,
    say: Callable[[str], None],
    *,
    guests_released: bool = False,
) -> Plan:
    """Drop them, under the lease.  May be repeated; returns what was there.

    A run that asks for the lease in the moment in which its table goes ends with SCHEMA_LEASE_LOST,
    and finds an empty database when it is started again.

    :raises RemovalRefused: upgrades are not at their end, or services are listed.  Nothing was
        dropped.
    :raises LeaseHeld, MigrationLeaseLost, SchemaLocked: what was dropped stays dropped.
    """
    found = plan(engine, guests_released=guests_released)
    if not found.tables:
        return found
    held_by = lease.Lease(engine, options.holder, seconds=options.lease_seconds)

    def waiting(holder: str, seconds: float) -> None:
        say(f'{holder} is changing the schema; waiting for it, {seconds:.0f} s at most')

    with held_by.held(wait_seconds=options.wait_seconds, waiting=waiting) as held:
        # under the lease: a service that registered meanwhile is seen
        found = plan(engine, guests_released=guests_released)
        if found.obstacles:
            raise errors.RemovalRefused(found='; '.join(found.obstacles))
        for name, _rows in found.tables:
            if name != lease.TABLE.name:
                held.check()
                _drop(engine, name, options, say)
    with engine.connect() as connection:
        row = lease.read(connection)
    if row is None or row.is_free:
        _drop(engine, lease.TABLE.name, options, say)
    return found


def _plan(connection: sa.Connection, guests_released: bool) -> Plan:
    present = set(sa.inspect(connection).get_table_names())
    tables = tuple((name, _count(connection, name)) for name in ours() if name in present)
    return Plan(
        tables=tables,
        others=len(present) - len(tables),
        obstacles=tuple(_obstacles(connection, present, guests_released)),
        losses=tuple(_losses(connection, present)),
    )


def _count(connection: sa.Connection, name: str) -> int:
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()
    )


def _obstacles(connection: sa.Connection, present: set[str], guests_released: bool) -> list[str]:
    found = []
    if _upgrades.name in present:
        active = _active(connection)
        if active:
            found.append(
                f'upgrades are not at their end: {_named(active)} (let them end: '
                '"trove-upgrade-manage upgrade list")'
            )
        failed = _failed(connection, reset=False) if _instances.name in present else []
        if failed:
            found.append(
                f'the upgrades of these instances have failed and hold them: {_named(failed)} '
                '(retry them, roll them back, or reset the status of the instances in Trove)'
            )
        reset = (
            _failed(connection, reset=True)
            if _instances.name in present and not guests_released
            else []
        )
        if reset:
            found.append(
                'the upgrades of these instances have failed and only their status was reset: '
                f"{_named(reset)} (Trove's own agent is still held back in their guests; retry "
                'them, roll them back, or let it go by hand in each of these guests, as the page '
                'on the removal says, and add --guests-released)'
            )
    services = gate.listed_by(connection) if models.upgrade_services.name in present else []
    if services:
        found.append(
            'services are listed: '
            + '; '.join(f'{one.id} ({one.binary} on {one.host}, {one.state})' for one in services)
            + ' (stop each; one that is gone for certain: "trove-upgrade-manage service forget ID")'
        )
    return found


def _active(connection: sa.Connection) -> Sequence[str]:
    """Upgrades that are not at their end."""
    query = sa.select(_upgrades.c.id).where(_upgrades.c.state.in_(_ACTIVE)).order_by(_upgrades.c.id)
    return connection.execute(query).scalars().all()


def _failed(connection: sa.Connection, *, reset: bool) -> Sequence[str]:
    """Instances that wait for a retry or a rollback, which only our rows can give them; with
    `reset`, those with another task.

    A reset is a word in Trove's row: the guest does not hear of it, and keeps Trove's agent back.
    """
    newer = _upgrades.alias()
    is_newest = ~sa.exists().where(
        newer.c.instance_id == _upgrades.c.instance_id, newer.c.created_at > _upgrades.c.created_at
    )
    query = (
        sa.select(_upgrades.c.instance_id)
        .distinct()
        .where(_upgrades.c.state == str(UpgradeState.FAILED))
    )
    ids = connection.execute(query.where(is_newest) if reset else query).scalars().all()
    found: list[str] = []
    holds = _instances.c.task_id == int(instances.Task.UPGRADING_ERROR)
    # by ids and not by a join: the collations of the two tables may differ
    for batch in batches.of_ids(ids):
        found += (
            connection.execute(
                sa.select(_instances.c.id).where(
                    _instances.c.id.in_(batch),
                    _instances.c.deleted.is_not(True),
                    ~holds if reset else holds,
                )
            )
            .scalars()
            .all()
        )
    return sorted(found)


def _losses(connection: sa.Connection, present: set[str]) -> list[str]:
    found = []
    if _upgrades.name in present:
        count = _count(connection, _upgrades.name)
        if count:
            found.append(f'The history of {count} upgrades goes.')
    keys = models.upgrade_guest_keys
    if keys.name in present and (count := _count(connection, keys.name)):
        found.append(
            f'{count} keys of guests go. A guest that has one hears no taskmanager of a later '
            'installation until it is given another one ("trove-upgrade-manage guest-key mint").'
        )
    outbox = models.upgrade_outbox
    if outbox.name in present:
        count = connection.execute(
            sa.select(sa.func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))
        ).scalar_one()
        if count:
            found.append(
                f'{count} messages have not been sent and will not be: notifications, and the word '
                'to guests that they may remove what they have put aside on their volumes. Let a '
                'taskmanager run until they have gone.'
            )
    return found


def _named(ids: Sequence[str]) -> str:
    more = f' and {len(ids) - _NAMED} more' if len(ids) > _NAMED else ''
    return ', '.join(ids[:_NAMED]) + more


def _drop(engine: sa.Engine, name: str, options: Options, say: Callable[[str], None]) -> None:
    def attempt() -> None:
        with (
            engine.connect() as connection,
            lock_waits.short_lock_waits(connection, options.lock_seconds),
        ):
            connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData()), if_exists=True))
            connection.commit()

    lock_waits.Retry().run(f'Dropping {name}', attempt, rollback=lambda: None, report=say)
    say(f'{name} has been dropped')
