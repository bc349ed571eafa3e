# SPDX-License-Identifier: Apache-2.0
"""Rows of `instance_upgrades` as the domain's dataclass, and back, in the form that the database
has.

Until borealis_contract01 the history of steps is in the JSON column `steps`: services of release
aurora know nothing else. It is what is read.  Our writes keep the rows of `instance_upgrade_steps`
the same, and say so by `steps_at`: equal to `updated_at` where the rows are those of the column;
aurora changes `updated_at` alone.  After the contract there are the rows. Columns that this
release's own expand adds may be missing in either form (`arrivals`).
"""

import dataclasses
import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from trove_upgrade.db import arrivals, columns, errors, models, progress_codec, steps
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.upgrades import StepRun, Upgrade

#: Fields that are columns of their name; the progress is in the column `data`.
_LISTED = tuple(
    field.name
    for field in dataclasses.fields(Upgrade)
    if field.name not in {'steps', 'progress', 'stored_steps'}
)
#: What a list does not read: the data of one row can be longer than all that is shown of a page.
_FIELDS = (*_LISTED, 'data')
_STEP_RUN_FIELDS = frozenset(field.name for field in dataclasses.fields(StepRun))


class Rows:
    """Form of the rows after the contract: the history is in instance_upgrade_steps alone."""

    table = _upgrades  #: what an UPDATE with `journal_of` names

    def __init__(self, absent: frozenset[str]) -> None:
        """Build once what every PATCH and GET runs. `absent`: columns that the expand of this
        release is still to add.
        """
        self._absent = absent
        self._select = sa.select(*map(self.column, _FIELDS), *self._more())
        self._select_listed = sa.select(*map(self.column, _LISTED), *self._more())
        self._fetch = self._select.where(_upgrades.c.id == sa.bindparam('upgrade_id'))
        self._insert = sa.insert(self.table)

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """Return a column for a SELECT, also where the expand is still to add it."""
        return arrivals.readable(_upgrades.c[name], self._absent)

    def writable(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that the table has a column for."""
        return arrivals.writable(values, self._absent)

    def _more(self) -> tuple[sa.ColumnElement[Any], ...]:
        """Return what is read besides."""
        return ()

    def begin(self, connection: sa.Connection, begun: Upgrade) -> None:
        """A row that has no steps yet."""
        fields = {name: getattr(begun, name) for name in _LISTED}
        connection.execute(
            self._insert,
            self.writable(
                {
                    **fields,
                    'state': str(begun.state),
                    'step': str(begun.step),
                    'data': progress_codec.encode(begun.progress),
                    'active_instance_id': begun.instance_id,
                    **self._no_steps(begun),
                }
            ),
        )

    def _no_steps(self, begun: Upgrade) -> dict[str, Any]:  # noqa: ARG002 - the other form needs it
        return {}

    def page(
        self,
        connection: sa.Connection,
        conditions: Sequence[sa.ColumnElement[bool]],
        limit: int,
        order: Sequence[sa.ColumnElement[Any]],
    ) -> list[Upgrade]:
        """Read the first `limit` of those that fulfil the conditions (on columns of
        models.instance_upgrades), in this order.

        Their progress is empty, as it is not read.
        """
        query = self._select_listed.where(*conditions).order_by(*order).limit(limit)
        found = connection.execute(query).all()
        histories = self._histories(connection, found)
        return [_upgrade_from(row, histories.get(row.id, ())) for row in found]

    def fetch_listed(self, connection: sa.Connection, upgrade_id: str) -> Upgrade:
        """Read an upgrade as a list has it: its progress is empty, as it is not read.

        :raises UpgradeNotFound: there is none.
        """
        found = self.page(connection, [_upgrades.c.id == upgrade_id], 1, ())
        if not found:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        return found[0]

    def fetch(self, connection: sa.Connection, upgrade_id: str) -> Upgrade:
        """Read an upgrade with its progress.

        :raises UpgradeNotFound: there is none.
        """
        row = self._row(connection, upgrade_id)
        return self._whole(connection, row)

    def _row(self, connection: sa.Connection, upgrade_id: str) -> sa.Row[Any]:
        row = connection.execute(self._fetch, {'upgrade_id': upgrade_id}).one_or_none()
        if row is None:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        return row

    def _whole(self, connection: sa.Connection, row: sa.Row[Any]) -> Upgrade:
        history = self._histories(connection, [row]).get(row.id, ())
        return _upgrade_from(row, history, stored=self._stored(history))

    def _stored(self, history: steps.History) -> steps.History | None:
        """Return what is known of the rows of the steps, from what was just read or written."""
        return history

    def _histories(
        self, connection: sa.Connection, found: Sequence[sa.Row[Any]]
    ) -> dict[str, steps.History]:
        return steps.read(connection, [row.id for row in found])

    def journal_of(self, held: Upgrade) -> dict[str, Any]:
        """Return what a taskmanager may write of a row that it holds; the steps are written by
        `written`.
        """
        return self.writable(
            {
                'step': str(held.step),
                'data': progress_codec.encode(held.progress),
                'rebuild_attempt': held.rebuild_attempt,
                'former_image_id': held.former_image_id,
                'target_image_id': held.target_image_id,
                'cause': columns.fitting(_upgrades.c.cause, held.cause),
                'error_code': columns.fitting(_upgrades.c.error_code, held.error_code),
                'step_deadline': held.step_deadline,
                'stalls': held.stalls,
            }
        )

    def written(
        self, connection: sa.Connection, upgrade_id: str, held: Upgrade | None = None
    ) -> Upgrade:
        """The row after this transaction's own UPDATE of it, with the steps of `held`; None: those
        that it has.
        """
        row = self._row(connection, upgrade_id)
        if held is None:
            return self._whole(connection, row)
        history = steps.write(connection, upgrade_id, held.steps, held.stored_steps)
        return _upgrade_from(row, history, stored=history)

    def saved(self, connection: sa.Connection, held: Upgrade) -> Upgrade:
        """Return `held` after this transaction's own UPDATE of its row with `journal_of`, without
        reading what was just written: its `updated_at` stays what it was.
        """
        if self._absent:  # not all of it was written
            return self.written(connection, held.id, held)
        history = steps.write(connection, held.id, held.steps, held.stored_steps)
        return held.evolve(steps=history, stored_steps=history)


class ColumnAndRows(Rows):
    """Form of the rows between expand and contract: the column is the truth, and every write of
    ours is copied.
    """

    table = models.expanded_instance_upgrades

    def __init__(self, absent: frozenset[str]) -> None:
        super().__init__(absent)
        self._copied = sa.update(self.table).where(self.table.c.id == sa.bindparam('upgrade_id'))

    def _more(self) -> tuple[sa.ColumnElement[Any], ...]:
        return (
            sa.column('steps', columns.JsonText()),
            sa.column('steps_at', columns.UtcDateTime()),
        )

    def _no_steps(self, begun: Upgrade) -> dict[str, Any]:
        return {'steps': [], 'steps_at': begun.updated_at}

    def _histories(
        self,
        connection: sa.Connection,  # noqa: ARG002 - the other form needs it
        found: Sequence[sa.Row[Any]],
    ) -> dict[str, steps.History]:
        return {row.id: tuple(_step_run_from(entry) for entry in row.steps) for row in found}

    def _stored(self, history: steps.History) -> None:
        """Know nothing of the rows: another release writes the column alone."""

    def journal_of(self, held: Upgrade) -> dict[str, Any]:
        """Return what an UPDATE writes of the journal, with the column `steps`."""
        return {**super().journal_of(held), 'steps': [_step_run_to(run) for run in held.steps]}

    def written(
        self,
        connection: sa.Connection,
        upgrade_id: str,
        held: Upgrade | None = None,  # noqa: ARG002 - its steps are in the column
    ) -> Upgrade:
        """The rows become what the column says now, by any release; only then does the row say
        that they are the same.
        """
        row = self._row(connection, upgrade_id)
        found = self._whole(connection, row)
        if row.steps_at != row.updated_at:
            steps.write(connection, upgrade_id, found.steps)
            connection.execute(self._copied, {'upgrade_id': upgrade_id, 'steps_at': row.updated_at})
        return found

    def saved(self, connection: sa.Connection, held: Upgrade) -> Upgrade:
        """Return the row as it was written: the copy of its steps needs its `updated_at`."""
        return self.written(connection, held.id, held)


def form(database: Database, connection: sa.Connection) -> Rows:
    """Form of the history in this database.

    :raises SchemaMissing: not even the expand of borealis has been run.
    """
    names = database.columns(connection, _upgrades.name)
    both = 'steps' in names
    if both and 'steps_at' not in names:
        database.forget_columns()  # the expand may be under way
        raise errors.SchemaMissing(
            found=f'column steps_at of table {_upgrades.name} is missing',
            advice=errors.EXPAND_TABLES,
        )
    return _form(ColumnAndRows if both else Rows, arrivals.missing(database, connection, _upgrades))


@functools.cache
def _form(kind: type[Rows], absent: frozenset[str]) -> Rows:
    return kind(absent)


def _upgrade_from(
    row: sa.Row[Any], history: steps.History, *, stored: steps.History | None = None
) -> Upgrade:
    fields = {name: value for name, value in row._mapping.items() if name in _FIELDS}  # noqa: SLF001 - SQLAlchemy's public name
    if 'data' in fields:
        fields['progress'] = progress_codec.decode(fields.pop('data'))
    return Upgrade(
        **{
            **fields,
            'state': states.UpgradeState(row.state),
            'step': states.Step(row.step),
            'steps': history,
            'stored_steps': stored,
        }
    )


def _step_run_to(run: StepRun) -> dict[str, Any]:
    entry = dataclasses.asdict(run)
    entry.update(
        step=str(run.step),
        outcome=run.outcome and str(run.outcome),
        started_at=run.started_at.isoformat(),
        ended_at=run.ended_at.isoformat() if run.ended_at else None,
    )
    return entry


def _step_run_from(entry: dict[str, Any]) -> StepRun:
    """Keys that a newer release has added are dropped."""
    known = {name: value for name, value in entry.items() if name in _STEP_RUN_FIELDS}
    known.update(
        step=states.Step(entry['step']),
        outcome=steps.outcome_of(entry.get('outcome')),
        started_at=datetime.datetime.fromisoformat(entry['started_at']),
        ended_at=datetime.datetime.fromisoformat(entry['ended_at'])
        if entry.get('ended_at')
        else None,
    )
    return StepRun(**known)
