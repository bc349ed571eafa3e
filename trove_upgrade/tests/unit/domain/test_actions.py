# SPDX-License-Identifier: Apache-2.0
"""Every action in every state, at every step and in every direction: a table that is walked."""

import datetime
import itertools

from trove_upgrade.domain import actions, states
from trove_upgrade.domain.actions import Action, Reason
from trove_upgrade.domain.progress import Way
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base, database, stored

S, Step = states.UpgradeState, states.Step
NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
#: What a row has written by the time that it stands at a step, in its first attempt.
_TOLD = {'guest_touched_in_attempt': 1}
_ASKED = {**_TOLD, 'upgrade_info': {'stash': 'stash-s1'}, 'rebuild_for_attempt': 1}
_ACCEPTED = {**_ASKED, 'rebuild_accepted_in_attempt': 1}
_SENT = {**_ACCEPTED, 'post_upgrade_sent_in_attempt': 1}
DATA = {
    Step.PRECHECK: {},
    Step.QUIESCE: _TOLD,
    Step.REBUILD: _ASKED,
    Step.BOOT: _ACCEPTED,
    Step.RESTORE: _SENT,
    Step.VERIFY: _SENT,
    Step('warm_up'): {},
}
WAYS = {
    Way.FORWARD: {},
    Way.UNDOING: {'undoing': {'attempt': 1, 'cause': 'c', 'error_code': 'C'}},
    Way.BACK: {'rolling_back': {'cause': 'c', 'error_code': 'C'}},
}
#: Nothing of it has been asked of Nova, so that the guest can undo it.
_UNDOABLE = {Step.PRECHECK, Step.QUIESCE}


class TestTable(base.TestCase):
    def setUp(self):
        super().setUp()
        self.begun = self.useFixture(database.SampleDatabase()).begin()

    def rows(self):
        """Rows of every state, step, direction, attempt and hold that an upgrade can be in."""
        held = ({}, {'hold': True}, {'hold': True, 'hold_over_at': NOW.isoformat()})
        for state, step, way, attempt, hold in itertools.product(
            (*S, S('SUSPENDED')), DATA, Way, (1, 2), held
        ):
            data = {**DATA[step], **WAYS[way], **hold}
            asked = step not in _UNDOABLE and step.is_known
            yield self.begun.evolve(
                state=state,
                step=step,
                attempt=attempt,
                rebuild_attempt=1 if asked else 0,
                former_image_id=database.IMAGE_10_11,
                progress=stored.progress(**data),
            )

    def allowed(self, action):
        for row in self.rows():
            verdict = actions.verdict(action, row)
            if verdict.allowed:
                self.assertIsNone(actions.refusal(action, row))
                yield row

    def test_each_verdict_is_a_sentence_with_a_code(self):
        for action, row in itertools.product(Action, self.rows()):
            verdict = actions.verdict(action, row)
            self.assertRegex(verdict.sentence, r'^[A-Z].*[.]$', row)
            self.assertRegex(verdict.code, r'^[A-Z_]+$')
            self.assertEqual(verdict.allowed, verdict.code == Reason.POSSIBLE)

    def test_what_was_taken_is_no_refusal_and_changes_nothing(self):
        taken = [
            (action, row)
            for action, row in itertools.product(Action, self.rows())
            if actions.is_taken(action, row)
        ]
        self.assertEqual(set(Action), {action for action, _ in taken})
        for action, row in taken:
            self.assertIsNone(actions.refusal(action, row))
            self.assertEqual(Reason.TAKEN, actions.verdict(action, row).code)

    def test_an_abort_never_leads_over_what_nova_was_asked_for(self):
        for row in self.allowed(Action.ABORT):
            self.assertIn(row.state, states.ACTIVE)
            if row.state is S.RUNNING:
                self.assertIn(row.step, _UNDOABLE)
                self.assertFalse(row.is_rolling_back)
                self.assertFalse(row.no_return)

    def test_each_that_waits_and_each_before_the_rebuild_can_be_aborted(self):
        for row in self.rows():
            waits = row.state in {S.PENDING, S.HELD}
            early = row.state is S.RUNNING and row.step in _UNDOABLE and not row.is_rolling_back
            if waits or early:
                self.assertIsNone(actions.refusal(Action.ABORT, row), row)

    def test_only_one_that_is_held_proceeds(self):
        self.assertEqual({S.HELD}, {row.state for row in self.allowed(Action.PROCEED)})

    def test_only_one_that_has_failed_is_retried_or_rolled_back(self):
        for action in (Action.RETRY, Action.ROLLBACK):
            self.assertEqual({S.FAILED}, {row.state for row in self.allowed(action)})

    def test_a_rollback_is_never_offered_once_the_new_server_may_have_started(self):
        self.assertEqual(
            set(), {row.step for row in self.allowed(Action.ROLLBACK)} & {Step.RESTORE, Step.VERIFY}
        )

    def test_of_a_later_releases_state_or_step_nothing_is_begun(self):
        for action in Action:
            for row in self.allowed(action):
                self.assertTrue(row.state.is_known, action)
        for row in self.allowed(Action.ABORT):
            self.assertTrue(row.step.is_known or row.state is not S.RUNNING)


