# SPDX-License-Identifier: Apache-2.0
"""What a row of an upgrade, and a stored report, tell of themselves."""

import datetime

from trove_upgrade.domain import admission, exceptions
from trove_upgrade.domain.states import ACTIVE, Step, UpgradeState
from trove_upgrade.domain.upgrade_checks import CheckResult, CheckState, UpgradeCheck
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.tests.unit import base, stored

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


def ago(seconds):
    return NOW - datetime.timedelta(seconds=seconds)


def row(step=Step.RESTORE, state=UpgradeState.RUNNING, data=(), **changes):
    known = {
        'id': 'u-1',
        'instance_id': 'i-1',
        'project_id': 'p-1',
        'instance_name': 'db1',
        'server_id': 's-1',
        'attempt': 2,
        'rebuild_attempt': 3,
        'former_version_id': 'v-former',
        'target_version_id': 'v-target',
        'former_image_id': 'image-former',
        'target_image_id': 'image-target',
        'datastore_manager': 'mariadb',
        'target_number': '11.8.6',
        'generation': 1,
        'created_at': ago(1000),
        'updated_at': ago(30),
        **changes,
    }
    return Upgrade(step=step, state=state, progress=stored.progress(**dict(data)), **known)


class TestSilence(base.TestCase):
    def test_it_counts_from_the_end_of_the_lease_then_from_its_next_run_then_from_the_last_write(
        self,
    ):
        for changes, seconds in (
            ({'lease_until': ago(10), 'next_run_at': ago(20)}, 10),
            ({'next_run_at': ago(20)}, 20),
            ({}, 30),
            ({'lease_until': ago(-10), 'next_run_at': ago(20)}, 0),
            ({'next_run_at': ago(-20)}, 0),
        ):
            self.assertEqual(seconds, row(**changes).overdue_seconds(NOW), changes)

    def test_what_has_ended_is_not_silent(self):
        for state in UpgradeState:
            expected = 30 if state in ACTIVE else 0
            self.assertEqual(expected, row(state=state).overdue_seconds(NOW), state)


class TestKnownBoot(base.TestCase):
    def test_it_is_the_boot_of_the_guest_that_the_step_works_with(self):
        data = {'former_boot_id': 'boot-former', 'boot_id': 'boot-new'}
        expected = {
            Step.PRECHECK: 'boot-former',
            Step.QUIESCE: 'boot-former',
            Step.REBUILD: None,
            Step.BOOT: None,
            Step.RESTORE: 'boot-new',
            Step.VERIFY: 'boot-new',
        }
        self.assertEqual(expected, {step: row(step, data=data).known_boot_id for step in Step})

    def test_what_no_agent_has_told_is_not_known(self):
        for data in ({}, {'former_boot_id': '', 'boot_id': ''}):
            self.assertEqual({None}, {row(step, data=data).known_boot_id for step in Step})


class TestDirection(base.TestCase):
    def wanted(self, one):
        return one.wanted_image_id, one.wanted_version_id, one.wanted_number

    def test_the_target_is_wanted_until_it_goes_back(self):
        forward = row(data={'former_server_version': '10.11.14-MariaDB'})
        back = forward.turned_back('no heartbeat', 'BOOT_TIMEOUT')
        self.assertEqual(('image-target', 'v-target', '11.8.6'), self.wanted(forward))
        self.assertEqual(('image-former', 'v-former', '10.11.14-MariaDB'), self.wanted(back))
        self.assertEqual((False, True), (forward.is_rolling_back, back.is_rolling_back))
        self.assertEqual(self.wanted(forward), self.wanted(back.turned_forward()))

    def test_what_is_not_known_of_the_former_one_is_nothing(self):
        back = row(former_image_id=None).turned_back('no heartbeat', 'BOOT_TIMEOUT')
        self.assertEqual(('', 'v-former', ''), self.wanted(back))

    def test_a_turn_asks_for_a_new_rebuild_and_forgets_the_former_one(self):
        data = {
            'rebuild_for_attempt': 2,
            'rebuilds_in_attempt': 1,
            'rollback_sent_in_attempt': 1,
            'upgrade_info': {'stash': 's'},
        }
        back = row(data=data).turned_back('why', 'CODE')
        self.assertEqual(Step.REBUILD, back.step)
        self.assertEqual(
            {
                'upgrade_info': {'stash': 's'},
                'rolling_back': {'cause': 'why', 'error_code': 'CODE'},
            },
            stored.entries_of(back),
        )
        self.assertEqual({'upgrade_info': {'stash': 's'}}, stored.entries_of(back.turned_forward()))
        self.assertEqual('u-1:3', back.marker)


