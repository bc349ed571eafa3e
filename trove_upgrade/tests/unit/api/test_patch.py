# SPDX-License-Identifier: Apache-2.0
import collections
import json

import fixtures

from trove_upgrade.db import models
from trove_upgrade.domain import instances, states
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

UNKNOWN = '00000000-0000-4000-8000-00000000ffff'


class TestAccepted(stage.ApiTestCase):
    def test_an_upgrade_by_name_is_accepted_with_an_empty_body(self):
        response = self.patch('11.8.6')
        self.assertEqual((202, b''), (response.status_int, response.body))

    def test_an_upgrade_by_id_is_accepted(self):
        self.assertEqual(202, self.patch(database.MARIADB_11_8).status_int)

    def test_put_is_the_same_as_patch(self):
        body = {'instance': {'datastore_version': '11.8.6'}}
        self.assertEqual(202, self.ask('PUT', f'/instances/{database.INSTANCE}', body).status_int)

    def test_the_first_look_after_it_shows_upgrade(self):
        self.patch('11.8.6')
        shown = self.ask('GET', f'/instances/{database.INSTANCE}').json['instance']
        self.assertEqual(
            ('UPGRADE', '', '10.11.14'),
            (shown['status'], shown['operating_status'], shown['datastore']['version']),
        )

    def test_row_and_start_event_are_written_and_a_taskmanager_is_nudged(self):
        response = self.patch('11.8.6', headers={'Content-Type': 'application/json; charset=utf-8'})
        (row,) = self.db.rows(models.instance_upgrades)
        (event,) = self.db.rows(models.upgrade_outbox)
        self.assertEqual(202, response.status_int)
        self.assertEqual(
            ('PENDING', database.IMAGE_11_8, stage.USER),
            (row.state, row.target_image_id, row.user_id),
        )
        self.assertEqual(('start', row.id), (event.kind, event.upgrade_id))
        self.assertEqual([row.id], self.taskmanager.upgrades)

    def test_neither_nova_nor_the_guest_is_asked(self):
        self.servers.is_silent = True
        self.assertEqual(202, self.patch('11.8.6').status_int)
        self.assertEqual(0, self.servers.calls)

    def test_the_same_version_is_allowed(self):
        self.assertEqual(202, self.patch('10.11.14').status_int)

    def test_a_version_that_has_tags_only_leaves_the_image_to_the_precheck(self):
        self.db.add_version(name='11.8.7', image_id=None, image_tags='trove,mariadb')
        self.assertEqual(202, self.patch('11.8.7').status_int)
        self.assertEqual('', self.db.rows(models.instance_upgrades)[0].target_image_id)

    def test_an_admin_upgrades_the_instance_of_another_project(self):
        self.assertEqual(
            202, self.patch('11.8.6', database.OTHER_INSTANCE, roles=stage.ADMIN).status_int
        )


