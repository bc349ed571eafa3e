# SPDX-License-Identifier: Apache-2.0
"""Fence of a claim: a row is written under the generation of its holder, or not at all."""

import sqlalchemy as sa

from trove_upgrade.db import rows
from trove_upgrade.domain import exceptions, leases, states
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrades import Upgrade


def write_held(
    connection: sa.Connection, form: rows.Rows, held: Upgrade, values: dict[str, object]
) -> None:
    """Write a row that we hold, or leave the transaction: what it has written before goes with
    it.
    """
    row = form.table.c
    written = connection.execute(
        sa.update(form.table)
        .where(
            row.id == held.id,
            row.generation == held.generation,
            row.state == str(states.UpgradeState.RUNNING),
        )
        .values(**values)
    )
    if not written.rowcount:
        raise _lost(connection, form, held)


def _lost(connection: sa.Connection, form: rows.Rows, held: Upgrade) -> exceptions.LeaseLost:
    """Return the error of a row that is held no more, by what has taken it."""
    found = form.fetch(connection, held.id)
    reasons = {found.error_code, found.progress.direction.error_code}
    is_aborted = Code.ABORTED_ON_REQUEST in reasons
    kind = leases.AbortedMeanwhile if is_aborted else exceptions.LeaseLost
    return kind(upgrade_id=held.id, generation=held.generation)
