# SPDX-License-Identifier: Apache-2.0
"""The instance's task by compare-and-set, inside a transaction of the caller's, and the fault that
goes with it.
"""

import uuid
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns, taken_instances, trove_tables
from trove_upgrade.db.instance_rows import running_backup, task_of
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import admission, exceptions, instances, refusals, states
from trove_upgrade.domain.upgrades import Upgrade

_instances = trove_tables.instances
_faults = trove_tables.instance_faults
_LONGEST_FAULT = 255

_DESCRIPTIONS = {  # Source: trove/instance/tasks.py (Trove 26)
    instances.Task.NONE: 'No tasks for the instance.',
    instances.Task.UPGRADING: 'Upgrading the instance.',
    instances.Task.UPGRADING_ERROR: 'Upgrading Cluster Error.',
}


def _move(former: instances.Task, task: instances.Task) -> sa.Update:
    return (
        sa.update(_instances)
        .where(_instances.c.task_id == int(former))
        .values(
            task_id=int(task),
            task_description=_DESCRIPTIONS[task],
            task_start_time=columns.now(),
            updated=columns.now(),
        )
    )


#: Built once: the one that every PATCH runs.
_TAKE = _move(instances.Task.NONE, instances.Task.UPGRADING).where(
    _instances.c.id == sa.bindparam('taken_id'),
    _instances.c.deleted.is_not(True),
    _instances.c.datastore_version_id == sa.bindparam('read_version_id'),
    _instances.c.compute_instance_id == sa.bindparam('read_server_id'),
)


def take(connection: sa.Connection, target: instances.Instance) -> bool:
    """Move the instance's task from NONE to UPGRADING, if the instance still is what was read."""
    return bool(
        connection.execute(
            _TAKE,
            {
                'taken_id': target.id,
                'read_version_id': target.version.id,
                'read_server_id': target.server_id,
            },
        ).rowcount
    )


def take_again(connection: sa.Connection, failed: Upgrade) -> bool:
    """UPGRADING_ERROR -> UPGRADING; the fault of the attempt that failed goes.

    From NONE, too, where `admission.may_continue_untasked` allows it.
    """
    taken = _set(
        connection, failed.instance_id, instances.Task.UPGRADING_ERROR, instances.Task.UPGRADING
    ) or (
        admission.may_continue_untasked(
            failed, taken_instances.latest(connection, failed.instance_id)
        )
        and bool(
            connection.execute(
                _move(instances.Task.NONE, instances.Task.UPGRADING).where(*_is_as_begun(failed))
            ).rowcount
        )
    )
    if taken:
        connection.execute(sa.delete(_faults).where(_faults.c.id == _fault_id(failed)))
    return taken


def lock(connection: sa.Connection, instance_id: str) -> None:
    """Write the instance's row as it is: what writes it and an upgrade's waits until this
    transaction has ended, whichever of the two it begins with.
    """
    connection.execute(
        sa.update(_instances)
        .where(_instances.c.id == instance_id)
        .values(task_id=_instances.c.task_id)
    )


def take_held(connection: sa.Connection, held: Upgrade) -> None:
    """Take the task of the instance of an upgrade that is HELD: NONE -> UPGRADING.

    :raises InstanceBusy: another action has the instance, or a backup of it runs.
    :raises HeldInstanceChanged, HeldInstanceDeleted: it is not what the upgrade began with.
    """
    taken = connection.execute(
        _move(instances.Task.NONE, instances.Task.UPGRADING).where(
            *_is_as_begun(held), _instances.c.compute_instance_id == held.server_id
        )
    ).rowcount
    if not taken:
        # the other action may have ended since: it was busy then
        raise why_not_held(connection, held) or _busy(held, instances.Task.NONE)
    if _has_backup(connection, held):
        raise exceptions.InstanceBusy(instance_id=held.instance_id, status='BACKUP')


def why_not_held(connection: sa.Connection, held: Upgrade) -> exceptions.TroveUpgradeError | None:
    """Return what `take_held` would raise; None: nothing stands in the way just now."""
    row = connection.execute(_as_it_is(held)).one_or_none()
    ended = _end_of_hold(row, held)
    if row is None or ended is not None:
        return ended
    task = task_of(row.task_id)
    if task is not instances.Task.NONE:
        return _busy(held, task)
    if _has_backup(connection, held):
        return exceptions.InstanceBusy(instance_id=held.instance_id, status='BACKUP')
    return None