class TestRefusedBodies(stage.ApiTestCase):
    def refuse(self, raw, status=400, error_code='BODY_NOT_JSON', **options):
        response = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=raw, **options)
        self.assert_refused(response, status, error_code)
        self.assertEqual([], self.db.rows(models.instance_upgrades))
        return response

    def test_what_is_not_json(self):
        for raw in (
            b'{',
            b'',
            b'nonsense',
            b'\xff\xfe',
            b'[' * 60000,
            b'{"instance": NaN}',
            b'\xef\xbb\xbf{}',
            b'1' * 5000,
        ):
            self.refuse(raw)

    def test_what_is_of_the_wrong_shape(self):
        for document in (
            [],
            'x',
            1,
            None,
            {},
            {'instance': {}},
            {'instance': []},
            {'instance': None},
            {'datastore_version': '11.8.6'},
        ):
            self.refuse(json.dumps(document).encode(), 400, 'BODY_INVALID')

    def test_unknown_and_conflicting_attributes(self):
        for more in (
            {'name': 'x'},
            {'configuration': UNKNOWN},
            {'slave_of': ''},
            {'replica_of': UNKNOWN},
            {'colour': 'red'},
        ):
            self.refuse(
                json.dumps({'instance': {'datastore_version': '11.8.6', **more}}).encode(),
                400,
                'BODY_INVALID',
            )
        self.refuse(
            json.dumps({'instance': {'datastore_version': '11.8.6'}, 'more': 1}).encode(),
            400,
            'BODY_INVALID',
        )

    def test_wrong_types_lengths_and_characters(self):
        for version in (
            None,
            1,
            True,
            [],
            {},
            '',
            ' ',
            '\t',
            'x' * 256,
            'a\x00b',
            'a\nb',
            '\ud800',
        ):
            self.refuse(
                json.dumps({'instance': {'datastore_version': version}}).encode(),
                400,
                'BODY_INVALID',
            )

    def test_a_key_that_comes_twice(self):
        self.refuse(
            b'{"instance": {"datastore_version": "10.11.14", "datastore_version": "11.8.6"}}',
            400,
            'BODY_DUPLICATE_KEY',
        )
        self.refuse(
            b'{"instance": {"datastore_version": "11.8.6"}, "instance": {}}',
            400,
            'BODY_DUPLICATE_KEY',
        )

    def test_a_body_over_the_bound(self):
        self.refuse(b' ' * 65537, 413, 'BODY_TOO_LARGE')
        self.refuse(b' ' * 65536, 400, 'BODY_NOT_JSON')

    def test_a_body_that_is_announced_over_the_bound_is_not_read(self):
        response = self.ask(
            'PATCH',
            f'/instances/{database.INSTANCE}',
            raw=b'{}',
            headers={'Content-Length': '9' * 12},
        )
        self.assert_refused(response, 413, 'BODY_TOO_LARGE')

    def test_lengths_that_are_none(self):
        for length in ('-1', '+5', '1_0', 'x', '²', '', '9' * 4000):
            response = self.app.do_request(self.request_of_length(length), expect_errors=True)
            self.assert_refused(response, 400, 'BODY_LENGTH_UNKNOWN')

    def request_of_length(self, length):
        request = stage.webtest.TestRequest.blank(
            f'/{database.PROJECT}/instances/{database.INSTANCE}', method='PATCH'
        )
        request.headers['X-Auth-Token'] = stage.token()
        request.body, request.content_type = b'{}', 'application/json'
        request.environ['CONTENT_LENGTH'] = length
        return request

    def test_a_body_in_chunks(self):
        self.refuse(b'{}', 400, 'BODY_LENGTH_UNKNOWN', headers={'Transfer-Encoding': 'chunked'})

    def test_a_body_of_another_type(self):
        raw = json.dumps({'instance': {'datastore_version': '11.8.6'}}).encode()
        for content_type in (
            'text/plain',
            'application/xml',
            'application/x-www-form-urlencoded',
            'application/jsonp',
            '',
        ):
            self.refuse(raw, 415, 'UNSUPPORTED_MEDIA_TYPE', content_type=content_type)
        self.refuse(raw, 415, 'UNSUPPORTED_MEDIA_TYPE', headers={'Content-Encoding': 'gzip'})


