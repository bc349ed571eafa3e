# SPDX-License-Identifier: Apache-2.0
"""Trove's `backups`, read and never written."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.db.engine import Database
from trove_upgrade.db.page import plausible_id
from trove_upgrade.db.repetition import repeat_on_new_columns
from trove_upgrade.domain import backups

_backups = trove_tables.backups
#: Source: trove/backup/state.py, BackupState.COMPLETED.
_COMPLETED = 'COMPLETED'
_COLUMNS = (
    _backups.c.id,
    _backups.c.tenant_id,
    _backups.c.instance_id,
    _backups.c.datastore_version_id,
    _backups.c.parent_id,
    _backups.c.created,
)
#: Of later releases of Trove alone (7ee6154548a6).
_STORAGE_DRIVER = 'storage_driver'
#: Longer chains do not occur, and rows can name one another in a circle.
_LONGEST_CHAIN = 1000


class Backups:
    """Finds the parents of incremental backups as Trove does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeat_on_new_columns
    def get(self, backup_id: str) -> backups.Backup | None:
        """Return a backup of any project and state; None: there is none, or it was deleted."""
        with self._database.read() as connection:
            return self._fetch(connection, backup_id, deleted=False)

    @repeat_on_new_columns
    def last_completed(self, instance_id: str, project_id: str | None) -> backups.Backup | None:
        """The one that Trove takes for the parent where a request names none; `project_id` None: of
        every project, as for admins.

        Source: trove/backup/models.py, Backup.get_last_completed (Trove 26).
        """
        conditions = [
            _backups.c.instance_id == instance_id,
            _backups.c.state == _COMPLETED,
            _backups.c.deleted.is_not(True),
        ]
        if project_id is not None:
            conditions.append(_backups.c.tenant_id == project_id)
        with self._database.read() as connection:
            query = (
                self._select(connection)
                .where(*conditions)
                .order_by(_backups.c.updated.desc())
                .limit(1)
            )
            row = connection.execute(query).one_or_none()
        return None if row is None else _backup_from(row)

    @repeat_on_new_columns
    def chain(self, parent: backups.Backup) -> Sequence[backups.Backup]:
        """`parent` and what it builds on, down to a full backup; deleted ones too, as others
        need their files.
        """
        found = {parent.id: parent}
        last = parent
        with self._database.read() as connection:
            while last.parent_id and last.parent_id not in found and len(found) < _LONGEST_CHAIN:
                below = self._fetch(connection, last.parent_id, deleted=None)
                if below is None:
                    break
                found[below.id] = last = below
        return tuple(found.values())

    def _fetch(
        self, connection: sa.Connection, backup_id: str, *, deleted: bool | None
    ) -> backups.Backup | None:
        if not plausible_id(backup_id):
            return None
        query = self._select(connection).where(_backups.c.id == backup_id)
        if deleted is False:
            query = query.where(_backups.c.deleted.is_not(True))
        row = connection.execute(query).one_or_none()
        return None if row is None else _backup_from(row)

    def _select(self, connection: sa.Connection) -> sa.Select[Any]:
        named = _STORAGE_DRIVER in self._database.columns(connection, _backups.name)
        return sa.select(
            *_COLUMNS, _backups.c.storage_driver if named else sa.null().label(_STORAGE_DRIVER)
        )


def _backup_from(row: sa.Row[Any]) -> backups.Backup:
    return backups.Backup(
        id=row.id,
        project_id=row.tenant_id,
        instance_id=row.instance_id,
        datastore_version_id=row.datastore_version_id,
        parent_id=row.parent_id,
        created_at=row.created,
        storage_driver=row.storage_driver,
    )