class TestWayBack(base.TestCase):
    data = {'rebuild_accepted_in_attempt': 1, 'upgrade_info': {'stash': 's'}}

    def why(self, data=None, **changes):
        return admission.why_no_rollback(row(data={**self.data, **(data or {})}, **changes))

    def test_nothing_stands_in_the_way_of_untouched_data(self):
        self.assertIsNone(self.why())
        self.assertIsNone(
            self.why({'post_upgrade_sent_in_attempt': 2, 'data_untouched_in_attempt': 2})
        )

    def test_each_reason_is_named(self):
        for data, changes, words in (
            ({'post_upgrade_sent_in_attempt': 1}, {}, 'may have been started'),
            (
                {'post_upgrade_sent_in_attempt': 2, 'data_untouched_in_attempt': 1},
                {},
                'may have been started',
            ),
            ({'rebuild_accepted_in_attempt': None}, {}, 'nothing to go back from'),
            ({'undoing': {}}, {}, 'nothing to go back from'),
            ({}, {'former_image_id': None}, 'image that its server had is not known'),
            ({'upgrade_info': None}, {}, 'kept nothing'),
        ):
            self.assertIn(words, self.why(data, **changes))

    def test_the_former_server_may_have_written_once_it_was_asked_to_serve_again(self):
        for data, expected in (
            ({}, False),
            ({'rollback_sent_in_attempt': 1}, True),
            ({'rollback_sent_in_attempt': 1, 'post_upgrade_sent_in_attempt': 1}, False),
        ):
            self.assertEqual(expected, row(data=data).may_have_served_again, data)


class TestObstacles(base.TestCase):
    """One rule tells the way, and refuses it."""

    REBUILT = {'rebuild_accepted_in_attempt': 1, 'upgrade_info': {'schema': 1}}
    BACK = {
        **REBUILT,
        'rolling_back': {'cause': 'c', 'error_code': 'X'},
    }

    def failed(self, step=Step.RESTORE, data=(), state=UpgradeState.FAILED):
        return row(step, state, data)

    def assert_refuses(self, found, obstacle, move, code):
        self.assertEqual(code, obstacle(found).code)
        self.assertEqual(code, self.assertRaises(type(obstacle(found)), move, found).code)

    def test_a_step_of_a_later_release_is_neither_retried_nor_rolled_back(self):
        later = Step('WARM_UP')
        self.assert_refuses(
            self.failed(later),
            admission.retry_obstacle,
            admission.retried,
            exceptions.RetryOfLaterRelease.code,
        )
        self.assert_refuses(
            self.failed(later, self.BACK),
            admission.rollback_obstacle,
            admission.rolled_back,
            exceptions.RollbackRefused.code,
        )

    def test_a_state_of_a_later_release_is_left_to_its_tools(self):
        found = self.failed(state=UpgradeState('PAUSED'))
        for obstacle in (admission.retry_obstacle(found), admission.rollback_obstacle(found)):
            self.assertIn('use the tools of that release', obstacle.message)

    def test_where_nothing_stands_in_the_way_it_is_gone(self):
        found = self.failed(data=self.REBUILT)
        self.assertIsNone(admission.retry_obstacle(found))
        self.assertIs(found, admission.retried(found))
        self.assertIsNone(admission.rollback_obstacle(found))
        self.assertTrue(admission.rolled_back(found).is_rolling_back)


class TestReport(base.TestCase):
    def allowed(self, *outcomes, state=CheckState.COMPLETED):
        return UpgradeCheck(
            id='c-1',
            instance_id='i',
            project_id='p',
            target_version_id='v',
            state=state,
            created_at=NOW,
            updated_at=NOW,
            results=tuple(
                CheckResult(name='c', outcome=outcome, message='m') for outcome in outcomes
            ),
        ).allowed

    def test_an_upgrade_would_begin_where_no_check_is_against_it(self):
        self.assertIs(True, self.allowed())
        self.assertIs(True, self.allowed('ok', 'warning'))
        self.assertIs(False, self.allowed('ok', 'refused'))
        self.assertIs(False, self.allowed('unknown'))

    def test_a_report_that_is_not_there_yet_says_nothing(self):
        for state in (CheckState.PENDING, CheckState.RUNNING, CheckState.FAILED):
            self.assertIsNone(self.allowed('ok', state=state))
