# SPDX-License-Identifier: Apache-2.0
"""`upgrade_schema_runs`: the processes that have changed the schema, when, and with which reason a
refusal was overridden.
"""

import dataclasses
import datetime
import uuid
from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.db import columns
from trove_upgrade.db.models import upgrade_schema_runs as _runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class SchemaRun:
    """One command that was allowed to change the schema."""

    command: str
    holder: str
    from_version: str
    to_version: str | None
    reason: str | None  #: of --force
    #: DONE or REFUSED; None while it runs, and for one that was killed or met an error
    outcome: str | None
    started_at: datetime.datetime
    ended_at: datetime.datetime | None


class SchemaRuns:
    """The table is made by a revision: what runs before it is recorded when it ends."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, command: str, holder: str, from_version: str, reason: str | None) -> str | None:
        """Returns the run's id, None where the table is not there yet."""
        if not self._exists():
            return None
        run_id = str(uuid.uuid4())
        with self._engine.begin() as connection:
            connection.execute(
                sa.insert(_runs).values(
                    id=run_id,
                    command=command,
                    holder=columns.fitting(_runs.c.holder, holder),
                    from_version=from_version,
                    reason=columns.fitting(_runs.c.reason, reason),
                    started_at=columns.now(),
                )
            )
        return run_id

    def end(self, run_id: str, *, to_version: str, outcome: str) -> None:
        """A run that `begin` has returned, with its outcome."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(_runs)
                .where(_runs.c.id == run_id)
                .values(
                    to_version=to_version,
                    outcome=columns.fitting(_runs.c.outcome, outcome),
                    ended_at=columns.now(),
                )
            )

    def list(self, limit: int = 20) -> Sequence[SchemaRun]:
        """Return the last runs, newest first."""
        if not self._exists():
            return []
        names = [field.name for field in dataclasses.fields(SchemaRun)]
        query = (
            sa.select(*(_runs.c[name] for name in names))
            .order_by(_runs.c.started_at.desc(), _runs.c.id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [SchemaRun(**row) for row in connection.execute(query).mappings()]

    def _exists(self) -> bool:
        return sa.inspect(self._engine).has_table(_runs.name)
