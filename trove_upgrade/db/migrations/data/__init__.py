# SPDX-License-Identifier: Apache-2.0
"""Data migrations: between an expand and its contract, the rows follow the schema, in batches while
services serve.
"""

from trove_upgrade.db.migrations.data.borealis_steps import BorealisSteps
from trove_upgrade.db.migrations.data.migration import Batch, DataMigration

__all__ = ('MIGRATIONS', 'Batch', 'DataMigration')

#: In the order in which they run.  One that has been released stays until the release that ends its
#: upgrade path.
MIGRATIONS: tuple[DataMigration, ...] = (BorealisSteps(),)
