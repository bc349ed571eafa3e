# SPDX-License-Identifier: Apache-2.0
"""Rows that a later release has written: its steps, outcomes and events are read, kept and shown,
and its upgrades are left to its own taskmanagers.
"""

import datetime

import sqlalchemy as sa

from trove_upgrade.db import models
from trove_upgrade.domain import exceptions, guests, notes, states
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database, stored
from trove_upgrade.tests.unit.api import stage

BEGAN = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
STEP, OUTCOME = 'warm_up', 'skipped'


class LaterReleaseTestCase(base.TestCase):
    expanded = False

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(database.SampleDatabase(expanded=self.expanded))
        self.upgrades = self.db.repositories.upgrades

    def write(self, upgrade_id, **values):
        """As a later release would."""
        with self.db.database.write() as connection:
            table = models.instance_upgrades
            connection.execute(sa.update(table).where(table.c.id == upgrade_id).values(**values))


class TestStates(LaterReleaseTestCase):
    def test_an_upgrade_in_one_is_read_and_listed_and_nobody_here_works_on_it(self):
        begun = self.db.begin()
        self.write(begun.id, state='SUSPENDED')
        for found in (self.upgrades.get(begun.id), *self.upgrades.list(limit=5).items):
            self.assertEqual('SUSPENDED', str(found.state))
            self.assertFalse(found.state.is_known)
        self.assertEqual([], list(self.upgrades.due(5)))
        self.assertRaises(exceptions.LeaseLost, self.upgrades.claim, begun.id, 'tm', 60)

    def test_it_holds_its_instance_and_moves_nowhere(self):
        later = states.UpgradeState('SUSPENDED')
        self.assertTrue(states.holds_instance(later))
        self.assertFalse(any(states.holds_instance(state) for state in states.ENDED))
        self.assertRaises(
            exceptions.IllegalMove, states.check_move, later, states.UpgradeState.COMPLETED
        )

    def test_a_later_agents_words_end_nothing_and_tell_nothing(self):
        self.assertIs(guests.JobState.RUNNING, guests.JobState('WAITING'))
        self.assertIs(guests.ServerState.UNKNOWN, guests.ServerState('starting'))
        for nonsense in (None, 7, '', 'a b', 'x' * 65):
            self.assertRaises(ValueError, guests.JobState, nonsense)
            self.assertRaises(ValueError, guests.ServerState, nonsense)


class TestSteps(LaterReleaseTestCase):
    def at_later_step(self, **values):
        begun = self.db.begin()
        self.write(begun.id, step=STEP, **values)
        return begun.id

    def test_an_upgrade_at_one_is_read_and_listed(self):
        upgrade_id = self.at_later_step()
        for found in (self.upgrades.get(upgrade_id), *self.upgrades.list(limit=5).items):
            self.assertEqual(STEP, str(found.step))
            self.assertFalse(found.step.is_known)

    def test_no_taskmanager_of_this_release_works_on_it(self):
        upgrade_id = self.at_later_step()
        self.assertEqual([], list(self.upgrades.due(5)))
        self.assertIsNone(self.upgrades.turn(upgrade_id))
        self.assertRaises(exceptions.LeaseLost, self.upgrades.claim, upgrade_id, 'tm', 60)
        self.assertEqual(0, self.upgrades.get(upgrade_id).generation)

    def test_it_is_retried_by_the_tools_of_that_release(self):
        begun = self.db.begin()
        held = self.upgrades.claim(begun.id, 'tm', 60)
        self.upgrades.end(held, states.UpgradeState.FAILED, cause='c', error_code='E')
        self.write(begun.id, step=STEP)
        error = self.assertRaises(exceptions.RetryRefused, self.upgrades.retry, begun.id)
        self.assertEqual('STEP_OF_LATER_RELEASE', error.code)
        self.assertIn(STEP, error.message)
        self.assertIs(states.UpgradeState.FAILED, self.upgrades.get(begun.id).state)

    def test_it_is_rolled_back_where_the_data_is_untouched(self):
        begun = self.db.begin()
        held = self.upgrades.claim(begun.id, 'tm', 60).evolve(former_image_id='i')
        held = stored.adding(held, rebuild_accepted_in_attempt=1, upgrade_info={'stash': 's'})
        self.upgrades.end(held, states.UpgradeState.FAILED, cause='c', error_code='E')
        self.write(begun.id, step=STEP)
        back = self.upgrades.rollback(begun.id)
        self.assertEqual((True, states.Step.REBUILD), (back.is_rolling_back, back.step))

    def test_a_rollback_that_goes_on_at_one_is_left_to_that_release(self):
        begun = self.db.begin()
        held = self.upgrades.claim(begun.id, 'tm', 60).evolve(former_image_id='i')
        held = stored.adding(
            held,
            rebuild_accepted_in_attempt=1,
            upgrade_info={'stash': 's'},
            rolling_back={'cause': 'c', 'error_code': 'E'},
        )
        self.upgrades.end(held, states.UpgradeState.FAILED, cause='c', error_code='E')
        self.write(begun.id, step=STEP)
        error = self.assertRaises(exceptions.RollbackRefused, self.upgrades.rollback, begun.id)
        self.assertIn(STEP, error.message)
        self.assertIs(states.UpgradeState.FAILED, self.upgrades.get(begun.id).state)


