# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade abort, proceed, retry, rollback and action list."""

import json

from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.tests.standin.application import Release

_WAIT = ('--wait', '--interval', '0.01')


class TestActions(base.CommandTestCase):
    def test_each_ends_as_it_was_asked_and_the_status_is_0(self):
        for action, fields, state in (
            ('abort', world.running('quiesce'), 'ABORTED'),
            ('proceed', world.held(), 'COMPLETED'),
            ('retry', world.failed(), 'COMPLETED'),
            ('rollback', world.failed(), 'ROLLED_BACK'),
        ):
            upgrade = self.world.add_upgrade(**fields)
            self.assertEqual(state, self.json_of(action, upgrade['id'], *_WAIT)['state'])

    def test_without_a_wait_the_upgrade_is_shown_as_it_is(self):
        self.world.add_upgrade(**world.held())
        self.assertEqual('RUNNING', self.json_of('proceed', 'orders')['state'])

    def test_another_end_than_was_asked_for_has_a_status_of_its_own(self):
        upgrade = self.world.add_upgrade(**world.held())
        self.world.way = (world.ended('ABORTED', 'GUEST_DISK_FULL', 'The checks were made anew.'),)
        ended = self.run_command('proceed', upgrade['id'], *_WAIT)
        self.assertEqual(ExitStatus.ABORTED, ended.status)

    def test_the_end_of_the_attempt_before_is_none_of_this_one(self):
        for action, state in (('retry', 'COMPLETED'), ('rollback', 'ROLLED_BACK')):
            upgrade = self.world.add_upgrade(**world.failed())
            lagging = json.dumps({'upgrade': upgrade}, default=str).encode()
            once = ('GET', f'/upgrades/{upgrade["id"]}', 200, lagging, [])
            # the first is the look-up of the command
            self.standin.application.once = [once, once]
            self.assertEqual(state, self.json_of(action, upgrade['id'], *_WAIT)['state'])
            self.assertEqual([], self.standin.application.once)

    def test_a_retry_that_is_held_again_ends_the_wait(self):
        upgrade = self.world.add_upgrade(**world.failed())
        lagging = json.dumps({'upgrade': {**upgrade, **world.held(), 'attempt': 2}}).encode()
        found = json.dumps({'upgrade': upgrade}).encode()
        path = f'/upgrades/{upgrade["id"]}'
        self.standin.application.once = [('GET', path, 200, each, []) for each in (found, lagging)]
        ended = self.run_command('retry', upgrade['id'], *_WAIT)
        self.assertEqual(ExitStatus.HELD, ended.status)

    def test_an_abort_that_came_late_is_refused_with_what_can_be_done(self):
        self.world.add_upgrade(**world.running('rebuild'))
        line = self.assert_refused('ABORT_REFUSED', 'abort', 'orders')
        self.assertIn('Wait for its end', line)
        self.assertIn('openstack database upgrade action list orders', line)

    def test_ctrl_c_before_the_answer_tells_that_the_action_may_have_been_accepted(self):
        for action, fields in (
            ('abort', world.running('quiesce')),
            ('proceed', world.held()),
            ('retry', world.failed()),
            ('rollback', world.failed()),
        ):
            upgrade = self.world.add_upgrade(**fields)['id']
            told = (
                f'The {action} may have been accepted. Look at the upgrade with: '
                f'openstack database upgrade show {upgrade}'
            )
            at = 'POST', f'/upgrades/{upgrade}/action'
            ended = self.interrupted(at, action, upgrade, *_WAIT)
            self.assertEqual((ExitStatus.INTERRUPTED, ''), (ended.status, ended.out), action)
            self.assertEqual([told], ended.err.splitlines())
            self.standin.application.once = [(*at, 503, b'', [])]
            err = self.assert_refused('UPGRADE_API_SILENT', action, upgrade)
            self.assertEqual(told, err.splitlines()[1])

    def test_one_that_never_proceeds_is_refused_with_what_can_be_done(self):
        upgrade = self.world.add_upgrade(**world.held())
        for code in ('INSTANCE_CHANGED', 'INSTANCE_DELETED'):
            told = {'code': 422, 'error_code': code, 'message': f'It is another one. ({code})'}
            fault = json.dumps({'unprocessableEntity': told}).encode()
            path = f'/upgrades/{upgrade["id"]}/action'
            self.standin.application.once = [('POST', path, 422, fault, [])]
            line = self.assert_refused(code, 'proceed', 'orders')
            self.assertIn('openstack database upgrade action list orders', line)

    def test_what_the_policy_does_not_allow_is_refused(self):
        self.world.forbidden = {'retry'}
        self.world.add_upgrade(**world.failed())
        self.assert_refused('FORBIDDEN', 'retry', 'orders')

    def test_the_same_action_twice_is_one(self):
        self.world.add_upgrade(**world.running('quiesce'))
        for _ in range(2):
            self.assertEqual('ABORTED', self.json_of('abort', 'orders', *_WAIT)['state'])

    def test_what_can_be_done_is_listed_with_the_reasons(self):
        self.world.forbidden = {'retry', 'rollback'}
        self.world.add_upgrade(**world.held())
        found = {row['Action']: row for row in self.json_of('action', 'list', 'orders')}
        self.assertEqual(
            {'abort': True, 'proceed': True, 'retry': False, 'rollback': False},
            {name: row['Allowed'] for name, row in found.items()},
        )
        self.assertEqual('FORBIDDEN_BY_POLICY', found['retry']['Reason Code'])


class TestAgainstTheReleaseBefore(base.CommandTestCase):
    release = Release.EARLIER

    def test_actions_and_drift_are_not_known(self):
        self.world.add_upgrade(**world.running('quiesce'))
        for words in (
            ('abort', 'orders'),
            ('proceed', 'orders'),
            ('retry', 'orders'),
            ('rollback', 'orders'),
            ('action', 'list', 'orders'),
            ('drift',),
            ('drift', '--project', 'p'),
        ):
            self.assert_refused('UPGRADE_API_TOO_OLD', *words)

    def test_drift_beside_a_trove_whose_filter_does_not_claim_it_is_not_known_either(self):
        fault = b'{"itemNotFound": {"code": 404, "message": "The resource could not be found."}}'
        self.standin.application.answers['GET', '/mgmt/upgrade-drift'] = (404, fault)
        self.assert_refused('UPGRADE_API_TOO_OLD', 'drift')
