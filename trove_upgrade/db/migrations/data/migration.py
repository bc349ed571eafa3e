# SPDX-License-Identifier: Apache-2.0
"""A data migration: rows that one release's expand has left to do, worked off in small
transactions.
"""

import dataclasses
from typing import Protocol

import sqlalchemy as sa


@dataclasses.dataclass(frozen=True)
class Batch:
    """Counts of one transaction.

    The pass is over where nothing was found and the cursor is the one that was handed in.
    """

    found: int  #: rows looked at that needed work
    done: int  #: of those, changed
    cursor: str  #: where the next batch begins, at most 255 characters; '' is the start


class DataMigration(Protocol):
    """One kind of change to many rows, that may be stopped and carried on at any batch.

    What it does to a row must be right however often it is done: services of the release before
    still write.
    """

    @property
    def name(self) -> str:
        """Return what the operator calls it, at most 64 characters: `borealis_steps`.  Never
        changed once released.
        """

    @property
    def after(self) -> str:
        """The expand revision that must have been run before it can run."""

    @property
    def before(self) -> str:
        """The contract revision that may only run when no row is left; once that has been run,
        nothing is asked any more.
        """

    def pending(self, connection: sa.Connection) -> int:
        """Return how many rows are left, counted: it may read the whole table."""

    def is_pending(self, connection: sa.Connection) -> bool:
        """Return whether there is one row left.  Cheap where there is."""

    def run_batch(self, connection: sa.Connection, cursor: str, limit: int) -> Batch:
        """Look at no more than `limit` rows behind `cursor` that need work, in the caller's
        transaction.

        It neither commits nor rolls back: the cursor is saved in the same transaction as the rows.
        """
