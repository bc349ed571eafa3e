# SPDX-License-Identifier: Apache-2.0
"""Actions, holds, lists and drift of our own client against the API, over loopback."""

import datetime

from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import served, stage, test_actions
from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import cells
from troveupgradeclient.v1 import client
from troveupgradeclient.v1.resources import ActionName, OnFailure
from troveupgradeclient.v1.upgrades import Filters, Order, SortDirection, SortKey, Start

_PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class TestActions(served.ServedApiTestCase, test_actions.ActionCase):
    def setUp(self):
        super().setUp()
        self.client = client.Client(session=self.session(stage.MEMBER))
        self.admin = client.Client(session=self.session(stage.ADMIN))

    def assert_refused(self, status, code, call, *arguments):
        refused = self.assertRaises(exceptions.RequestRefused, call, *arguments)
        self.assertEqual((status, code), (refused.status, refused.code))

    def test_choices_are_stored_and_shown(self):
        tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        options = Start(on_failure=OnFailure.ROLLBACK, not_before=tomorrow)
        begun = self.client.upgrades.start(database.INSTANCE, '11.8.6', options)
        self.assertEqual(
            ('rollback', False, f'{tomorrow:%Y-%m-%dT%H:%M:%SZ}'),
            (begun.on_failure, begun.hold, begun.not_before),
        )
        self.assertEqual(begun, self.client.upgrades.get(begun.id))

    def test_an_upgrade_that_no_taskmanager_has_is_aborted_and_twice_is_once(self):
        begun = self.client.upgrades.start(database.INSTANCE, '11.8.6')
        for _ in range(2):
            ended = self.client.upgrades.act(begun.id, ActionName.ABORT)
            self.assertEqual('ABORTED', ended.state)

    def test_what_the_state_or_the_policy_does_not_allow_is_refused(self):
        begun = self.client.upgrades.start(database.INSTANCE, '11.8.6')
        act = self.client.upgrades.act
        self.assert_refused(409, 'PROCEED_REFUSED', act, begun.id, ActionName.PROCEED)
        self.assert_refused(403, 'FORBIDDEN', act, begun.id, ActionName.RETRY)
        self.assert_refused(404, 'UPGRADE_NOT_FOUND', act, database.INSTANCE, ActionName.ABORT)

    def test_one_that_is_held_shows_until_when_and_proceeds(self):
        held = self.client.upgrades.get(self.held().id)
        self.assertEqual(('HELD', True), (held.state, held.held_since < held.held_until))
        for _ in range(2):
            onward = self.client.upgrades.act(held.id, ActionName.PROCEED)
            self.assertEqual(('RUNNING', None), (onward.state, onward.held_until))
        self.assertEqual([held.id], self.taskmanager.upgrades)

    def test_one_that_is_held_is_aborted_with_a_code(self):
        held = self.held()
        ended = self.client.upgrades.act(held.id, ActionName.ABORT)
        self.assertEqual(('ABORTED', 'ABORTED_ON_REQUEST'), (ended.state, ended.error_code))

    def test_an_admin_retries_and_rolls_back_what_has_failed(self):
        failed = self.failed(may_return=True)
        allowed = {each.action: each.allowed for each in self.admin.upgrades.actions(failed.id)}
        self.assertEqual((True, True), (allowed['retry'], allowed['rollback']))
        back = self.admin.upgrades.act(failed.id, ActionName.ROLLBACK)
        self.assertEqual(('RUNNING', 2), (back.state, back.attempt))
        retry = self.admin.upgrades.act
        self.assert_refused(409, 'RETRY_REFUSED', retry, failed.id, ActionName.RETRY)

    def test_an_admin_retries_what_has_no_way_back(self):
        failed = self.failed()
        retried = self.admin.upgrades.act(failed.id, ActionName.RETRY)
        self.assertEqual(('RUNNING', 2), (retried.state, retried.attempt))

    def test_each_action_is_listed_with_its_reason(self):
        begun = self.client.upgrades.start(database.INSTANCE, '11.8.6')
        found = {each.action: each for each in self.client.upgrades.actions(begun.id)}
        self.assertEqual(set(map(str, ActionName)), set(found))
        self.assertTrue(found['abort'].allowed)
        self.assertEqual('FORBIDDEN_BY_POLICY', found['retry'].reason_code)
        self.assertTrue(all(each.reason for each in found.values()))

    def test_lists_have_an_order_and_several_states(self):
        for number in range(3):
            instance = self.db.add_instance(name=f'n{number}')
            self.client.upgrades.start(instance, '11.8.6')
        newest = [each.id for each in self.client.upgrades.list()]
        ascending = Order(SortKey.CREATED_AT, SortDirection.ASCENDING)
        self.assertEqual(
            newest[::-1], [each.id for each in self.client.upgrades.list(order=ascending)]
        )
        self.client.upgrades.act(newest[0], ActionName.ABORT)
        both = Filters(states=('PENDING', 'ABORTED'), since=_PAST)
        self.assertEqual(3, len(list(self.client.upgrades.list(both))))
        named = Filters(states=('PENDING',), instance_name='n0')
        self.assertEqual(1, len(list(self.client.upgrades.list(named))))


class TestDrift(served.ServedApiTestCase):
    def setUp(self):
        super().setUp()
        self.db.set_image('older')
        self.drift = client.Client(session=self.session(stage.ADMIN)).drift

    def answered(self, path, key):
        answer = self.ask('GET', f'/mgmt/upgrade-drift{path}', roles=stage.ADMIN)
        return served.with_zones(answer.json[key])

    def test_figures_of_all_projects_are_read_in_pages_and_no_field_is_left_out(self):
        found = [cells.plain(each) for each in self.drift.projects(page_size=1)]
        self.assertEqual(self.answered('', 'upgrade_drift'), found)
        self.assertEqual(
            [(database.PROJECT, 1, 0), (database.OTHER_PROJECT, 0, 1)],
            [(each['project_id'], each['drifted'], each['unknown']) for each in found],
        )

    def test_instances_of_a_project_are_read_with_all_their_fields(self):
        [found] = self.drift.instances(database.PROJECT)
        self.assertEqual('older', found.booted_image_id)
        self.assertEqual(self.answered(f'/{database.PROJECT}', 'instances'), [cells.plain(found)])

    def test_members_are_refused(self):
        members = client.Client(session=self.session(stage.MEMBER)).drift
        refused = self.assertRaises(exceptions.RequestRefused, next, members.projects())
        self.assertEqual((403, 'FORBIDDEN'), (refused.status, refused.code))