class TestEntries(LaterReleaseTestCase):
    def test_what_it_has_put_into_an_entry_stays_there(self):
        remark = {'step': 'restore', 'code': 'A', 'message': 'm', 'link': 'https://x'}
        data = {
            'remarks': [remark],
            'settings_changed': [{'name': 'n', 'before': None, 'after': 1, 'unit': 's'}],
            'undoing': {'attempt': 9, 'cause': 'c', 'error_code': 'E', 'by': 'x'},
            'fingerprint': [1],
        }
        begun = self.db.begin()
        self.write(begun.id, data=data)
        held = self.upgrades.claim(begun.id, 'tm', 60)
        more = notes.Note(states.Step.VERIFY, 'B', 'more')
        told = held.progress.told_to_stop(1).remarked(more)
        self.upgrades.save(held.evolve(progress=told))
        with self.db.database.read() as connection:
            written = connection.execute(sa.select(models.instance_upgrades.c.data)).scalar_one()
        self.assertEqual(
            {**data, 'guest_touched_in_attempt': 1, 'remarks': [remark, more.to_row()]}, written
        )


class TestHistory(LaterReleaseTestCase):
    def test_what_it_has_done_stays_when_this_release_goes_on(self):
        held = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        run = StepRun(
            step=states.Step(STEP),
            attempt=1,
            started_at=BEGAN,
            ended_at=BEGAN,
            outcome=states.StepOutcome(OUTCOME),
        )
        self.upgrades.save(held.evolve(steps=(run,)), release_for_seconds=0)
        again = self.upgrades.claim(held.id, 'tm', 60)
        again = self.upgrades.save(again.began(states.Step.BOOT, BEGAN, 60))
        self.assertEqual(run, again.steps[0])
        self.assertEqual(again.steps, self.upgrades.get(held.id).steps)

    def test_what_is_no_name_at_all_is_refused(self):
        for odd in ('', 'a b', '1a', 'x' * 65, 'a\n', None, 7):
            self.assertRaises(ValueError, states.Step, odd)


class TestHistoryBeforeTheContract(TestHistory):
    expanded = True


class TestEvents(LaterReleaseTestCase):
    def add_event(self, upgrade_id, kind, position):
        outbox = models.upgrade_outbox
        with self.db.database.write() as connection:
            known = connection.execute(
                sa.select(outbox).where(outbox.c.upgrade_id == upgrade_id).limit(1)
            ).one()
            values = {**known._mapping, 'id': f'e-{kind}', 'kind': kind, 'position': position}
            connection.execute(sa.insert(outbox).values(**values))

    def test_one_between_two_of_ours_is_left_to_that_release_and_ours_wait_behind_it(self):
        held = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        self.upgrades.end(held, states.UpgradeState.COMPLETED)
        self.assertLess(EventKind.START.position + 1, EventKind.END.position)
        self.add_event(held.id, 'halfway', EventKind.START.position + 1)
        events = self.db.repositories.outbox
        [start] = [event for event in events.pending(9) if event.kind is EventKind.START]
        events.sent(start.id)
        self.assertEqual([EventKind.FINISH], [event.kind for event in events.pending(9)])


class TestAnswers(stage.ApiTestCase):
    def test_an_upgrade_with_a_later_step_is_shown_by_its_name(self):
        begun = self.db.begin()
        held = self.db.repositories.upgrades.claim(begun.id, 'tm', 60)
        run = StepRun(
            step=states.Step(STEP),
            attempt=1,
            started_at=BEGAN,
            ended_at=BEGAN,
            outcome=states.StepOutcome(OUTCOME),
        )
        self.db.repositories.upgrades.save(
            held.evolve(step=states.Step(STEP), steps=(run,)), release_for_seconds=0
        )
        shown = self.ask('GET', f'/upgrades/{begun.id}').json['upgrade']
        self.assertEqual((STEP, STEP), (shown['step'], shown['steps'][0]['step']))
        self.assertEqual(OUTCOME, shown['steps'][0]['outcome'])
        self.assertEqual(200, self.ask('GET', '/upgrades').status_int)
        self.assertEqual(200, self.ask('GET', f'/instances/{begun.instance_id}').status_int)
