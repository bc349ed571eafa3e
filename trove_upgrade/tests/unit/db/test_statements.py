# SPDX-License-Identifier: Apache-2.0
"""Statements of a taskmanager's writes: each is a round trip of an outage."""

import datetime

import sqlalchemy as sa

from trove_upgrade.domain.states import Step
from trove_upgrade.tests.unit import base, database

BEGAN = datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=datetime.UTC)


class TestSave(base.TestCase):
    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase())
        self.upgrades = self.db.repositories.upgrades
        self.held = self.upgrades.claim(self.db.begin().id, 'host-1', 60)

    def save(self, changed):
        """Save it and go on with it; the statements that this took."""
        ran = []

        def note(_connection, _cursor, statement, *_rest):
            ran.append(statement.split(None, 1)[0])

        engine = self.db.database.engine
        sa.event.listen(engine, 'before_cursor_execute', note)
        self.held = self.upgrades.save(changed)
        sa.event.remove(engine, 'before_cursor_execute', note)
        return [kind for kind in ran if kind != 'BEGIN']

    def test_a_save_reads_nothing_that_the_claim_or_a_save_before_it_has_told(self):
        began = self.held.began(Step.PRECHECK, BEGAN, 60)
        self.assertEqual(['UPDATE', 'INSERT'], self.save(began))
        self.assertEqual(['UPDATE', 'UPDATE'], self.save(self.held.ran('it works', 50)))
        self.assertEqual(['UPDATE'], self.save(self.held.evolve(rebuild_attempt=1)))
        ended = self.held.step_ended(BEGAN, 'done', 'fine').began(Step.QUIESCE, BEGAN, 60)
        self.assertEqual(['UPDATE', 'UPDATE', 'INSERT'], self.save(ended))
        self.assertEqual(self.held.steps, self.upgrades.get(self.held.id).steps)

    def test_the_next_holder_writes_on_from_what_it_has_read_itself(self):
        self.save(self.held.began(Step.PRECHECK, BEGAN, 60))
        self.upgrades.save(self.held, release_for_seconds=0)
        self.held = self.upgrades.claim(self.held.id, 'host-2', 60)
        self.assertEqual(['UPDATE', 'UPDATE'], self.save(self.held.ran('it works', 50)))
        self.assertEqual(self.held.steps, self.upgrades.get(self.held.id).steps)

    def test_one_that_no_claim_has_read_looks_first(self):
        unread = self.held.evolve(stored_steps=None)
        self.assertEqual(
            ['UPDATE', 'SELECT', 'INSERT'], self.save(unread.began(Step.PRECHECK, BEGAN, 60))
        )
