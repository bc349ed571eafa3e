# SPDX-License-Identifier: Apache-2.0
"""Beside Trove an upgrade completes once Trove's own agent says healthy, too; it never fails for
want of that.
"""

import dataclasses
import datetime

from trove_upgrade.domain import instances, states
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.taskmanager import fakes

S, Step = states.UpgradeState, states.Step
LATER = datetime.datetime(2026, 11, 21, 12, 0, 30, tzinfo=datetime.UTC)
BEFORE = datetime.datetime(2026, 11, 21, 11, 59, tzinfo=datetime.UTC)


class _Statuses:
    """The part of ports.InstanceRepository that is asked: what Trove's conductor was last told."""

    def __init__(self, inner):
        self._inner = inner
        self.said = instances.StatusReport('healthy', BEFORE)

    def service_status(self, instance_id):
        return self.said

    def __getattr__(self, name):
        return getattr(self._inner, name)


class TestVerifyBesideTrove(base.TestCase):
    def setUp(self):
        super().setUp()
        self.stage = stage = self.useFixture(fakes.Stage())
        self.statuses = _Statuses(stage.repos.instances)
        stage.restore = dataclasses.replace(stage.restore, instances=self.statuses)
        stage.verify = dataclasses.replace(stage.verify, instances=self.statuses, status_seconds=75)

    def verified(self):
        """An upgrade whose guest has passed all checks."""
        row = self.stage.until_boot()
        self.stage.heartbeat(row)
        return self.stage.run_on(row.id)

    def again(self, row, seconds):
        self.stage.clock.pass_time(seconds)
        self.stage.db.pass_time(seconds)
        return self.stage.run_on(row.id)

    def test_a_word_from_before_the_restore_counts_for_nothing(self):
        row = self.verified()
        self.assertEqual((S.RUNNING, Step.VERIFY), (row.state, row.step))
        self.assertIn('agent of Trove', row.steps[-1].message)
        self.assertEqual(
            instances.Task.UPGRADING, self.stage.repos.instances.task(database.INSTANCE)
        )

    def test_it_completes_with_the_next_healthy_word_and_the_guest_is_not_asked_again(self):
        row = self.verified()
        self.statuses.said = instances.StatusReport('shutdown', LATER)
        row = self.again(row, 1)
        self.assertIs(S.RUNNING, row.state)
        self.statuses.said = instances.StatusReport('healthy', LATER)
        row = self.again(row, 1)
        self.assertIs(S.COMPLETED, row.state)
        self.assertEqual(1, len(self.stage.guest.asked('verify_upgrade')))
        self.assertEqual((), row.notes.remarks)

    def test_a_silent_agent_of_troves_is_a_remark_and_no_failure(self):
        row = self.again(self.verified(), 76)
        self.assertIs(S.COMPLETED, row.state)
        self.assertEqual(
            ('verify', 'TROVE_AGENT_SILENT'),
            (row.notes.remarks[-1].step, row.notes.remarks[-1].code),
        )
        self.assertIn('has not reported', row.notes.remarks[-1].message)

    def test_the_steps_own_time_out_does_not_fail_it_either(self):
        self.stage.verify = dataclasses.replace(self.stage.verify, timeout_seconds=20)
        row = self.again(self.verified(), 19.5)
        self.assertIs(S.COMPLETED, row.state)

    def test_restart_required_is_never_overwritten_by_a_heartbeat_and_not_waited_for(self):
        self.statuses.said = instances.StatusReport('restart required', BEFORE)
        row = self.verified()
        self.assertIs(S.COMPLETED, row.state)
        self.assertEqual('TROVE_RESTART_REQUIRED', row.notes.remarks[-1].code)

    def test_an_instance_of_which_nobody_has_ever_said_anything_is_waited_for(self):
        self.statuses.said = None
        row = self.verified()
        self.assertIs(S.RUNNING, row.state)
        self.statuses.said = instances.StatusReport('healthy', LATER)
        self.assertIs(S.COMPLETED, self.again(row, 1).state)

    def test_a_retry_verifies_anew(self):
        row = self.stage.row(
            Step.VERIFY,
            attempt=2,
            data={'verified_in_attempt': 1, 'verified_at': LATER.isoformat()},
        )
        self.assertEqual(0, self.stage.verify.run(row).seconds)
        self.assertEqual(1, len(self.stage.guest.asked('verify_upgrade')))