def _end_of_hold(row: sa.Row[Any] | None, held: Upgrade) -> exceptions.InstanceChanged | None:
    """Return why the upgrade never proceeds; None: it may."""
    facts = {'upgrade_id': held.id, 'instance_id': held.instance_id}
    if row is None or row.deleted:
        return refusals.HeldInstanceDeleted(found='was deleted', **facts)
    if task_of(row.task_id) is instances.Task.DELETING:
        return refusals.HeldInstanceDeleted(found='is being deleted', **facts)
    if row.datastore_version_id != held.former_version_id:
        found = f'another datastore version ({row.datastore_version_id})'
        return refusals.HeldInstanceChanged(found=found, **facts)
    if row.compute_instance_id != held.server_id:
        return refusals.HeldInstanceChanged(found='another server', **facts)
    return None


def why_not_again(
    connection: sa.Connection, failed: Upgrade
) -> exceptions.TroveUpgradeError | None:
    """Return why `take_again` would not take the instance; None: nothing stands in the way."""
    row = connection.execute(_as_it_is(failed)).one_or_none()
    task = None if row is None else task_of(row.task_id)
    if task is instances.Task.UPGRADING_ERROR:
        return None
    if row is None or row.deleted:
        return refusals.FailedInstanceDeleted(upgrade_id=failed.id, instance_id=failed.instance_id)
    is_free = task is instances.Task.NONE and row.datastore_version_id == failed.former_version_id
    latest = taken_instances.latest(connection, failed.instance_id)
    if is_free and admission.may_continue_untasked(failed, latest):
        return None
    return changed(connection, failed, 'UPGRADING_ERROR')


def _as_it_is(upgrade: Upgrade) -> sa.Select[Any]:
    return sa.select(
        _instances.c.task_id,
        _instances.c.deleted,
        _instances.c.datastore_version_id,
        _instances.c.compute_instance_id,
    ).where(_instances.c.id == upgrade.instance_id)


def _busy(held: Upgrade, task: instances.Task) -> exceptions.InstanceBusy:
    return exceptions.InstanceBusy(instance_id=held.instance_id, status=admission.status_of(task))


def _has_backup(connection: sa.Connection, held: Upgrade) -> bool:
    return bool(connection.execute(sa.select(running_backup(held.instance_id))).scalar_one())


