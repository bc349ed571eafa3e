# SPDX-License-Identifier: Apache-2.0
"""Continuation of an upgrade that has FAILED: its retry, and its rollback."""

import sqlalchemy as sa

from trove_upgrade.db import columns, outbox, rows, tasks
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import exceptions, states, upgrade

_S = states.UpgradeState


def retry(connection: sa.Connection, form: rows.Rows, upgrade_id: str) -> upgrade.Upgrade:
    """As `Upgrades.retry`, in a transaction of the caller's.

    :raises UpgradeNotFound, RetryRefused, InstanceChanged: as there.
    """
    failed = form.fetch(connection, upgrade_id)
    if failed.state is not _S.FAILED:
        raise _retry_refused(failed)
    if failed.is_rolling_back and failed.may_have_served_again:
        raise exceptions.RetryLeadsBack(upgrade_id=failed.id)
    again = _continue(
        connection,
        form,
        failed,
        failed.turned_forward() if failed.is_rolling_back else failed,
    )
    if again is None:
        raise _retry_refused(form.fetch(connection, upgrade_id))
    return again


def rollback(connection: sa.Connection, form: rows.Rows, upgrade_id: str) -> upgrade.Upgrade:
    """As `Upgrades.rollback`, in a transaction of the caller's.

    :raises UpgradeNotFound, RollbackRefused, InstanceChanged: as there.
    """
    failed = form.fetch(connection, upgrade_id)
    if failed.state is not _S.FAILED:
        raise _rollback_refused(failed)
    found = failed.why_no_rollback()
    if found is not None:
        advice = f'Mend the cause and retry it: trove-upgrade-manage upgrade retry {failed.id}'
        raise exceptions.RollbackRefused(upgrade_id=failed.id, found=found, advice=advice)
    back = failed if failed.is_rolling_back else failed.turned_back(failed.cause, failed.error_code)
    again = _continue(connection, form, failed, back)
    if again is None:
        raise _rollback_refused(form.fetch(connection, upgrade_id))
    return again


def _continue(
    connection: sa.Connection, form: rows.Rows, failed: upgrade.Upgrade, onward: upgrade.Upgrade
) -> upgrade.Upgrade | None:
    """FAILED -> RUNNING as `onward` says, for the next attempt, with its 'start' event; None:
    another operator was quicker.

    :raises InstanceChanged: the instance's task is not UPGRADING_ERROR, nor one that may be taken
        again.
    """
    if not tasks.take_again(connection, failed):
        raise tasks.changed(connection, failed, 'UPGRADING_ERROR')
    moved = connection.execute(
        sa.update(_upgrades)
        .where(
            _upgrades.c.id == failed.id,
            _upgrades.c.state == str(_S.FAILED),
            _upgrades.c.attempt == failed.attempt,
        )
        .values(**form.writable(_onward(failed, onward)))
    )
    if not moved.rowcount:
        return None
    again = form.written(connection, failed.id)
    outbox.write(connection, 'start', again)
    return again


def _onward(failed: upgrade.Upgrade, onward: upgrade.Upgrade) -> dict[str, object]:
    return {
        'state': str(_S.RUNNING),
        'attempt': failed.attempt + 1,
        'active_instance_id': failed.instance_id,
        'cause': None,
        'error_code': None,
        'ended_at': None,
        'step_deadline': None,
        'stalls': 0,
        'owner': None,
        'lease_until': None,
        'step': str(onward.step),
        'data': dict(onward.data),
        'next_run_at': columns.now(),
        'updated_at': columns.now(),
    }


def _retry_refused(found: upgrade.Upgrade) -> exceptions.RetryRefused:
    advice = _ADVICE.get(found.state, 'Begin a new one with "trove upgrade".')
    return exceptions.RetryRefused(upgrade_id=found.id, state=found.state, advice=advice)


def _rollback_refused(found: upgrade.Upgrade) -> exceptions.RollbackRefused:
    return exceptions.RollbackRefused(
        upgrade_id=found.id,
        found=f'it is {found.state}, and only a FAILED one can',
        advice=_ADVICE.get(found.state, 'The former version serves: there is nothing left to do.'),
    )


_ADVICE = {
    _S.PENDING: 'It has not begun yet: wait.',
    _S.RUNNING: 'It goes on by itself: wait.',
    _S.COMPLETED: 'There is nothing left to do.',
}
