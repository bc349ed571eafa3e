# SPDX-License-Identifier: Apache-2.0
"""`upgrade_checks`: preflight reports, asked for by the API and written by a taskmanager."""

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_checks as _checks
from trove_upgrade.db.page import plausible_id
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain import exceptions, instances
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrade_checks import CheckResult, CheckState, CheckTaken, UpgradeCheck

#: States of a report that is still to be made.
_OPEN = (str(CheckState.PENDING), str(CheckState.RUNNING))


class UpgradeChecks:
    """Implements ports.UpgradeCheckRepository, begins checks and shows them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_on_deadlock
    def begin(
        self, checked: instances.Instance, target: instances.DatastoreVersion
    ) -> UpgradeCheck:
        """A PENDING check; nothing else is touched.  One that has not ended yet, of the same
        instance and version, is returned instead.
        """
        check_id = str(uuid.uuid4())
        active = (
            sa.select(_checks)
            .where(
                _checks.c.instance_id == checked.id,
                _checks.c.project_id == checked.project_id,
                _checks.c.target_version_id == target.id,
                _checks.c.state.in_(_OPEN),
            )
            .order_by(_checks.c.created_at)
            .limit(1)
        )
        with self._database.write() as connection:
            known = connection.execute(active).one_or_none()
            if known is not None:
                return _check_from(known)
            connection.execute(
                sa.insert(_checks).values(
                    id=check_id,
                    instance_id=checked.id,
                    project_id=checked.project_id,
                    target_version_id=target.id,
                    state=str(CheckState.PENDING),
                    created_at=columns.now(),
                    updated_at=columns.now(),
                    results=[],
                )
            )
            return _check_from(
                connection.execute(sa.select(_checks).where(_checks.c.id == check_id)).one()
            )

    def get(self, check_id: str, instance_id: str) -> UpgradeCheck:
        """Return a check of this instance.

        :raises UpgradeCheckNotFound: none of that id for that instance.
        """
        row = None
        if plausible_id(check_id):
            query = sa.select(_checks).where(
                _checks.c.id == check_id, _checks.c.instance_id == instance_id
            )
            with self._database.read() as connection:
                row = connection.execute(query).one_or_none()
        if row is None:
            raise exceptions.UpgradeCheckNotFound(check_id=check_id, instance_id=instance_id)
        return _check_from(row)

    def due(self, limit: int) -> Sequence[Turn]:
        """PENDING ones, and RUNNING ones without a lease: the oldest first, and of each
        project one before any other's second.
        """
        place = (
            sa.func.row_number()
            .over(partition_by=_checks.c.project_id, order_by=[_checks.c.created_at])
            .label('place')
        )
        found = (
            sa.select(_checks.c.id, _checks.c.project_id, _checks.c.created_at, place)
            .where(_free())
            .subquery()
        )
        query = sa.select(found).order_by(found.c.place, found.c.created_at).limit(limit)
        with self._database.read() as connection:
            return [Turn(row.id, row.project_id) for row in connection.execute(query)]

    def turn(self, check_id: str) -> Turn | None:
        """Return the turn that a nudge may put in; None: it has ended, or was never there."""
        if not plausible_id(check_id):
            return None
        query = sa.select(_checks.c.id, _checks.c.project_id).where(
            _checks.c.id == check_id, _checks.c.state.in_(_OPEN)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Turn(row.id, row.project_id)

    @retry_on_deadlock
    def claim(self, check_id: str, owner: str, lease_seconds: float) -> UpgradeCheck:
        """Take a free check for `owner`, for `lease_seconds`.

        :raises LeaseLost: another taskmanager has it, or it has ended.
        """
        with self._database.write() as connection:
            taken = connection.execute(
                sa.update(_checks)
                .where(_checks.c.id == check_id, _free())
                .values(
                    state=str(CheckState.RUNNING),
                    owner=owner,
                    lease_until=columns.ahead(lease_seconds),
                    updated_at=columns.now(),
                )
            )
            if not taken.rowcount:
                raise CheckTaken(check_id=check_id)
            return _check_from(
                connection.execute(sa.select(_checks).where(_checks.c.id == check_id)).one()
            )

    @retry_on_deadlock
    def finish(self, check: UpgradeCheck, owner: str) -> None:
        """Write state, results, cause and error_code of a check that `owner` has claimed.

        :raises LeaseLost: another taskmanager has it, or it has ended; nothing was written.
        """
        with self._database.write() as connection:
            finished = connection.execute(
                sa.update(_checks)
                .where(
                    _checks.c.id == check.id,
                    _checks.c.state == str(CheckState.RUNNING),
                    _checks.c.owner == owner,
                )
                .values(
                    state=str(check.state),
                    results=[dataclasses.asdict(result) for result in check.results],
                    cause=columns.fitting(_checks.c.cause, check.cause),
                    error_code=columns.fitting(_checks.c.error_code, check.error_code),
                    owner=None,
                    lease_until=None,
                    updated_at=columns.now(),
                )
            )
            if not finished.rowcount:
                raise CheckTaken(check_id=check.id)


def _free() -> sa.ColumnElement[bool]:
    return sa.or_(
        _checks.c.state == str(CheckState.PENDING),
        sa.and_(_checks.c.state == str(CheckState.RUNNING), _checks.c.lease_until <= columns.now()),
    )


def _check_from(row: sa.Row[Any]) -> UpgradeCheck:
    return UpgradeCheck(
        id=row.id,
        instance_id=row.instance_id,
        project_id=row.project_id,
        target_version_id=row.target_version_id,
        state=CheckState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        error_code=row.error_code,
        cause=row.cause,
        results=tuple(
            CheckResult(
                name=entry['name'],
                outcome=entry['outcome'],
                message=entry['message'],
                code=entry.get('code'),
            )
            for entry in row.results
        ),
    )
