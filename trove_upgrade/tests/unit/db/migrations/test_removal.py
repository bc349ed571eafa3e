# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import sqlalchemy as sa

import trove_upgrade
from trove_upgrade.db import errors, models
from trove_upgrade.db.guest_keys import GuestKeys
from trove_upgrade.db.migrations import lease, removal
from trove_upgrade.db.migrations.runner import Options
from trove_upgrade.domain import exceptions, holds, instances, states
from trove_upgrade.domain.actions import Action
from trove_upgrade.sealing.at_rest import Wrapping, generate
from trove_upgrade.tests.unit import base, database

_PAGE = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source' / 'admin' / 'remove.rst'


class TestRemoval(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.engine = self.db.database.engine
        self.said = []

    def remove(self):
        return removal.remove(self.engine, Options(holder='me'), self.said.append)

    def tables(self):
        return set(sa.inspect(self.engine).get_table_names())

    def test_every_table_of_ours_goes_and_no_other(self):
        others = self.tables() - set(removal.ours())
        self.assertIn('instances', others)
        found = self.remove()
        self.assertEqual(others, self.tables())
        self.assertEqual(len(others), found.others)
        self.assertIn('instance_upgrades has been dropped', self.said)

    def test_again_nothing_is_left_to_do(self):
        self.remove()
        self.said.clear()
        self.assertEqual((), self.remove().tables)
        self.assertEqual([], self.said)

    def test_the_version_goes_first_and_what_refuses_last(self):
        self.assertEqual('alembic_version_trove_upgrade', removal.ours()[0])
        self.assertEqual(
            ('upgrade_services', 'instance_upgrades', lease.TABLE.name), removal.ours()[-3:]
        )
        self.assertEqual(set(models.METADATA.tables), set(removal.ours()[1:-1]))

    def test_keys_of_guests_that_would_go_are_told(self):
        self.assertEqual((), removal.plan(self.engine).losses)
        wrapping = Wrapping([generate()])
        GuestKeys(self.db.database, lambda: wrapping).mint(database.INSTANCE, None)
        (loss,) = removal.plan(self.engine).losses
        self.assertIn('1 keys of guests go', loss)

    def test_an_upgrade_that_runs_keeps_all_of_them(self):
        begun = self.db.begin()
        before = self.tables()
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn(begun.id, refused.message)
        self.assertEqual(before, self.tables() - {lease.TABLE.name})

    def test_an_upgrade_that_is_held_keeps_all_of_them(self):
        repos = self.db.repositories
        begun = self.db.begin(choices=holds.Choices(hold=True))
        repos.holds.hold(repos.upgrades.claim(begun.id, 'tm', 60), 60)
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn(begun.id, refused.message)
        repos.actions.take(Action.ABORT, begun.id)
        self.assertEqual((), removal.plan(self.engine).obstacles)

    def fail(self):
        held = self.db.repositories.upgrades.claim(self.db.begin().id, 'tm', 60)
        return self.db.repositories.upgrades.end(
            held, states.UpgradeState.FAILED, cause='It broke.', error_code='X'
        ).upgrade

    def test_a_failed_upgrade_keeps_all_of_them_also_when_only_the_status_was_reset(self):
        self.fail()
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn('have failed and hold them: ' + database.INSTANCE, refused.message)
        self.db.update_instance(task_id=int(instances.Task.NONE))
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn('only their status was reset: ' + database.INSTANCE, refused.message)
        self.assertNotIn('hold them', refused.message)
        self.assertIn('instance_upgrades', self.tables())

    def test_who_has_let_the_guests_go_by_hand_says_so(self):
        self.fail()
        self.db.update_instance(task_id=int(instances.Task.NONE))
        removal.remove(self.engine, Options(holder='me'), self.said.append, guests_released=True)
        self.assertNotIn('instance_upgrades', self.tables())

    def test_letting_guests_go_by_hand_is_no_word_on_an_instance_that_is_still_held(self):
        self.fail()
        self.assertEqual(1, len(removal.plan(self.engine, guests_released=True).obstacles))

    def test_one_that_failed_and_was_upgraded_after_a_reset_keeps_nothing(self):
        self.fail()
        self.db.update_instance(task_id=int(instances.Task.NONE))
        held = self.db.repositories.upgrades.claim(self.db.begin().id, 'tm', 60)
        self.db.repositories.upgrades.end(held, states.UpgradeState.COMPLETED)
        self.assertEqual((), removal.plan(self.engine).obstacles)

    def test_the_page_has_the_lines_by_hand_and_the_switch(self):
        page = _PAGE.read_text()
        for words in (
            '/var/lib/trove-upgrade/trove-agent-released',
            'rm -f /var/lib/trove-upgrade/trove-agent-held',
            'service guest-agent start',
            '--guests-released',
        ):
            self.assertIn(words, page)

    def test_a_service_that_is_listed_keeps_all_of_them(self):
        self.db.repositories.services.register('host-1', 'trove-upgrade-filter', '1.0')
        self.db.pass_time(3600)
        refused = self.assertRaises(errors.RemovalRefused, self.remove)
        self.assertIn('trove-upgrade-filter on host-1, silent', refused.message)

    def test_who_changes_the_schema_now_is_waited_for(self):
        with lease.Lease(self.engine, 'another').held():
            self.assertRaises(
                exceptions.TroveUpgradeError,
                removal.remove,
                self.engine,
                Options(wait_seconds=0),
                self.said.append,
            )
        self.assertIn('instance_upgrades', self.tables())

    def test_the_page_names_the_same_tables_in_the_same_order(self):
        self.assertEqual(list(removal.ours()), re.findall(r'DROP TABLE (\w+);', _PAGE.read_text()))
