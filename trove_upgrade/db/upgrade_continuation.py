# SPDX-License-Identifier: Apache-2.0
"""Continuation of an upgrade that has FAILED: its retry, and its rollback."""

import sqlalchemy as sa

from trove_upgrade.db import columns, outbox, progress_codec, rows, tasks
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import admission, states
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState


def retry(connection: sa.Connection, form: rows.Rows, upgrade_id: str) -> Upgrade:
    """Try again as `Upgrades.retry` does, in a transaction of the caller's.

    :raises UpgradeNotFound, RetryRefused, InstanceChanged: as there.
    """
    failed = form.fetch(connection, upgrade_id)
    again = _continue(connection, form, failed, admission.retried(failed))
    if again is None:
        raise admission.retry_refused(form.fetch(connection, upgrade_id))
    return again


def rollback(connection: sa.Connection, form: rows.Rows, upgrade_id: str) -> Upgrade:
    """Roll back as `Upgrades.rollback` does, in a transaction of the caller's.

    :raises UpgradeNotFound, RollbackRefused, InstanceChanged: as there.
    """
    failed = form.fetch(connection, upgrade_id)
    again = _continue(connection, form, failed, admission.rolled_back(failed))
    if again is None:
        raise admission.rollback_refused(form.fetch(connection, upgrade_id))
    return again


def _continue(
    connection: sa.Connection, form: rows.Rows, failed: Upgrade, onward: Upgrade
) -> Upgrade | None:
    """FAILED -> RUNNING as `onward` says, for the next attempt, with its 'start' event; None:
    another operator was quicker.

    :raises InstanceChanged: the instance's task is not UPGRADING_ERROR, nor one that may be taken
        again.
    """
    if not tasks.take_again(connection, failed):
        raise tasks.why_not_again(connection, failed) or tasks.changed(
            connection, failed, 'UPGRADING_ERROR'
        )
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
    outbox.write(connection, EventKind.START, again)
    return again


def _onward(failed: Upgrade, onward: Upgrade) -> dict[str, object]:
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
        'data': progress_codec.encode(onward.progress),
        'next_run_at': columns.now(),
        'updated_at': columns.now(),
    }
