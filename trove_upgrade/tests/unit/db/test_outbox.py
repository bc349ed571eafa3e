# SPDX-License-Identifier: Apache-2.0
from oslo_db import exception as db_exc

from trove_upgrade.db import models, outbox
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.domain import test_notes


class TestOutbox(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.upgrades, self.outbox = self.db.repositories.upgrades, self.db.repositories.outbox

    def complete(self):
        return self.upgrades.end(
            self.upgrades.claim(self.db.begin().id, 'me', 60), UpgradeState.COMPLETED
        ).upgrade

    def kinds(self):
        return sorted(event.kind for event in self.outbox.pending(10))

    def test_an_event_waits_for_the_one_before_it_but_not_for_the_guests(self):
        self.complete()
        self.assertEqual(['finish', 'start'], self.kinds())
        start = next(event for event in self.outbox.pending(10) if event.kind == 'start')
        self.outbox.sent(start.id)
        self.assertEqual(['end', 'finish'], self.kinds())

    def test_a_silent_guest_holds_up_no_notification(self):
        self.complete()
        finish = next(event for event in self.outbox.pending(10) if event.kind == 'finish')
        self.outbox.postpone(finish.id, 3600)
        self.assertEqual(['start'], self.kinds())

    def test_one_that_was_postponed_comes_again_and_the_later_ones_wait_with_it(self):
        self.complete()
        start = next(event for event in self.outbox.pending(10) if event.kind == 'start')
        self.outbox.postpone(start.id, 30)
        self.assertEqual(['finish'], self.kinds())
        self.db.pass_time(31)
        self.assertEqual(['finish', 'start'], self.kinds())

    def test_what_was_sent_never_comes_again(self):
        self.complete()
        for _ in range(2):
            for event in self.outbox.pending(10):
                self.outbox.sent(event.id)
        self.assertEqual([], self.outbox.pending(10))
        self.outbox.postpone(self.db.rows(models.upgrade_outbox)[0].id, 0)
        self.assertEqual([], self.outbox.pending(10))

    def test_the_end_has_what_its_tenant_should_know_and_the_start_has_nothing_of_it(self):
        for data, wanted in test_notes.GOLDEN:
            held = stored.adding(self.upgrades.claim(self.db.begin().id, 'me', 60), **data)
            ended = self.upgrades.end(held, UpgradeState.COMPLETED).upgrade
            self.db.update_instance(task_id=1, datastore_version_id=database.MARIADB_10_11)
            payloads = {
                row.kind: row.payload
                for row in self.db.rows(models.upgrade_outbox)
                if row.upgrade_id == ended.id
            }
            self.assertEqual([[], [], []], [payloads['start'][key] for key in wanted])
            self.assertEqual(
                wanted,
                {
                    key: [(each['step'], each['code']) for each in payloads['end'][key]]
                    for key in wanted
                },
            )

    def test_upgrades_do_not_wait_for_each_other(self):
        self.db.begin()
        self.db.begin(database.OTHER_INSTANCE)
        self.assertEqual(2, len(self.outbox.pending(10)))
        self.assertEqual(1, len(self.outbox.pending(1)))

    def test_an_attempt_cannot_have_two_ends(self):
        ended = self.complete()

        def second():
            with self.db.database.write() as connection:
                outbox.write(connection, EventKind.ERROR, ended)

        self.assertRaises(db_exc.DBDuplicateEntry, second)
