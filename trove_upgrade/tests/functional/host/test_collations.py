# SPDX-License-Identifier: Apache-2.0
"""Tables of Trove's that were made with another collation than ours: on an older server, or by an
operator's choice.
"""

import sqlalchemy as sa

from trove_upgrade.db import engine, models
from trove_upgrade.db.migrations import removal
from trove_upgrade.db.migrations.runner import Runner
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.host.real_database import MigratedDatabase
from trove_upgrade.tests.unit import database, stored


class TestCollations(databases.OneServer, base.TestCase):
    server_class = databases.MariaDB

    def made_with(self, charset, collation):
        """Our schema with another collation than Trove's tables beside it, with samples.  Theirs
        have foreign keys, and are not changed.
        """
        migrated = engine.Database.from_url(self.server.create())
        self.addCleanup(migrated.dispose)
        Runner(migrated.engine).sync(standalone=True)
        with migrated.write() as connection:
            connection.execute(sa.text('SET FOREIGN_KEY_CHECKS = 0'))
            for table in models.METADATA.sorted_tables:
                connection.execute(
                    sa.text(
                        f'ALTER TABLE {table.name} CONVERT TO CHARACTER SET {charset} COLLATE '
                        f'{collation}'
                    )
                )
            connection.execute(sa.text('SET FOREIGN_KEY_CHECKS = 1'))
        return self.useFixture(MigratedDatabase(migrated))

    def test_a_version_is_repointed_and_the_tables_are_removed_all_the_same(self):
        for charset, collation in (
            ('utf8mb4', 'utf8mb4_general_ci'),
            ('utf8mb4', 'utf8mb4_unicode_ci'),
            ('utf8mb3', 'utf8mb3_general_ci'),
            ('latin1', 'latin1_swedish_ci'),
        ):
            made = self.made_with(charset, collation)
            change = made.repositories.datastores.save_version(
                'mariadb',
                '10.11.14',
                manager='mariadb',
                image_id='newer',
                image_tags=(),
                packages='',
                active=True,
            )
            older = made.repositories.datastores.on_older_images(change.version)
            self.assertEqual(
                [database.INSTANCE, database.OTHER_INSTANCE],
                sorted(row.instance_id for row in older),
                collation,
            )
            made.set_image('older')
            [drifted] = made.repositories.drift.projects(
                None, limit=10, project_id=database.PROJECT
            ).items
            self.assertEqual((1, 1), (drifted.instances, drifted.drifted), collation)
            held = made.repositories.upgrades.claim(made.begin().id, 'me', 60)
            made.repositories.upgrades.end(held, UpgradeState.FAILED, cause='x', error_code='Y')
            self.assertIn(
                database.INSTANCE, ' '.join(removal.plan(made.database.engine).obstacles), collation
            )
            self.assertEqual(
                [UpgradeState.FAILED],
                [one.state for one in made.repositories.upgrades.list(limit=10).items],
                collation,
            )
            another = made.repositories.upgrades.claim(
                made.begin(made.add_instance(name='past', server_id='s')).id, 'me', 60
            )
            told = stored.adding(another, downtime_seconds=0.001)
            made.repositories.upgrades.end(told, UpgradeState.COMPLETED)
            [past] = made.repositories.history.of(another.project_id, another.former_version_id)
            self.assertEqual((0.001, 1), (past.downtime_seconds, past.volume_size_gb), collation)