class TestAbortAtTheRebuild(base.TestCase):
    """Until the announcement of a call to Nova is written, an abort leads to the former guest."""

    RUNS = 3
    UNASKED = {'rebuild_unasked': {'rebuild_attempt': 2, 'runs': RUNS}}

    def setUp(self):
        super().setUp()
        self.begun = self.useFixture(database.SampleDatabase()).begin()

    def row(self, rebuild_attempt=2, **entries):
        """A row whose step has run a few times, and has made the second marker."""
        run = StepRun(step=Step.REBUILD, attempt=1, started_at=NOW, runs=self.RUNS)
        return self.begun.evolve(
            state=S.RUNNING,
            step=Step.REBUILD,
            rebuild_attempt=rebuild_attempt,
            former_image_id=database.IMAGE_10_11,
            steps=(run,),
            progress=stored.progress(**{**_ASKED, **entries}),
        )

    def is_allowed(self, row):
        return actions.verdict(Action.ABORT, row).allowed

    def test_one_for_whose_marker_nova_was_not_asked_can_be_aborted(self):
        self.assertTrue(self.is_allowed(self.row(rebuild_attempt=0)))
        self.assertTrue(self.is_allowed(self.row(**self.UNASKED)))

    def test_one_whose_call_to_nova_is_announced_or_accepted_cannot(self):
        for entries in (
            {},
            {'rebuild_post_until': NOW.isoformat()},
            {**self.UNASKED, 'rebuild_post_until': NOW.isoformat()},
            {**self.UNASKED, 'rebuild_accepted_in_attempt': 1},
        ):
            self.assertFalse(self.is_allowed(self.row(**entries)), entries)

    def test_what_is_known_of_another_marker_or_of_a_row_before_another_run_does_not_count(self):
        """A taskmanager of an earlier release runs the step and leaves the record as it is."""
        for number, runs in ((1, self.RUNS), (3, self.RUNS), (2, self.RUNS - 1), (2, 'x')):
            record = {'rebuild_attempt': number, 'runs': runs}
            row = self.row(rebuild_unasked=record)
            self.assertFalse(self.is_allowed(row), record)
            self.assertFalse(self.is_allowed(row.ran('It waits.', None)), record)

    def test_each_run_that_asks_nova_for_nothing_keeps_it(self):
        row = self.row(**self.UNASKED)
        for _ in range(3):
            row = row.ran('Nova does not answer.', None)
            self.assertTrue(self.is_allowed(row))
        self.assertFalse(self.is_allowed(row.nova_perhaps_asked().ran('An error.', None)))
