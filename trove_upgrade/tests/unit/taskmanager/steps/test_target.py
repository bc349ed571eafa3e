# SPDX-License-Identifier: Apache-2.0
"""The target as a guest is told of it: a container guest makes the image's tag of it, with every
call that may start one.
"""

import sqlalchemy as sa

from trove_upgrade.db import trove_tables
from trove_upgrade.domain import states
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes

_versions = trove_tables.datastore_versions


class TestTarget(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = self.useFixture(fakes.Stage())
        self.change(name='11.8', packages='mariadb-server=11.8')

    def change(self, version_id=database.MARIADB_11_8, **values):
        with self.stage.db.database.write() as connection:
            connection.execute(
                sa.update(_versions).where(_versions.c.id == version_id).values(**values)
            )

    def test_every_call_names_the_number_and_the_name_as_trove_has_them(self):
        row = self.stage.row()
        for call in (self.stage.calls.plain(row), self.stage.calls.with_facts(row)):
            self.assertEqual(
                ('11.8.6', '11.8', 'mariadb-server=11.8', database.IMAGE_11_8),
                (
                    call.target.version_number,
                    call.target.version_name,
                    call.target.others['packages'],
                    call.target.image_id,
                ),
            )

    def test_facts_of_the_image_do_not_speak_over_troves_row(self):
        self.stage.repos.datastores.save_target_facts(
            database.MARIADB_11_8, {'version_number': 'x', 'server_version': '11.8.6-deb'}
        )
        target = self.stage.calls.with_facts(self.stage.row()).target
        self.assertEqual(('11.8.6', '11.8.6-deb'), (target.version_number, target.server_version))

    def test_the_image_is_the_frozen_one_also_where_the_version_has_tags(self):
        row = self.stage.row(target_image_id='frozen')
        self.change(image_id=None, image_tags='trove,mariadb')
        self.assertEqual('frozen', self.stage.calls.plain(row).target.image_id)

    def test_a_way_back_names_the_former_version(self):
        back = self.stage.row(
            states.Step.RESTORE,
            former_image_id='former',
            data={
                'rolling_back': {'cause': 'c', 'error_code': 'X'},
                'former_server_version': '10.11.14-MariaDB',
            },
        )
        target = self.stage.calls.plain(back).target
        self.assertEqual(('10.11.14', 'former'), (target.version_number, target.image_id))

    def test_a_version_that_is_gone_is_still_told_by_its_number(self):
        row = self.stage.row(target_version_id='00000000-0000-4000-8000-0000000000ff')
        self.assertEqual('11.8.6', self.stage.calls.plain(row).target.version_number)
