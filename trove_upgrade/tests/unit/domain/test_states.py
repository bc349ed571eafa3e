# SPDX-License-Identifier: Apache-2.0
"""Which states and steps may follow which."""

import copy
import pickle

from trove_upgrade.domain import exceptions, states
from trove_upgrade.domain.states import Step
from trove_upgrade.domain.states import UpgradeState as S
from trove_upgrade.tests.unit import base


class TestStates(base.TestCase):
    def test_only_these_moves_are_allowed(self):
        allowed = {
            (S.PENDING, S.RUNNING),
            (S.PENDING, S.ABORTED),
            (S.RUNNING, S.HELD),
            (S.HELD, S.RUNNING),
            (S.HELD, S.ABORTED),
            (S.RUNNING, S.COMPLETED),
            (S.RUNNING, S.ABORTED),
            (S.RUNNING, S.ROLLED_BACK),
            (S.RUNNING, S.FAILED),
            (S.FAILED, S.RUNNING),
        }
        for current in S:
            for new in S:
                if (current, new) in allowed:
                    states.check_move(current, new)
                else:
                    self.assertRaises(exceptions.IllegalMove, states.check_move, current, new)

    def test_a_move_that_is_refused_names_what_may_follow(self):
        for current, allowed in ((S.PENDING, [S.ABORTED, S.RUNNING]), (S.COMPLETED, 'nothing')):
            error = self.assertRaises(
                exceptions.IllegalMove, states.check_move, current, S.COMPLETED
            )
            self.assertEqual(allowed, error.facts['allowed'])

    def test_each_state_holds_its_instance_or_has_an_end(self):
        self.assertEqual({S.PENDING, S.RUNNING, S.HELD}, states.ACTIVE)
        self.assertEqual({S.PENDING, S.RUNNING}, states.WORKED_ON)
        self.assertEqual({S.COMPLETED, S.ABORTED, S.ROLLED_BACK, S.FAILED}, states.ENDED)

    def test_steps_follow_each_other_and_nothing_follows_the_last_one(self):
        found = [Step.PRECHECK]
        while (following := states.next_step(found[-1])) is not None:
            found.append(following)
            self.assertLessEqual(len(found), len(Step))
        self.assertEqual(
            [Step.PRECHECK, Step.QUIESCE, Step.REBUILD, Step.BOOT, Step.RESTORE, Step.VERIFY], found
        )


class TestNamesOfLaterReleases(base.TestCase):
    def test_a_copy_of_one_is_the_same_name(self):
        """Python 3.11 up to 3.11.2 at least knows no copy of what is no member."""
        for name in (Step('warm_up'), Step.BOOT, S('SUSPENDED'), states.StepOutcome('skipped')):
            for same in (copy.copy(name), copy.deepcopy(name), pickle.loads(pickle.dumps(name))):
                self.assertEqual((name, name.is_known), (same, same.is_known))