class TestRefusedTargets(stage.ApiTestCase):
    def test_a_version_that_nobody_knows(self):
        self.assert_refused(self.patch('12.0'), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assert_refused(self.patch(UNKNOWN), 404, 'DATASTORE_VERSION_NOT_FOUND')
        self.assertIn('datastore mariadb', self.fault(self.patch(UNKNOWN))['message'])

    def test_a_version_of_another_datastore(self):
        response = self.patch(database.MYSQL_9_7)
        self.assert_refused(response, 400, 'DATASTORE_VERSION_OF_OTHER_DATASTORE')
        self.assertIn('mysql', self.fault(response)['message'])

    def test_the_name_of_a_version_of_another_datastore_is_unknown(self):
        self.assert_refused(self.patch('9.7.4'), 404, 'DATASTORE_VERSION_NOT_FOUND')

    def test_a_version_that_is_not_active(self):
        self.assert_refused(
            self.patch(database.MARIADB_INACTIVE), 400, 'DATASTORE_VERSION_INACTIVE'
        )

    def test_a_name_that_several_versions_have(self):
        first = self.db.add_version(name='11.8', number='11.8.6')
        self.db.add_version(name='11.8', number='11.8.7')
        response = self.patch('11.8')
        self.assert_refused(response, 400, 'DATASTORE_VERSION_AMBIGUOUS')
        self.assertIn(first, self.fault(response)['message'])
        self.assertEqual(202, self.patch(first).status_int)

    def test_a_version_without_an_image(self):
        self.db.add_version(name='11.8.9', image_id=None)
        self.assert_refused(self.patch('11.8.9'), 400, 'DATASTORE_VERSION_HAS_NO_IMAGE')

    def test_downgrades_and_skips(self):
        for name in ('10.6.20', '10.11.13', '13.0', 'latest'):
            self.db.add_version(name=name)
            response = self.patch(name)
            self.assert_refused(response, 400, 'VERSION_NOT_ALLOWED')
        self.assertEqual([], self.db.rows(models.instance_upgrades))

    def test_a_version_that_another_manager_serves(self):
        self.db.add_version(name='11.8.8', manager='mysql')
        self.assert_refused(self.patch('11.8.8'), 400, 'VERSION_NOT_ALLOWED')

    def test_the_number_counts_where_there_is_one(self):
        self.db.add_version(name='newest', number='11.8.8')
        self.assertEqual(202, self.patch('newest').status_int)


class TestRefusedInstances(stage.ApiTestCase):
    def test_unknown_malformed_deleted_and_foreign_ids_are_all_the_same_404(self):
        messages = set()
        for instance_id in (
            UNKNOWN,
            'db1',
            database.DELETED_INSTANCE,
            database.OTHER_INSTANCE,
            'x' * 500,
            '%00',
            '%ff',
            "'--",
            database.INSTANCE + '.json',
            '{' + database.INSTANCE[:34] + '}',
        ):
            response = self.patch('11.8.6', instance_id)
            self.assert_refused(response, 404, 'INSTANCE_NOT_FOUND')
            self.assertIn('itemNotFound', response.json)
            messages.add(self.fault(response)['message'].partition(' cannot ')[2])
        self.assertEqual(1, len(messages))

    def test_an_instance_that_is_busy(self):
        for task in instances.Task:
            if task in {instances.Task.NONE, instances.Task.BUSY_OTHER}:
                continue
            self.db.update_instance(task_id=int(task))
            response = self.patch('11.8.6')
            self.assert_refused(response, 422, 'INSTANCE_BUSY')
            self.assertIn('unprocessableEntity', response.json)
        self.assertEqual([], self.db.rows(models.instance_upgrades))

    def test_an_instance_whose_backup_runs(self):
        with self.db.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO backups (id, name, instance_id, state, deleted) VALUES ('b1', 'b', "
                "?, 'BUILDING', 0)",
                (database.INSTANCE,),
            )
        response = self.patch('11.8.6')
        self.assert_refused(response, 422, 'INSTANCE_BUSY')
        self.assertIn('BACKUP', self.fault(response)['message'])

    def test_an_instance_without_a_server(self):
        self.db.update_instance(compute_instance_id=None)
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_HAS_NO_SERVER')

    def test_a_second_upgrade_while_one_runs(self):
        self.patch('11.8.6')
        self.assert_refused(self.patch('11.8.6'), 422, 'INSTANCE_BUSY')
        self.assertEqual(1, len(self.taskmanager.upgrades))

    def test_an_instance_whose_upgrade_has_failed_names_the_retry(self):
        begun = self.db.begin()
        held = self.db.repositories.upgrades.claim(begun.id, 'tm', 60)
        self.db.repositories.upgrades.end(
            held, states.UpgradeState.FAILED, cause='No space was left.', error_code='NO_SPACE'
        )
        response = self.patch('11.8.6')
        self.assert_refused(response, 422, 'INSTANCE_NEEDS_RETRY')
        self.assertIn(f'upgrade retry {begun.id}', self.fault(response)['message'])


class TestFiftyAtOnce(stage.ApiTestCase):
    def database_url(self):
        return f'sqlite:///{self.useFixture(fixtures.TempDir()).path}/api.db?timeout=60'

    def test_exactly_one_of_fifty_is_accepted(self):
        answers = stage.in_threads(50, lambda _: self.patch('11.8.6').status_int)
        self.assertEqual({202: 1, 422: 49}, dict(collections.Counter(answers)))
        self.assertEqual(1, len(self.db.rows(models.instance_upgrades)))
        self.assertEqual(1, len(self.taskmanager.upgrades))