def newest(connection: sa.Connection, instance_id: str) -> admission.NewestUpgrade | None:
    """The upgrade of an instance that began last."""
    row = connection.execute(
        sa.select(
            _upgrades.c.id, _upgrades.c.state, _upgrades.c.error_code, _upgrades.c.target_number
        )
        .where(_upgrades.c.instance_id == instance_id)
        .order_by(_upgrades.c.created_at.desc(), _upgrades.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return admission.NewestUpgrade(
        id=row.id,
        state=states.UpgradeState(row.state),
        error_code=row.error_code,
        target_number=row.target_number,
    )


def release(
    connection: sa.Connection,
    held: Upgrade,
    state: states.UpgradeState,
    *,
    former: instances.Task = instances.Task.UPGRADING,
) -> bool:
    """UPGRADING -> NONE, or UPGRADING_ERROR for FAILED; the version moves with COMPLETED alone.

    Where it is another version than the upgrade began with, or the row has been deleted, the task
    is not ours: Trove's own upgrade sets the same one.  `former` NONE: the task was reset while we
    worked, and is no action's.
    """
    task = (
        instances.Task.UPGRADING_ERROR
        if state is states.UpgradeState.FAILED
        else instances.Task.NONE
    )
    version = (
        {'datastore_version_id': held.target_version_id}
        if state is states.UpgradeState.COMPLETED
        else {}
    )
    return bool(
        connection.execute(
            _move(former, task).where(*_is_as_begun(held)).values(**version)
        ).rowcount
    )


def record_version(connection: sa.Connection, held: Upgrade) -> bool:
    """The version that serves, under a task that is another action's and stays: with the former one
    Trove would start the former image on upgraded data at its next occasion.  Not where the
    instance is being deleted.
    """
    return bool(
        connection.execute(
            sa.update(_instances)
            .where(*_is_as_begun(held), _instances.c.task_id != int(instances.Task.DELETING))
            .values(datastore_version_id=held.target_version_id, updated=columns.now())
        ).rowcount
    )


def _is_as_begun(held: Upgrade) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _instances.c.id == held.instance_id,
        _instances.c.deleted.is_not(True),
        _instances.c.datastore_version_id == held.former_version_id,
    )


def write_fault(connection: sa.Connection, ended: Upgrade) -> None:
    """Write why the instance is in ERROR. Its id follows from upgrade and attempt, so that the
    retry finds it.

    One row for each instance, as Trove keeps them: it shows the first that it finds, deleted ones
    too. Source: trove/instance/models.py, SimpleInstance.fault and save_instance_fault (Trove 26).
    """
    message = ended.cause or 'The upgrade has failed.'
    if len(message) > _LONGEST_FAULT:
        message = f'{message[: _LONGEST_FAULT - 3]}...'
    details = (
        f'upgrade {ended.id}, attempt {ended.attempt}, step {ended.step}, code '
        f'{ended.error_code}\n{ended.cause}'
    )
    connection.execute(sa.delete(_faults).where(_faults.c.instance_id == ended.instance_id))
    connection.execute(
        sa.insert(_faults).values(
            id=_fault_id(ended),
            instance_id=ended.instance_id,
            message=message,
            details=columns.fitting(_faults.c.details, details),
            created=columns.now(),
            updated=columns.now(),
            deleted=False,
        )
    )


def refusal(connection: sa.Connection, target: instances.Instance) -> exceptions.TroveUpgradeError:
    """Tell, as an error to raise, why `take` could not."""
    return admission.refusal(
        target, _found(connection, target.id), taken_instances.latest(connection, target.id)
    )


def _found(connection: sa.Connection, instance_id: str) -> admission.FoundInstance | None:
    row = connection.execute(
        sa.select(
            _instances.c.task_id, _instances.c.deleted, _instances.c.compute_instance_id
        ).where(_instances.c.id == instance_id)
    ).one_or_none()
    if row is None or row.deleted:
        return None
    failed = connection.execute(
        sa.select(_upgrades.c.id, _upgrades.c.error_code)
        .where(
            _upgrades.c.instance_id == instance_id,
            _upgrades.c.state == str(states.UpgradeState.FAILED),
        )
        .order_by(_upgrades.c.created_at.desc())
        .limit(1)
    ).one_or_none()
    return admission.FoundInstance(
        task=task_of(row.task_id),
        has_server=row.compute_instance_id is not None,
        newest=newest(connection, instance_id),
        failed_upgrade_id=failed.id if failed else None,
        failed_upgrade_code=failed.error_code if failed else None,
    )


def changed(
    connection: sa.Connection, held: Upgrade, expected: str = 'UPGRADING'
) -> exceptions.InstanceChanged:
    """Another action has moved the task, upgraded the instance or deleted it."""
    row = connection.execute(
        sa.select(
            _instances.c.task_id, _instances.c.deleted, _instances.c.datastore_version_id
        ).where(_instances.c.id == held.instance_id)
    ).one_or_none()
    if row is None or row.deleted:
        return exceptions.InstanceDeleted(upgrade_id=held.id, instance_id=held.instance_id)
    found = task_of(row.task_id).name
    if found == expected:
        found = f'{found} of another action, to version {row.datastore_version_id}'
    return exceptions.InstanceChanged(
        upgrade_id=held.id,
        instance_id=held.instance_id,
        task=found,
        expected=expected,
    )


def _fault_id(about: Upgrade) -> str:
    return str(uuid.uuid5(uuid.UUID(about.id), f'attempt {about.attempt}'))


def _set(
    connection: sa.Connection,
    instance_id: str,
    former: instances.Task,
    task: instances.Task,
    **values: object,
) -> bool:
    return bool(
        connection.execute(
            _move(former, task).where(_instances.c.id == instance_id).values(**values)
        ).rowcount
    )
