# SPDX-License-Identifier: Apache-2.0
"""Parts of an outage, and the act up to which a rollback is possible."""

import datetime

import hypothesis
from hypothesis import strategies

from trove_upgrade.domain import downtime
from trove_upgrade.domain.admission import RollbackLimit, rollback_possible_until
from trove_upgrade.domain.states import Step, StepOutcome, UpgradeState
from trove_upgrade.domain.upgrades import StepRun
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.domain.test_upgrades import NOW, row

STOPPED = '2026-11-21T12:00:00+00:00'
_SECONDS = strategies.integers(0, 10_000)


def after(seconds):
    return (
        datetime.datetime.fromisoformat(STOPPED) + datetime.timedelta(seconds=seconds)
    ).isoformat()


def runs(rebuild=3.0, boot=0.5, *, attempts=(1, 1, 1, 1), outcome=StepOutcome.DONE):
    """The steps of an outage, one second apart, by a clock that is not the guest's."""
    lasting = {Step.QUIESCE: 1.5, Step.REBUILD: rebuild, Step.BOOT: boot, Step.RESTORE: 6.0}
    found, now = [], NOW
    for (step, seconds), attempt in zip(lasting.items(), attempts, strict=True):
        ended = now + datetime.timedelta(seconds=seconds)
        found.append(
            StepRun(step=step, attempt=attempt, started_at=now, ended_at=ended, outcome=outcome)
        )
        now = ended + datetime.timedelta(seconds=1)
    return tuple(found)


def told(whole=10.7, **changes):
    """What the row has where both agents are of this release."""
    data = {
        'stopped_at': STOPPED,
        'quiesced_at': after(1.3),
        'downtime_seconds': whole,
        'open_seconds': 1.0,
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


class DowntimeTest(base.TestCase):
    def test_the_parts_are_the_whole(self):
        self.assertEqual(
            downtime.Downtime(stop=1.3, rebuild=3.0, boot=0.5, restore=4.9, open=1.0),
            downtime.of(row(data=told(), steps=runs())),
        )

    def test_agents_of_an_earlier_release_tell_less(self):
        self.assertEqual(
            downtime.Downtime(stop=None, rebuild=3.0, boot=0.5, restore=None, open=None),
            downtime.of(row(data=told(quiesced_at=None, open_seconds=None), steps=runs())),
        )

    def test_a_row_without_the_whole_or_without_its_steps_has_no_parts(self):
        self.assertIsNone(downtime.of(row(data=told(whole=None), steps=runs())))
        self.assertIsNone(downtime.of(row(data=told())))
        self.assertIsNone(downtime.of(row(data=told(), steps=runs()[1:])))
        self.assertIsNone(downtime.of(row(data=told(), steps=runs(outcome=StepOutcome.FAILED))))

    def test_the_time_in_which_an_operator_was_waited_for_is_no_part(self):
        self.assertIsNone(downtime.of(row(data=told(), steps=runs(attempts=(1, 1, 1, 2)))))
        again = (*runs(outcome=StepOutcome.FAILED), *runs()[1:])
        self.assertIsNone(downtime.of(row(data=told(), steps=again)))

    def test_a_clock_that_was_set_makes_no_negative_part(self):
        found = downtime.of(row(data=told(quiesced_at=after(-5)), steps=runs()))
        self.assertEqual((None, None), (found.stop, found.restore))
        self.assertIsNone(downtime.of(row(data=told(whole=2.0), steps=runs())).restore)

    @hypothesis.given(_SECONDS, _SECONDS, _SECONDS, _SECONDS, _SECONDS)
    def test_no_part_is_negative_and_all_of_them_make_up_the_whole(
        self, stop, rebuild, boot, opening, whole
    ):
        found = downtime.of(
            row(
                data=told(whole=whole, quiesced_at=after(stop), open_seconds=opening),
                steps=runs(rebuild, boot),
            )
        )
        known = (found.stop, found.rebuild, found.boot, found.open)
        self.assertTrue(all(part >= 0 for part in known))
        if found.restore is None:
            self.assertLess(whole, sum(known))
        else:
            self.assertAlmostEqual(whole, sum(known) + found.restore)


class OpeningTest(base.TestCase):
    def test_it_is_told_once_in_an_attempt(self):
        opened = {'opened_at': STOPPED}
        self.assertFalse(row().is_open_untold)
        for told_in, untold in (({}, True), ({'open_told_in_attempt': 1}, True)):
            self.assertEqual(untold, row(data={**opened, **told_in}).is_open_untold)
        self.assertFalse(row(data={**opened, 'open_told_in_attempt': 2}).is_open_untold)


class RollbackLimitTest(base.TestCase):
    KEPT = {'rebuild_accepted_in_attempt': 1, 'upgrade_info': {'stash': 'stash-s1'}}

    def test_while_it_runs_it_is_possible_until_restore_is_sent(self):
        self.assertEqual(RollbackLimit.RESTORE, rollback_possible_until(row(data=self.KEPT)))
        sent = {**self.KEPT, 'post_upgrade_sent_in_attempt': 2}
        self.assertIsNone(rollback_possible_until(row(data=sent)))

    def test_where_it_has_failed_it_is_possible_until_a_retry(self):
        failed = row(state=UpgradeState.FAILED, data=self.KEPT)
        self.assertEqual(RollbackLimit.RETRY, rollback_possible_until(failed))
        sent = {**self.KEPT, 'post_upgrade_sent_in_attempt': 2}
        self.assertIsNone(rollback_possible_until(row(state=UpgradeState.FAILED, data=sent)))

    def test_where_the_instance_was_deleted_it_is_not_possible(self):
        failed = row(state=UpgradeState.FAILED, data=self.KEPT, error_code='INSTANCE_DELETED')
        self.assertIsNone(rollback_possible_until(failed))

    def test_before_the_rebuild_on_the_way_back_and_after_the_end_it_is_not_told(self):
        self.assertIsNone(rollback_possible_until(row()))
        back = {**self.KEPT, 'rolling_back': {'cause': 'c', 'error_code': 'C'}}
        self.assertIsNone(rollback_possible_until(row(data=back)))
        for state in (UpgradeState.COMPLETED, UpgradeState.ABORTED, UpgradeState.ROLLED_BACK):
            self.assertIsNone(rollback_possible_until(row(state=state, data=self.KEPT)))
