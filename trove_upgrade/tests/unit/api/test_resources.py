# SPDX-License-Identifier: Apache-2.0
"""Datastores, upgrades, upgrade targets and upgrade checks."""

import dataclasses
import datetime
import functools
import itertools

import webob
from oslo_context import context as oslo_context

from trove_upgrade.api import call
from trove_upgrade.api.views import upgrades
from trove_upgrade.domain import states
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.upgrades import StepRun, Upgrade
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import stage
from trove_upgrade.tests.unit.domain import test_downtime, test_notes

UNKNOWN = '00000000-0000-4000-8000-00000000ffff'


class TestDatastores(stage.ApiTestCase):
    def test_datastores_come_with_their_active_versions(self):
        mariadb, mysql = self.ask('GET', '/datastores').json['datastores']
        self.assertEqual(
            ('mariadb', database.MARIADB_10_11, ['10.11.14', '11.8.6']),
            (
                mariadb['name'],
                mariadb['default_version'],
                [each['name'] for each in mariadb['versions']],
            ),
        )
        self.assertEqual(
            (False, ['9.7.4']),
            ('default_version' in mysql, [each['name'] for each in mysql['versions']]),
        )

    def test_a_default_version_that_is_not_listed_is_left_out_because_the_client_dies_of_it(self):
        self.db.repositories.datastores.save_version(
            'mariadb',
            '10.11.14',
            manager='mariadb',
            image_id=database.IMAGE_10_11,
            image_tags=(),
            packages='',
            active=False,
        )
        self.assertNotIn(
            'default_version', self.ask('GET', '/datastores/mariadb').json['datastore']
        )
        self.assertIn(
            'default_version',
            self.ask('GET', '/datastores/mariadb', roles=stage.ADMIN).json['datastore'],
        )

    def test_a_datastore_is_found_by_id_and_by_name(self):
        for asked in ('mariadb', database.MARIADB):
            self.assertEqual(
                database.MARIADB, self.ask('GET', f'/datastores/{asked}').json['datastore']['id']
            )

    def test_a_version_is_found_in_three_ways(self):
        for path in (
            '/datastores/mariadb/versions/11.8.6',
            f'/datastores/{database.MARIADB}/versions/{database.MARIADB_11_8}',
            f'/datastores/versions/{database.MARIADB_11_8}',
        ):
            version = self.ask('GET', path).json['version']
            self.assertEqual(
                (database.MARIADB_11_8, '11.8.6', '11.8.6', database.MARIADB),
                (version['id'], version['name'], version['version'], version['datastore']),
            )
            self.assertNotIn('image', version)

    def test_versions_that_are_not_active_are_for_admins(self):
        path = f'/datastores/versions/{database.MARIADB_INACTIVE}'
        self.assert_refused(self.ask('GET', path), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assert_refused(
            self.ask('GET', '/datastores/mariadb/versions/11.8.0'),
            404,
            'DATASTORE_VERSION_NOT_FOUND',
        )
        version = self.ask('GET', path, roles=stage.ADMIN).json['version']
        self.assertEqual(
            (False, database.IMAGE_11_8, [], ''),
            (version['active'], version['image'], version['image_tags'], version['packages']),
        )
        names = [
            each['name']
            for each in self.ask('GET', '/datastores/mariadb/versions', roles=stage.ADMIN).json[
                'versions'
            ]
        ]
        self.assertEqual(['10.11.14', '11.8.0', '11.8.6'], names)

    def test_what_is_not_there_is_404_whatever_it_looks_like(self):
        for name in ('oracle', '%00', '%ff%fe', 'x' * 300, UNKNOWN):
            self.assert_refused(self.ask('GET', f'/datastores/{name}'), 404, 'DATASTORE_NOT_FOUND')
            self.assert_refused(
                self.ask('GET', f'/datastores/{name}/versions'), 404, 'DATASTORE_NOT_FOUND'
            )
            self.assert_refused(
                self.ask('GET', f'/datastores/mariadb/versions/{name}'),
                404,
                'DATASTORE_VERSION_NOT_FOUND',
            )
            self.assert_refused(
                self.ask('GET', f'/datastores/versions/{name}'), 404, 'DATASTORE_VERSION_NOT_FOUND'
            )


class TestUpgradeTargets(stage.ApiTestCase):
    def test_every_version_of_the_datastore_says_whether_and_why(self):
        self.db.add_version(name='10.6.20')
        self.db.add_version(name='11.8.9', image_id=None)
        found = {
            each['name']: (each['allowed'], each['reason_code'], each['current'])
            for each in self.ask(
                'GET', f'/instances/{database.INSTANCE}/upgrade-targets', roles=stage.ADMIN
            ).json['upgrade_targets']
        }
        self.assertEqual(
            {
                '10.11.14': (True, 'SAME_VERSION', True),
                '11.8.6': (True, 'NEXT_SERIES', False),
                '11.8.0': (False, 'DATASTORE_VERSION_INACTIVE', False),
                '10.6.20': (False, 'DOWNGRADE', False),
                '11.8.9': (False, 'DATASTORE_VERSION_HAS_NO_IMAGE', False),
            },
            found,
        )

    def test_a_target_and_a_report_tell_the_downtime_that_past_upgrades_had(self):
        upgrades = self.db.repositories.upgrades
        now = functools.partial(datetime.datetime.now, datetime.UTC)
        for seconds in (9.0, 12.5):
            self.db.follow_clock(lambda: now() - datetime.timedelta(minutes=1))
            held = upgrades.claim(self.db.begin(self.db.add_instance()).id, 'tm', 120)
            self.db.follow_clock(now)
            upgrades.end(
                stored.adding(held, downtime_seconds=seconds), states.UpgradeState.COMPLETED
            )
        path = f'/instances/{database.INSTANCE}'
        found = {
            each['name']: each['expected_downtime']
            for each in self.ask('GET', f'{path}/upgrade-targets').json['upgrade_targets']
        }
        expected = {
            'median_seconds': 12.5,
            'percentile_90_seconds': 25.0,
            'basis': 'too_few',
            'upgrades': 2,
        }
        self.assertEqual({'10.11.14': None, '11.8.6': expected}, found)
        asked = {'upgrade_check': {'datastore_version': '11.8.6'}}
        begun = self.ask('POST', f'{path}/upgrade-checks', asked).json['upgrade_check']
        self.assertEqual(expected, begun['expected_downtime'])
        shown = self.ask('GET', f'{path}/upgrade-checks/{begun["id"]}').json['upgrade_check']
        self.assertEqual(expected, shown['expected_downtime'])

    def test_a_target_tells_whether_its_image_is_the_one_that_was_booted(self):
        path = f'/instances/{database.INSTANCE}/upgrade-targets'

        def told():
            targets = self.ask('GET', path).json['upgrade_targets']
            return {each['name']: each['image_is_booted'] for each in targets}

        self.assertEqual({'10.11.14': None, '11.8.6': None}, told())
        for image_id, wanted in (
            (database.IMAGE_10_11, {'10.11.14': True, '11.8.6': False}),
            ('another', {'10.11.14': False, '11.8.6': False}),
        ):
            self.db.set_image(image_id)
            self.assertEqual(wanted, told())

    def test_what_is_allowed_is_accepted_and_what_is_not_is_refused(self):
        for name in ('10.6.20', '10.11.15', '11.4.2', '12.0.1', '11.8'):
            self.db.add_version(name=name)
        targets = self.ask('GET', f'/instances/{database.INSTANCE}/upgrade-targets').json[
            'upgrade_targets'
        ]
        for target in targets:
            instance_id = self.db.add_instance(name=target['name'])
            status = self.patch(target['id'], instance_id).status_int
            self.assertEqual(202 if target['allowed'] else 400, status, target)

    def test_of_an_instance_that_is_not_there(self):
        self.assert_refused(
            self.ask('GET', f'/instances/{UNKNOWN}/upgrade-targets'), 404, 'INSTANCE_NOT_FOUND'
        )


class TestUpgradeChecks(stage.ApiTestCase):
    path = f'/instances/{database.INSTANCE}/upgrade-checks'

    def create(self, version='11.8.6', **options):
        return self.ask(
            'POST', self.path, {'upgrade_check': {'datastore_version': version}}, **options
        )

    def test_a_check_is_stored_and_a_taskmanager_is_nudged(self):
        response = self.create()
        check = response.json['upgrade_check']
        self.assertEqual(
            (202, 'PENDING', None), (response.status_int, check['state'], check['allowed'])
        )
        self.assertTrue(
            response.headers['Location'].endswith(
                f'/v1.0/{database.PROJECT}{self.path}/{check["id"]}'
            )
        )
        self.assertEqual([check['id']], self.taskmanager.checks)
        self.assertEqual(check, self.ask('GET', f'{self.path}/{check["id"]}').json['upgrade_check'])

    def test_the_report_is_shown_when_it_is_there(self):
        check_id = self.create().json['upgrade_check']['id']
        checks = self.db.repositories.checks
        held = checks.claim(check_id, 'tm', 60)
        result = CheckResult(
            name='guest_disk_space',
            outcome='refused',
            message='Its volume is full.',
            code='GUEST_NO_SPACE',
        )
        checks.finish(dataclasses.replace(held, state='COMPLETED', results=(result,)), 'tm')
        shown = self.ask('GET', f'{self.path}/{check_id}').json['upgrade_check']
        self.assertEqual(('COMPLETED', False), (shown['state'], shown['allowed']))
        self.assertEqual(
            [
                {
                    'name': 'guest_disk_space',
                    'outcome': 'refused',
                    'message': 'Its volume is full.',
                    'code': 'GUEST_NO_SPACE',
                }
            ],
            shown['results'],
        )

    def test_nothing_of_the_instance_changes(self):
        self.create()
        self.assertEqual(
            'ACTIVE', self.ask('GET', f'/instances/{database.INSTANCE}').json['instance']['status']
        )

    def test_versions_and_bodies_are_refused_as_for_an_upgrade(self):
        self.assert_refused(self.create('12.0'), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assert_refused(
            self.create(database.MYSQL_9_7), 400, 'DATASTORE_VERSION_OF_OTHER_DATASTORE'
        )
        self.assert_refused(
            self.ask('POST', self.path, {'instance': {'datastore_version': '11.8.6'}}),
            400,
            'BODY_INVALID',
        )
        self.assert_refused(
            self.ask('POST', self.path, raw=b'x', content_type='text/plain'),
            415,
            'UNSUPPORTED_MEDIA_TYPE',
        )

    def test_a_check_is_not_found_under_another_instance(self):
        check_id = self.create().json['upgrade_check']['id']
        other = self.db.add_instance(name='other')
        for path in (
            f'/instances/{other}/upgrade-checks/{check_id}',
            f'{self.path}/{UNKNOWN}',
            f'{self.path}/x',
        ):
            self.assert_refused(self.ask('GET', path), 404, 'UPGRADE_CHECK_NOT_FOUND')

    def test_a_reader_may_look_and_not_ask(self):
        self.assert_refused(self.create(roles=stage.READER), 403, 'FORBIDDEN')


class TestUpgrades(stage.ApiTestCase):
    def ids(self, path='/upgrades', **options):
        return [each['id'] for each in self.ask('GET', path, **options).json['upgrades']]

    def test_an_upgrade_is_shown_with_its_steps(self):
        begun = self.db.begin()
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(begun.id, 'tm', 60)
        run = StepRun(
            step=states.Step.PRECHECK,
            attempt=1,
            started_at=begun.created_at,
            ended_at=begun.created_at,
            runs=2,
            outcome='done',
            percent=100,
            message='All checks passed.',
        )
        held = upgrades.save(held.evolve(step=states.Step.REBUILD, steps=(run,), rebuild_attempt=1))
        upgrades.end(
            stored.adding(held, downtime_seconds=24.1),
            states.UpgradeState.FAILED,
            cause='Nova says no space.',
            error_code='REBUILD_FAILED',
        )
        shown = self.ask('GET', f'/upgrades/{begun.id}').json['upgrade']
        self.assertEqual(
            ('FAILED', 'rebuild', 1, False, 24.1, 'Nova says no space.', 'REBUILD_FAILED'),
            tuple(
                shown[key]
                for key in (
                    'state',
                    'step',
                    'attempt',
                    'cancellable',
                    'downtime_seconds',
                    'cause',
                    'error_code',
                )
            ),
        )
        self.assertEqual(
            {'id': database.MARIADB_11_8, 'name': '11.8.6', 'version': '11.8.6'},
            shown['target_version'],
        )
        (step,) = shown['steps']
        self.assertEqual(
            ('precheck', 1, 2, 'done', 100, 'All checks passed.'),
            tuple(
                step[key] for key in ('step', 'attempt', 'runs', 'outcome', 'percent', 'message')
            ),
        )
        self.assertIsNotNone(step['started_at'])

    def test_the_parts_of_the_outage_are_shown_alone_and_in_the_list(self):
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(self.db.begin().id, 'tm', 60).evolve(steps=test_downtime.runs())
        told = test_downtime.told(opened_at='2026-11-21T12:00:11+00:00')
        ended = upgrades.end(stored.adding(held, **told), states.UpgradeState.COMPLETED).upgrade
        for shown in (
            self.ask('GET', f'/upgrades/{ended.id}').json['upgrade'],
            self.ask('GET', '/upgrades').json['upgrades'][0],
        ):
            self.assertEqual(
                {'stop': 1.3, 'rebuild': 3.0, 'boot': 0.5, 'restore': 4.9, 'open': 1.0},
                shown['downtime'],
            )
            self.assertEqual('2026-11-21T12:00:11.000', shown['opened_at'])
            self.assertIsNone(shown['rollback_possible_until'])

    def with_data(self, data, db=None):
        """The id of an upgrade that has ended with this in its row."""
        db = db or self.db
        begun = db.begin()
        held = db.repositories.upgrades.claim(begun.id, 'tm', 60)
        return db.repositories.upgrades.end(
            stored.adding(held, **data), states.UpgradeState.COMPLETED
        ).upgrade.id

    def test_what_its_tenant_should_know_of_it_is_shown(self):
        upgrade_id = self.with_data(test_notes.BOREALIS)
        shown = self.ask('GET', f'/upgrades/{upgrade_id}').json['upgrade']
        self.assertEqual(test_notes.BOREALIS['warnings'], shown['warnings'])
        self.assertEqual(
            ['OWNER_NOT_RESTORED', 'TROVE_AGENT_SILENT'],
            [each['code'] for each in shown['remarks']],
        )
        self.assertEqual(
            [
                {
                    'step': 'restore',
                    'code': 'SETTING_CHANGED',
                    'message': "sql_mode was 'A' and is 'B'.",
                    'name': 'sql_mode',
                    'before': 'A',
                    'after': 'B',
                }
            ],
            shown['settings_changed'],
        )
        alone = {'settings_changed', 'expected_downtime', 'expected_seconds_left'}
        for path in ('/upgrades', f'/instances/{database.INSTANCE}/upgrades'):
            (listed,) = self.ask('GET', path).json['upgrades']
            self.assertEqual(
                {key: value for key, value in shown.items() if key not in alone}, listed
            )

    def test_rows_of_earlier_releases_are_shown_too_and_those_that_have_nothing_of_it(self):
        for expanded in (True, False):
            db = self.useFixture(database.SampleDatabase(expanded=expanded))
            self.app = self.new_app(repos=db.repositories)
            for data, wanted in test_notes.GOLDEN:
                upgrade_id = self.with_data(data, db)
                db.update_instance(task_id=1, datastore_version_id=database.MARIADB_10_11)
                shown = self.ask('GET', f'/upgrades/{upgrade_id}').json['upgrade']
                self.assertEqual(
                    wanted,
                    {key: [(each['step'], each['code']) for each in shown[key]] for key in wanted},
                )

    def test_addresses_of_the_operators_network_are_for_admins(self):
        warning = {
            'step': 'precheck',
            'code': 'ENGINE_REFUSED',
            'message': 'The registry 172.24.5.1:5000 refused.',
        }
        upgrade_id = self.with_data(
            {'warnings': [warning], 'remarks': ['From http://nova-int:8774/.']}
        )
        tenants, admins = (
            self.ask('GET', f'/upgrades/{upgrade_id}', roles=roles)
            for roles in (stage.MEMBER, stage.ADMIN)
        )
        self.assertNotIn('172.24', tenants.text)
        self.assertNotIn('nova-int', tenants.text)
        self.assertNotIn('172.24', self.ask('GET', '/upgrades').text)
        self.assertEqual([warning], admins.json['upgrade']['warnings'])

    def test_the_notes_of_an_upgrade_are_made_once_for_each_view(self):
        made = []

        class Counted(Upgrade):
            @property
            def notes(self):
                made.append(self.id)
                return super().notes

        row = self.db.repositories.upgrades.get(self.with_data(test_notes.BOREALIS))
        counted = Counted(
            **{field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
        )
        who = oslo_context.RequestContext(project_id=database.PROJECT, roles=['member'])
        asked = call.Call(
            http=webob.Request.blank(f'/{database.PROJECT}/upgrades'),
            context=who,
            services=self.new_services(),
        )
        for view in (upgrades.show, upgrades.item):
            self.assertEqual(row.id, view(asked, counted, {})['id'])
            self.assertEqual([row.id], made)
            made.clear()

    def test_notes_of_another_project_are_not_told(self):
        upgrade_id = self.with_data(test_notes.BOREALIS)
        self.assert_refused(
            self.ask('GET', f'/upgrades/{upgrade_id}', project_id=database.OTHER_PROJECT),
            404,
            'UPGRADE_NOT_FOUND',
        )

    def test_it_can_be_cancelled_until_nova_has_been_asked(self):
        begun = self.db.begin()
        self.assertTrue(self.ask('GET', f'/upgrades/{begun.id}').json['upgrade']['cancellable'])
        held = self.db.repositories.upgrades.claim(begun.id, 'tm', 60)
        for step in states.STEPS:
            held = self.db.repositories.upgrades.save(held.evolve(step=step))
            shown = self.ask('GET', f'/upgrades/{begun.id}').json['upgrade']
            before = {states.Step.PRECHECK, states.Step.QUIESCE, states.Step.REBUILD}
            self.assertEqual(step in before, shown['cancellable'])
        asked = held.evolve(step=states.Step.REBUILD, rebuild_attempt=1)
        self.db.repositories.upgrades.save(asked)
        shown = self.ask('GET', f'/upgrades/{begun.id}').json['upgrade']
        self.assertFalse(shown['cancellable'])

    def test_a_project_lists_its_own(self):
        mine, other = self.db.begin(), self.db.begin(database.OTHER_INSTANCE)
        self.assertEqual([mine.id], self.ids())
        self.assertEqual([mine.id], self.ids(roles=stage.ADMIN))
        self.assertEqual(
            {mine.id, other.id}, set(self.ids('/upgrades?all_projects=True', roles=stage.ADMIN))
        )
        self.assertEqual(
            [other.id],
            self.ids(f'/upgrades?project_id={database.OTHER_PROJECT}', roles=stage.ADMIN),
        )

    def test_only_admins_see_those_of_others(self):
        other = self.db.begin(database.OTHER_INSTANCE)
        for query in ('all_projects=true', f'project_id={database.OTHER_PROJECT}'):
            self.assert_refused(self.ask('GET', f'/upgrades?{query}'), 403, 'FORBIDDEN')
        self.assert_refused(self.ask('GET', f'/upgrades/{other.id}'), 404, 'UPGRADE_NOT_FOUND')
        self.assertEqual(
            200, self.ask('GET', f'/upgrades/{other.id}', roles=stage.ADMIN).status_int
        )

    def test_filters_choose(self):
        first = self.db.begin()
        second_instance = self.db.add_instance(name='second')
        second = self.db.begin(second_instance)
        self.db.repositories.upgrades.claim(second.id, 'tm', 60)
        self.assertEqual([first.id], self.ids('/upgrades?state=PENDING'))
        self.assertEqual([second.id], self.ids('/upgrades?state=running'))
        self.assertEqual([second.id], self.ids(f'/upgrades?instance_id={second_instance}'))
        self.assertEqual([second.id], self.ids(f'/instances/{second_instance}/upgrades'))
        self.assert_refused(self.ask('GET', '/upgrades?state=SLEEPING'), 400, 'QUERY_INVALID')
        self.assert_refused(self.ask('GET', '/upgrades?instance_id=db1'), 400, 'QUERY_INVALID')

    def test_several_states_a_version_a_name_and_a_time_choose(self):
        first = self.db.begin()
        other = self.db.add_instance(name='second one')
        second = self.db.begin(other, version_id=database.MARIADB_10_11)
        self.db.repositories.upgrades.claim(second.id, 'tm', 60)
        third = self.db.begin(self.db.add_instance(name='third'))
        self.db.repositories.actions.take(Action.ABORT, third.id)
        both = self.ids('/upgrades?state=pending&state=RUNNING')
        self.assertEqual({first.id, second.id}, set(both))
        self.assertEqual(
            [second.id], self.ids(f'/upgrades?target_version_id={database.MARIADB_10_11}')
        )
        self.assertEqual([second.id], self.ids('/upgrades?instance_name=second%20one'))
        self.assertEqual([], self.ids('/upgrades?instance_name=one'))
        later = (first.created_at + datetime.timedelta(days=1)).isoformat().replace('+', '%2B')
        self.assertEqual([], self.ids(f'/upgrades?since={later}'))
        self.assertEqual(3, len(self.ids('/upgrades?since=2026-01-01T00:00:00Z')))
        for query in (
            'state=PENDING&state=x',
            'target_version_id=11.8.6',
            'since=yesterday',
            'since=2026-01-01T00:00:00',
            'instance_name=%00',
            'sort_key=name',
            'sort_dir=up',
        ):
            self.assert_refused(self.ask('GET', f'/upgrades?{query}'), 400, 'QUERY_INVALID')

    def test_pages_of_every_order_have_each_once(self):
        begun = [self.db.begin(self.db.add_instance(name=f'n{number}')) for number in range(5)]
        self.db.repositories.upgrades.claim(begun[1].id, 'tm', 60)
        for key, direction in itertools.product(('created_at', 'updated_at'), ('asc', 'desc')):
            query = f'/upgrades?limit=2&sort_key={key}&sort_dir={direction}'
            seen, page = [], self.ask('GET', query).json
            while True:
                seen += page['upgrades']
                if 'links' not in page:
                    break
                path = page['links'][0]['href'].partition(database.PROJECT)[2]
                page = self.ask('GET', path).json
            self.assertEqual(5, len({each['id'] for each in seen}))
            moments = [each[key] for each in seen]
            self.assertEqual(sorted(moments, reverse=direction == 'desc'), moments)

    def test_one_that_is_worked_on_between_two_pages_moves_alone(self):
        begun = [self.db.begin(self.db.add_instance(name=f'n{number}')).id for number in range(5)]
        for direction in ('asc', 'desc'):
            query = f'/upgrades?limit=2&sort_key=updated_at&sort_dir={direction}'
            first = self.ask('GET', query).json
            wanted = self.ids(query.replace('limit=2', 'limit=5'))
            self.assertEqual(wanted[:2], [each['id'] for each in first['upgrades']])
            self.db.repositories.upgrades.claim(wanted[1], 'tm', 60)  # the last one of its page
            path = first['links'][0]['href'].partition(database.PROJECT)[2]
            self.assertEqual(wanted[2:4], self.ids(path))
            self.assertEqual(set(begun), set(wanted))

    def test_the_time_of_another_order_tells_nothing(self):
        begun = [self.db.begin(self.db.add_instance(name=f'n{number}')).id for number in range(3)]
        late = '2999-01-01T00:00:00Z'
        page = self.ask('GET', f'/upgrades?limit=1&marker={begun[2]}&marker_time={late}').json
        self.assertEqual([begun[1]], [each['id'] for each in page['upgrades']])
        self.assertNotIn('marker_time', page['links'][0]['href'])
        for query in ('marker_time=soon', 'marker_time=2026-01-01T00:00:00'):
            self.assert_refused(self.ask('GET', f'/upgrades?{query}'), 400, 'QUERY_INVALID')

    def test_a_marker_of_another_project_is_not_found(self):
        other = self.db.begin(database.OTHER_INSTANCE)
        self.db.begin()
        for path in ('/upgrades', f'/instances/{database.INSTANCE}/upgrades'):
            for upgrade_id in (other.id, UNKNOWN):
                refused = self.ask('GET', f'{path}?marker={upgrade_id}&sort_key=updated_at')
                self.assert_refused(refused, 404, 'UPGRADE_NOT_FOUND')

    def test_pages_follow_each_other(self):
        expected = {
            self.db.begin(self.db.add_instance(name=f'n{number}')).id for number in range(5)
        }
        seen, query = [], '?limit=2'
        while query:
            page = self.ask('GET', f'/upgrades{query}').json
            seen += [each['id'] for each in page['upgrades']]
            query = '?' + page['links'][0]['href'].partition('?')[2] if 'links' in page else ''
        self.assertEqual((5, expected), (len(seen), set(seen)))

    def test_what_is_not_there_is_404(self):
        for upgrade_id in (UNKNOWN, 'x', '%00'):
            self.assert_refused(
                self.ask('GET', f'/upgrades/{upgrade_id}'), 404, 'UPGRADE_NOT_FOUND'
            )
        self.assert_refused(
            self.ask('GET', f'/instances/{UNKNOWN}/upgrades'), 404, 'INSTANCE_NOT_FOUND'
        )
