# SPDX-License-Identifier: Apache-2.0
"""Upgrades that are asked for by POST, with choices, and the actions on them."""

import datetime
import pathlib

import fixtures

from trove_upgrade.api.services import GuestWithoutAgent, Settings
from trove_upgrade.db import models
from trove_upgrade.domain import holds, instances, states
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage

S = states.UpgradeState
UNKNOWN = '00000000-0000-4000-8000-00000000ffff'
HOLD = holds.Choices(hold=True)


def let_only_admins_upgrade(case):
    path = pathlib.Path(case.useFixture(fixtures.TempDir()).path, 'policy.yaml')
    path.write_text('"trove_upgrade:instances:upgrade": "rule:trove_upgrade:admin"\n')
    case.conf = stage.private_conf(policy_file=str(path))
    case.app = case.new_app()


class ActionCase(stage.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.upgrades = self.db.repositories.upgrades

    def act(self, action, upgrade_id, **options):
        return self.ask('POST', f'/upgrades/{upgrade_id}/action', {action: {}}, **options)

    def actions(self, upgrade_id, **options):
        """Verdicts by action."""
        answer = self.ask('GET', f'/upgrades/{upgrade_id}/actions', **options)
        self.assertEqual(200, answer.status_int, answer.text)
        return {each['action']: each for each in answer.json['actions']}

    def held(self, instance_id=database.INSTANCE):
        begun = self.db.begin(instance_id, choices=HOLD)
        claimed = self.upgrades.claim(begun.id, 'tm', 60)
        now = self.upgrades.now()
        until = now + datetime.timedelta(days=7)
        waits = claimed.evolve(progress=claimed.progress.held(now, until))
        return self.db.repositories.holds.hold(waits, 60)

    def failed(self, *, may_return=False):
        held = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        held = held.evolve(step=states.Step.BOOT, former_image_id=database.IMAGE_10_11)
        if may_return:
            held = stored.adding(
                held, rebuild_accepted_in_attempt=1, upgrade_info={'stash': 'stash-s1'}
            )
        held = self.upgrades.save(held)
        return self.upgrades.end(held, S.FAILED, cause='no', error_code='BOOT_TIMEOUT').upgrade


class TestCreate(stage.ApiTestCase):
    def create(self, version='11.8.6', instance_id=database.INSTANCE, /, roles=None, **choices):
        body = {'upgrade': {'instance_id': instance_id, 'datastore_version': version, **choices}}
        return self.ask('POST', '/upgrades', body, roles=roles or stage.MEMBER)

    def test_it_begins_as_a_patch_does_and_answers_with_the_upgrade(self):
        answer = self.create()
        shown = answer.json['upgrade']
        self.assertEqual((202, 'PENDING'), (answer.status_int, shown['state']))
        address = f'/v1.0/{database.PROJECT}/upgrades/{shown["id"]}'
        self.assertTrue(answer.headers['Location'].endswith(address))
        self.assertEqual([shown['id']], self.taskmanager.upgrades)
        self.assertEqual(shown, self.ask('GET', f'/upgrades/{shown["id"]}').json['upgrade'])
        chosen = ('on_failure', 'hold', 'not_before', 'held_since', 'held_until')
        self.assertEqual(['error', False, None, None, None], [shown[key] for key in chosen])

    def test_choices_are_kept_and_shown_in_utc(self):
        moment = self.db.repositories.upgrades.now() + datetime.timedelta(hours=5)
        zone = datetime.timezone(datetime.timedelta(hours=2))
        local = moment.astimezone(zone).isoformat(timespec='seconds')
        shown = self.create(on_failure='rollback', not_before=local).json['upgrade']
        utc = moment.replace(tzinfo=None, microsecond=0).isoformat()
        self.assertEqual(
            ('rollback', False, utc),
            (shown['on_failure'], shown['hold'], shown['not_before']),
        )

    def test_a_patch_takes_the_same_choices_and_answers_as_before(self):
        body = {'instance': {'datastore_version': '11.8.6', 'hold': True, 'on_failure': 'error'}}
        answer = self.ask('PATCH', f'/instances/{database.INSTANCE}', body)
        self.assertEqual((202, b''), (answer.status_int, answer.body))
        (listed,) = self.ask('GET', '/upgrades').json['upgrades']
        self.assertEqual((True, 'error'), (listed['hold'], listed['on_failure']))

    def test_what_the_operator_has_chosen_holds_where_the_user_has_not(self):
        self.app = self.new_app(settings=self.settings(rolls_back=True))
        self.assertEqual('rollback', self.create().json['upgrade']['on_failure'])

    def settings(self, **changes):
        return Settings(
            page_size=10, max_body_bytes=65536, public_endpoint=None, region='R', **changes
        )

    def test_what_a_patch_refuses_is_refused(self):
        self.assert_refused(self.create('9.9.9'), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assert_refused(self.create('11.8.6', UNKNOWN), 404, 'INSTANCE_NOT_FOUND')
        self.assert_refused(self.create('11.8.6', 'db1'), 404, 'INSTANCE_NOT_FOUND')
        self.assertEqual(202, self.create().status_int)
        self.assert_refused(self.create(), 422, 'INSTANCE_BUSY')

    def test_bodies_of_another_form_are_refused(self):
        for choices in (
            {'on_failure': 'nothing'},
            {'on_failure': None},
            {'hold': 'true'},
            {'hold': None},
            {'not_before': 5},
            {'not_before': ''},
            {'colour': 'red'},
        ):
            self.assert_refused(self.create(**choices), 400, 'BODY_INVALID')

    def test_a_hold_with_a_time_to_begin_at_is_refused_as_one_would_override_the_other(self):
        moment = self.db.repositories.upgrades.now() + datetime.timedelta(hours=5)
        for text in (moment.isoformat(), '2000-01-01T00:00:00Z'):
            refused = self.create(hold=True, not_before=text)
            self.assert_refused(refused, 400, 'HOLD_AND_NOT_BEFORE')
        self.assertEqual([], self.ask('GET', '/upgrades').json['upgrades'])
        self.assertEqual(202, self.create(hold=False, not_before=moment.isoformat()).status_int)

    def test_a_time_that_is_over_since_a_moment_ago_waits_for_nothing(self):
        moment = self.db.repositories.upgrades.now() - datetime.timedelta(minutes=4)
        self.assertEqual(202, self.create(not_before=moment.isoformat()).status_int)

    def test_a_time_without_a_zone_or_over_or_too_far_ahead_is_refused(self):
        far = self.db.repositories.upgrades.now() + datetime.timedelta(days=7, minutes=1)
        over = self.db.repositories.upgrades.now() - datetime.timedelta(minutes=6)
        for text in (
            'soon',
            '2026-12-01T02:00:00',
            '2026-12-01',
            '0001-01-01T00:00:00+14:00',
            '9999-12-31T23:59:59-14:00',
            far.isoformat(),
            over.isoformat(),
        ):
            self.assert_refused(self.create(not_before=text), 400, 'NOT_BEFORE_INVALID')

    def test_choices_wait_for_the_last_service_of_an_earlier_release(self):
        """Its taskmanager would not hold the upgrade, and its API could not show it."""
        for binary in ('trove-upgrade-taskmanager', 'trove-upgrade-api', 'trove-upgrade-filter'):
            older = {'host': 'host-1', 'binary': binary, 'version': '1.0', 'registration': UNKNOWN}
            moments = {'started_at': database.CREATED, 'seen_at': database.CREATED}
            self.db.insert(models.upgrade_services, **older, **moments)
            for choices in ({'hold': True}, {'on_failure': 'rollback'}):
                self.assert_refused(self.create(**choices), 422, 'SERVICE_OLDER')
            self.db.repositories.services.forget(UNKNOWN, force=True)
        self.assertEqual(202, self.create(hold=True).status_int)

    def test_beside_trove_it_is_never_left_to_trove(self):
        self.app = self.new_app(settings=self.settings(guest_without_agent=GuestWithoutAgent.LEAVE))
        self.assert_refused(self.create(), 422, 'GUEST_AGENT_MISSING')
        body = {'instance': {'datastore_version': '11.8.6', 'hold': True}}
        answer = self.ask('PATCH', f'/instances/{database.INSTANCE}', body)
        self.assert_refused(answer, 422, 'GUEST_AGENT_MISSING')

    def test_who_may_not_patch_may_not_post(self):
        let_only_admins_upgrade(self)
        self.assert_refused(self.create(), 403, 'FORBIDDEN')
        self.assertEqual(202, self.create(roles=stage.ADMIN).status_int)


class TestAct(ActionCase):
    def test_one_that_has_not_begun_is_aborted_at_once_and_as_often_as_asked(self):
        begun = self.db.begin()
        for _ in range(2):
            answer = self.act('abort', begun.id)
            shown = answer.json['upgrade']
            self.assertEqual((202, 'ABORTED'), (answer.status_int, shown['state']))
            self.assertEqual('ABORTED_ON_REQUEST', shown['error_code'])
        self.assertEqual([], self.taskmanager.upgrades)

    def test_one_that_is_being_undone_is_left_to_its_taskmanager(self):
        held = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        told = held.evolve(step=states.Step.QUIESCE, progress=held.progress.told_to_stop(1))
        self.upgrades.save(told)
        for _ in range(2):
            answer = self.act('abort', held.id)
            self.assertEqual((202, 'RUNNING'), (answer.status_int, answer.json['upgrade']['state']))
        self.assertEqual([held.id], self.taskmanager.upgrades)

    def test_one_that_is_held_shows_since_when_and_until_when(self):
        held = self.held()
        shown = self.ask('GET', f'/upgrades/{held.id}').json['upgrade']
        self.assertEqual(('HELD', True), (shown['state'], shown['cancellable']))
        since = datetime.datetime.fromisoformat(shown['held_since'])
        until = datetime.datetime.fromisoformat(shown['held_until'])
        self.assertEqual(datetime.timedelta(days=7), until - since)
        instance = self.ask('GET', f'/instances/{held.instance_id}').json['instance']
        self.assertEqual('ACTIVE', instance['status'])
        self.assert_refused(self.patch('11.8.6'), 422, 'UPGRADE_HELD')

    def test_one_that_is_held_proceeds_once(self):
        held = self.held()
        for _ in range(2):
            answer = self.act('proceed', held.id)
            self.assertEqual((202, 'RUNNING'), (answer.status_int, answer.json['upgrade']['state']))
        self.assertEqual([held.id], self.taskmanager.upgrades)
        instance = self.ask('GET', f'/instances/{held.instance_id}').json['instance']
        self.assertEqual('UPGRADE', instance['status'])

    def test_the_line_of_an_action_names_the_request_of_its_upgrade(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        held = self.held()
        self.act('proceed', held.id)
        self.assertIn(f'{held.instance_id}, of request {held.request_id}: proceed', log.output)

    def test_one_whose_instance_is_busy_stays_held(self):
        held = self.held()
        for changes in (
            {'task_id': int(instances.Task.RESIZING)},
            {'task_id': 1, 'datastore_version_id': database.MARIADB_11_8},
            {'deleted': True},
        ):
            self.db.update_instance(**changes)
            answer = self.act('proceed', held.id)
            self.assertEqual(422, answer.status_int, answer.text)
            self.assertIs(S.HELD, self.upgrades.get(held.id).state)

    def test_what_its_state_does_not_allow_is_409_and_names_what_can_be_done(self):
        running = self.upgrades.claim(self.db.begin().id, 'tm', 60)
        self.upgrades.save(running.evolve(step=states.Step.BOOT, rebuild_attempt=1))
        for action, code in (
            ('abort', 'ABORT_REFUSED'),
            ('proceed', 'PROCEED_REFUSED'),
            ('retry', 'RETRY_REFUSED'),
            ('rollback', 'ROLLBACK_REFUSED'),
        ):
            answer = self.act(action, running.id, roles=stage.ADMIN)
            self.assert_refused(answer, 409, code)

    def test_a_rollback_without_a_way_back_names_the_retry(self):
        answer = self.act('rollback', self.failed().id, roles=stage.ADMIN)
        self.assert_refused(answer, 409, 'ROLLBACK_REFUSED')
        self.assertIn('retry', answer.text)

    def test_one_that_has_failed_is_retried_once(self):
        failed = self.failed()
        for _ in range(2):
            shown = self.act('retry', failed.id, roles=stage.ADMIN).json['upgrade']
            self.assertEqual(('RUNNING', 2), (shown['state'], shown['attempt']))
        self.assertEqual([failed.id], self.taskmanager.upgrades)

    def test_one_that_has_failed_is_rolled_back_once(self):
        failed = self.failed(may_return=True)
        for _ in range(2):
            shown = self.act('rollback', failed.id, roles=stage.ADMIN).json['upgrade']
            self.assertEqual(('RUNNING', 2), (shown['state'], shown['attempt']))
        self.assertTrue(self.upgrades.get(failed.id).is_rolling_back)
        answer = self.act('retry', failed.id, roles=stage.ADMIN)
        self.assert_refused(answer, 409, 'RETRY_REFUSED')

    def test_a_retry_that_the_instance_does_not_allow_is_422(self):
        failed = self.failed()
        self.db.update_instance(task_id=int(instances.Task.RESIZING))
        answer = self.act('retry', failed.id, roles=stage.ADMIN)
        self.assert_refused(answer, 422, 'INSTANCE_CHANGED')

    def test_members_abort_and_proceed_and_admins_do_the_rest(self):
        failed = self.failed()
        for action in ('retry', 'rollback'):
            answer = self.act(action, failed.id)
            self.assert_refused(answer, 403, 'FORBIDDEN')
            self.assertIn(f'trove_upgrade:upgrades:{action}', answer.text)

    def test_who_may_not_begin_an_upgrade_may_neither_abort_nor_proceed_one(self):
        let_only_admins_upgrade(self)
        held = self.held()
        for action in ('abort', 'proceed'):
            answer = self.act(action, held.id)
            self.assert_refused(answer, 403, 'FORBIDDEN')
            self.assertIn(f'trove_upgrade:upgrades:{action}', answer.text)
            shown = self.actions(held.id)[action]
            self.assertEqual(
                (False, 'FORBIDDEN_BY_POLICY'), (shown['allowed'], shown['reason_code'])
            )
        self.assertIs(S.HELD, self.upgrades.get(held.id).state)
        self.assertEqual(202, self.act('proceed', held.id, roles=stage.ADMIN).status_int)

    def test_those_of_other_projects_are_not_there_but_for_admins(self):
        other = self.held(database.OTHER_INSTANCE)
        for action in ('abort', 'proceed'):
            self.assert_refused(self.act(action, other.id), 404, 'UPGRADE_NOT_FOUND')
        self.assert_refused(
            self.ask('GET', f'/upgrades/{other.id}/actions'), 404, 'UPGRADE_NOT_FOUND'
        )
        self.assertEqual(202, self.act('proceed', other.id, roles=stage.ADMIN).status_int)

    def test_ids_of_nothing(self):
        for upgrade_id in (UNKNOWN, 'db1', '%00'):
            self.assert_refused(self.act('abort', upgrade_id), 404, 'UPGRADE_NOT_FOUND')
            answer = self.ask('GET', f'/upgrades/{upgrade_id}/actions')
            self.assert_refused(answer, 404, 'UPGRADE_NOT_FOUND')

    def test_bodies_of_another_form_are_refused(self):
        begun = self.db.begin()
        for body in (
            {},
            [],
            'abort',
            {'stop': {}},
            {'abort': {}, 'proceed': {}},
            {'abort': {'why': 'x'}},
            {'abort': True},
        ):
            answer = self.ask('POST', f'/upgrades/{begun.id}/action', body)
            status = answer.status_int
            self.assertEqual(400, status, (body, answer.text))
        self.assertIs(S.PENDING, self.upgrades.get(begun.id).state)
        answer = self.ask('POST', f'/upgrades/{begun.id}/action', {'abort': None})
        self.assertEqual(202, answer.status_int)


class TestActions(ActionCase):
    def test_each_is_told_with_what_it_would_do_or_why_not(self):
        found = self.actions(self.held().id, roles=stage.ADMIN)
        self.assertEqual(
            {
                'abort': (True, 'ACTION_POSSIBLE'),
                'proceed': (True, 'ACTION_POSSIBLE'),
                'retry': (False, 'RETRY_REFUSED'),
                'rollback': (False, 'ROLLBACK_REFUSED'),
            },
            {name: (each['allowed'], each['reason_code']) for name, each in found.items()},
        )
        for each in found.values():
            self.assertRegex(each['reason'], r'^[A-Z].*\.$')

    def test_the_policy_is_considered(self):
        found = self.actions(self.failed(may_return=True).id)
        codes = {name: each['reason_code'] for name, each in found.items()}
        self.assertEqual(
            ('FORBIDDEN_BY_POLICY', 'FORBIDDEN_BY_POLICY'), (codes['retry'], codes['rollback'])
        )
        self.assertEqual('ABORT_REFUSED', codes['abort'])

    def test_a_reader_is_told_that_none_is_possible(self):
        found = self.actions(self.held().id, roles=stage.READER)
        self.assertEqual({'FORBIDDEN_BY_POLICY'}, {each['reason_code'] for each in found.values()})

    def test_what_was_asked_for_already_is_told_so(self):
        held = self.held()
        self.act('abort', held.id)
        self.assertEqual('ACTION_TAKEN', self.actions(held.id)['abort']['reason_code'])
