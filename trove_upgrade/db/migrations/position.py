# SPDX-License-Identifier: Apache-2.0
"""Position of a database between two releases, and the phase that comes next.

All expands come first, then all data migrations, then all contracts: services of the release before
go on until the last.
"""

import dataclasses
import enum
from collections.abc import Mapping

import alembic.util
import sqlalchemy as sa
from alembic.runtime import migration

from trove_upgrade.db import errors
from trove_upgrade.db.migrations.chain import Chain
from trove_upgrade.db.migrations.exit_codes import ExitCode


class Phase(enum.StrEnum):
    """Next phase of a database; the value is the command."""

    EXPAND = 'expand'
    MIGRATE = 'migrate'
    CONTRACT = 'contract'

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of a command that would have needed this phase first."""
        return {
            Phase.EXPAND: ExitCode.EXPAND_NEXT,
            Phase.MIGRATE: ExitCode.MIGRATE_NEXT,
            Phase.CONTRACT: ExitCode.CONTRACT_NEXT,
        }[self]


@dataclasses.dataclass(frozen=True)
class Position:
    """Position of each branch, and what is left."""

    current: Mapping[str, str | None]  #: by branch; None where nothing of it has been run
    #: by branch: revisions that have not been run, oldest first
    pending: Mapping[str, tuple[str, ...]]
    #: names of the data migrations with rows left; those that cannot run yet are left out
    data: tuple[str, ...]

    @property
    def version(self) -> str:
        """The composite, e.g. 'borealis_expand01, aurora_contract01'; 'none' for an empty
        database.
        """
        return ', '.join(revision for revision in self.current.values() if revision) or 'none'

    @property
    def next(self) -> Phase | None:
        """Return what comes next, None if nothing is left."""
        if self.pending.get('expand'):
            return Phase.EXPAND
        if self.data:
            return Phase.MIGRATE
        return Phase.CONTRACT if self.pending.get('contract') else None

    def describe(self) -> str:
        """Return what is left, in one line."""
        parts = [
            f'{branch} has {", ".join(revisions)} left to run'
            for branch, revisions in self.pending.items()
            if revisions
        ]
        parts += [f'data migration {name} has rows left' for name in self.data]
        return '; '.join(parts) or 'nothing is left to run'


def applied(connection: sa.Connection, chain: Chain) -> dict[str, str | None]:
    """Return, by branch, the newest revision that has been run.

    :raises SchemaFromTheFuture: the database holds a revision that this release does not know.
    """
    script = chain.script()
    context = migration.MigrationContext.configure(
        connection, opts={'version_table': chain.version_table}
    )
    found: dict[str, str | None] = dict.fromkeys(chain.branches)
    for revision in context.get_current_heads():
        try:
            labels = script.get_revision(revision).branch_labels
        except alembic.util.CommandError as error:
            raise errors.SchemaFromTheFuture(
                what='read', revision=revision, version_table=chain.version_table
            ) from error
        found.update({branch: revision for branch in chain.branches if branch in labels})
    return found


def ancestors(chain: Chain, branch: str, revision: str | None) -> tuple[str, ...]:
    """Return a revision and all before it in its branch, oldest first."""
    ids = [one.revision for one in chain.revisions(branch)]
    return tuple(ids[: ids.index(revision) + 1]) if revision is not None else ()


def done_revisions(connection: sa.Connection, chain: Chain) -> frozenset[str]:
    """All that have been run, of every branch."""
    return frozenset(
        revision
        for branch, current in applied(connection, chain).items()
        for revision in ancestors(chain, branch, current)
    )


def read(connection: sa.Connection, chain: Chain, *, data: bool = True) -> Position:
    """Look at a database; without `data`, rows are not looked at (that may take a second for each
    million).

    :raises SchemaFromTheFuture: the database holds a revision that this release does not know.
    """
    current = applied(connection, chain)
    done = {
        revision
        for branch, newest in current.items()
        for revision in ancestors(chain, branch, newest)
    }
    pending = {
        branch: tuple(one.revision for one in chain.revisions(branch) if one.revision not in done)
        for branch in chain.branches
    }
    rows = (
        tuple(
            one.name
            for one in chain.data
            if one.after in done and one.before not in done and one.is_pending(connection)
        )
        if data
        else ()
    )
    return Position(current, pending, rows)
