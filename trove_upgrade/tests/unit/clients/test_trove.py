# SPDX-License-Identifier: Apache-2.0
"""The client of Trove against HTTP on loopback: requests as Trove takes them, and what each answer
means.
"""

import pathlib

import fixtures

from trove_upgrade.clients import clouds
from trove_upgrade.clients.trove import Trove
from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.compute import Address
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

INSTANCE = {
    'id': 'i1',
    'name': 'db1',
    'status': 'ACTIVE',
    'operating_status': 'HEALTHY',
    'flavor': {'id': '6', 'links': []},
    'datastore': {'type': 'mariadb', 'version': 'new', 'version_number': '11.8.6'},
    'volume': {'size': 2, 'used': 0.1},
    'ip': ['10.0.0.7', '192.0.2.7'],
    'addresses': [
        {'address': '10.0.0.7', 'type': 'private', 'network': 'net'},
        {'address': '192.0.2.7', 'type': 'public'},
    ],
    'tenant_id': 'p1',
    'server_id': 's1',
    'fault': {'message': 'why', 'created': '2026-01-01T00:00:00', 'details': None},
}
AS_INSTANCE = domain.DatabaseInstance(
    id='i1',
    name='db1',
    status='ACTIVE',
    operating_status='HEALTHY',
    datastore='mariadb',
    version_name='new',
    version_number='11.8.6',
    addresses=(Address('10.0.0.7', 'private', 'net'), Address('192.0.2.7', 'public', '')),
    project_id='p1',
    server_id='s1',
    flavor_id='6',
    volume_size_gb=2,
    fault='why',
)
BACKUP = {'id': 'b1', 'name': 'n', 'status': 'COMPLETED', 'instance_id': 'i1', 'parent_id': None}
AS_BACKUP = domain.ShownBackup(
    id='b1', name='n', status='COMPLETED', instance_id='i1', parent_id=None
)
NOT_FOUND = (404, {'itemNotFound': {'code': 404, 'message': 'Resource i1 cannot be found.'}})
#: Routes' own answer where a release has no such resource.
NO_ROUTE = (404, {'itemNotFound': {'code': 404, 'message': 'The resource could not be found.'}})
#: As Trove links to the next page: the marker is quoted twice.
NEXT = 'https://host/v1.0/p/instances/i1/users?marker=app%2540%2525'


class TroveTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.trove = Trove.from_conf(self.cloud.conf())

    def answers(self, method, path, answer):
        self.cloud.answers[method, f'/v1.0/s{path}'] = answer

    def asked(self, method, path):
        return self.cloud.asked(method, f'/v1.0/s{path}')


class TestReading(TroveTestCase):
    def test_an_instance_is_asked_for_in_the_project_of_the_token_and_nothing_is_discovered(self):
        self.answers('GET', '/instances/i1', (200, {'instance': INSTANCE}))
        self.assertEqual(AS_INSTANCE, self.trove.instance('i1'))
        paths = [path for _, path, _ in self.cloud.requests if not path.startswith('/v3')]
        self.assertEqual(['/v1.0/s/instances/i1'], paths)
        self.assertEqual(
            ['application/json'], self.cloud.headers('GET', '/v1.0/s/instances/i1', 'Accept')
        )

    def test_what_older_releases_and_services_alone_leave_out_is_not_known(self):
        bare = {
            'id': 'i1',
            'name': 'db1',
            'status': 'BUILD',
            'datastore': {'type': None, 'version': None},
            'ip': ['10.0.0.7'],
        }
        self.answers('GET', '/instances/i1', (200, {'instance': bare}))
        found = self.trove.instance('i1')
        self.assertEqual(
            (None, None, None, None, (Address('10.0.0.7', 'private', ''),)),
            (
                found.operating_status,
                found.version_number,
                found.server_id,
                found.volume_size_gb,
                found.addresses,
            ),
        )

    def test_an_instance_that_is_not_there_is_told_from_no_answer(self):
        self.answers('GET', '/instances/i1', NOT_FOUND)
        self.assertRaises(exceptions.InstanceNotFound, self.trove.instance, 'i1')

    def test_a_version_is_found_by_its_id_alone(self):
        version = {'id': 'v', 'name': 'new', 'version': '11.8.6', 'datastore': 'd', 'links': []}
        self.answers('GET', '/datastores/versions/v', (200, {'version': version}))
        self.assertEqual(
            domain.OfferedVersion(id='v', name='new', number='11.8.6', datastore_id='d'),
            self.trove.version('v'),
        )

    def test_backups_are_listed_and_shown(self):
        self.answers('GET', '/instances/i1/backups', (200, {'backups': [BACKUP], 'links': []}))
        self.answers('GET', '/backups/b1', (200, {'backup': BACKUP}))
        self.assertEqual((AS_BACKUP,), self.trove.backups('i1'))
        self.assertEqual(AS_BACKUP, self.trove.backup('b1'))

    def test_a_list_is_read_to_its_last_page(self):
        pages = {
            '': {'users': [{'name': 'app', 'host': '%'}], 'links': [{'rel': 'next', 'href': NEXT}]},
            'marker=app%40%25': {'users': [{'name': 'b', 'host': None}], 'links': []},
        }
        self.answers('GET', '/instances/i1/users', lambda query: (200, pages[query]))
        self.assertEqual(
            (domain.DatabaseUser('app', '%'), domain.DatabaseUser('b', None)),
            self.trove.users('i1'),
        )

    def test_pages_that_do_not_end_are_no_answer(self):
        page = {'instances': [], 'links': [{'rel': 'next', 'href': '/x?marker=again'}]}
        self.answers('GET', '/instances', (200, page))
        error = self.assertRaises(domain.DatabaseServiceUnavailable, self.trove.instances)
        self.assertIn('again comes twice', error.message)

    def test_an_id_from_outside_cannot_lead_to_another_address(self):
        self.answers('GET', '/instances/../backups', (200, {'instance': INSTANCE}))
        self.trove.instance('../backups')
        self.assertEqual(1, len(self.asked('GET', '/instances/../backups')))


class TestClouds(TroveTestCase):
    CLOUD = """
clouds:
  ours:
    auth: {{auth_url: {url}/v3, username: u, password: p, project_name: s,
            user_domain_name: Default, project_domain_name: Default}}
    region_name: R
    interface: internal
    {more}
"""

    def of_cloud(self, more=''):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'clouds.yaml')
        path.write_text(self.CLOUD.format(url=self.cloud.url, more=more))
        self.useFixture(fixtures.EnvironmentVariable('OS_CLIENT_CONFIG_FILE', str(path)))
        return Trove.of_cloud(clouds.region('ours', 1.0))

    def test_it_is_asked_where_clouds_yaml_has_it(self):
        self.answers('GET', '/instances/i1', (200, {'instance': INSTANCE}))
        self.assertEqual(AS_INSTANCE, self.of_cloud().instance('i1'))

    def test_an_endpoint_of_the_operators_choice_is_taken(self):
        self.cloud.answers['GET', '/db/v1.0/s/instances/i1'] = (200, {'instance': INSTANCE})
        override = f'database_endpoint_override: {self.cloud.url}/db/v1.0/%(project_id)s'
        self.assertEqual(AS_INSTANCE, self.of_cloud(override).instance('i1'))


class TestAnswers(TroveTestCase):
    def test_what_tells_nothing_definite_is_no_answer(self):
        for answer in (
            (500, {'instanceFault': {'code': 500, 'message': 'id 7'}}),
            (503, {}),
            (403, {'forbidden': {'code': 403, 'message': 'policy'}}),
            (200, {'other': {}}),
            (200, []),
        ):
            with self.subTest(answer):
                self.answers('GET', '/instances/i1', answer)
                error = self.assertRaises(
                    domain.DatabaseServiceUnavailable, self.trove.instance, 'i1'
                )
                self.assertIn('instance i1', error.message)

    def test_a_trove_that_hangs_is_no_answer(self):
        self.answers('GET', '/instances/i1', 'hang')
        impatient = Trove.from_conf(self.cloud.conf(compute_timeout=cloud.IMPATIENT))
        self.assertRaises(domain.DatabaseServiceUnavailable, impatient.instance, 'i1')

    def test_a_keystone_that_is_away_and_a_catalog_without_the_service_are_no_answer(self):
        self.cloud.answers['POST', '/v3/auth/tokens'] = (500, {})
        self.assertRaises(domain.DatabaseServiceUnavailable, self.trove.instance, 'i1')
        del self.cloud.answers['POST', '/v3/auth/tokens']
        conf = self.cloud.conf()
        conf.set_override('region_name', 'elsewhere', 'service_credentials')
        self.assertRaises(domain.DatabaseServiceUnavailable, Trove.from_conf(conf).instance, 'i1')

    def test_a_limit_of_requests_is_waited_for_as_long_as_trove_asks_for(self):
        limit = (413, {'overLimit': {'code': 413, 'message': 'slow down'}}, {'Retry-After': '0'})
        answers = [limit, limit, (200, {'instance': INSTANCE})]
        self.answers('GET', '/instances/i1', lambda _: answers.pop(0))
        self.assertEqual(AS_INSTANCE, self.trove.instance('i1'))

    def test_one_that_lasts_is_no_answer_and_a_quota_is_a_refusal(self):
        limit = (413, {'overLimit': {'code': 413, 'message': 'slow down'}}, {'Retry-After': '0'})
        self.answers('GET', '/instances/i1', limit)
        self.assertRaises(domain.DatabaseServiceUnavailable, self.trove.instance, 'i1')
        self.answers('POST', '/instances', (413, {'overLimit': {'message': 'quota'}}))
        error = self.assertRaises(
            domain.DatabaseServiceRefused, self.trove.create_instance, a_new_instance()
        )
        self.assertIn('quota (status 413)', error.message)
        self.assertEqual(1, len(self.asked('POST', '/instances')))


class TestUpgrade(TroveTestCase):
    def test_it_is_asked_for_by_the_id_of_the_version(self):
        self.answers('PATCH', '/instances/i1', (202, None))
        self.trove.upgrade('i1', 'v2')
        self.assertEqual(
            [{'instance': {'datastore_version': 'v2'}}], self.asked('PATCH', '/instances/i1')
        )

    def test_a_refusal_has_its_status_its_code_and_its_words(self):
        fault = {'code': 422, 'message': 'It is busy.', 'error_code': 'INSTANCE_BUSY'}
        self.answers('PATCH', '/instances/i1', (422, {'unprocessableEntity': fault}))
        error = self.assertRaises(domain.DatabaseServiceRefused, self.trove.upgrade, 'i1', 'v2')
        self.assertEqual((422, 'INSTANCE_BUSY'), (error.status, error.error_code))
        self.assertIn('It is busy (status 422)', error.message)

    def test_a_refusal_of_another_form_has_its_status(self):
        for body in ({}, [], 'text', b'<html>', {'badRequest': 'text'}):
            with self.subTest(body):
                self.answers('PATCH', '/instances/i1', (400, body))
                error = self.assertRaises(
                    domain.DatabaseServiceRefused, self.trove.upgrade, 'i1', 'v2'
                )
                self.assertEqual((400, None), (error.status, error.error_code))


class TestUsers(TroveTestCase):
    def test_one_is_created_and_dropped_as_trove_takes_it(self):
        self.answers('POST', '/instances/i1/users', (202, None))
        self.answers('DELETE', '/instances/i1/users/tu_check_1', (202, None))
        self.trove.create_user('i1', 'tu_check_1', 'secret')
        self.trove.drop_user('i1', 'tu_check_1')
        self.assertEqual(
            [{'users': [{'name': 'tu_check_1', 'password': 'secret'}]}],
            self.asked('POST', '/instances/i1/users'),
        )
        self.assertEqual(1, len(self.asked('DELETE', '/instances/i1/users/tu_check_1')))

    def test_its_password_is_in_no_log(self):
        log = self.useFixture(fixtures.FakeLogger(level=0))
        self.answers('POST', '/instances/i1/users', (202, None))
        self.answers('GET', '/instances/i1', (200, {'instance': INSTANCE}))
        self.trove.instance('i1')
        self.trove.create_user('i1', 'name', 'canary-5d1')
        self.assertIn('/instances/i1', log.output)  # requests are in it
        self.assertNotIn('canary-5d1', log.output)

    def test_one_that_is_not_there_is_dropped(self):
        self.answers('DELETE', '/instances/i1/users/x', NOT_FOUND)
        self.trove.drop_user('i1', 'x')
        self.assertEqual(1, len(self.asked('DELETE', '/instances/i1/users/x')))

    def test_a_service_without_the_resource_is_told_from_an_instance_that_is_not_there(self):
        for path, ask in (
            ('/instances/i1/users', lambda: self.trove.users('i1')),
            ('/instances/i1/backups', lambda: self.trove.backups('i1')),
        ):
            for answer in (NO_ROUTE, (501, {'notImplemented': {'message': 'no'}}), (405, {})):
                with self.subTest(path, answer=answer):
                    self.answers('GET', path, answer)
                    self.answers('GET', '/instances/i1', (200, {'instance': INSTANCE}))
                    self.assertRaises(domain.NotOffered, ask)
                    self.answers('GET', '/instances/i1', NOT_FOUND)
                    self.assertRaises(exceptions.InstanceNotFound, ask)


def a_new_instance(**changes):
    return domain.NewInstance(
        **{
            'name': 'smoke',
            'datastore': 'd',
            'version': 'v',
            'flavor_id': '6',
            'volume_size_gb': 2,
            'network_id': 'net',
            **changes,
        }
    )


class TestInstances(TroveTestCase):
    def test_one_is_made_as_trove_takes_it(self):
        self.answers('POST', '/instances', (200, {'instance': INSTANCE}))
        self.assertEqual(AS_INSTANCE, self.trove.create_instance(a_new_instance()))
        self.trove.create_instance(a_new_instance(volume_size_gb=None, network_id=None))
        bare = {
            'name': 'smoke',
            'flavorRef': '6',
            'datastore': {'type': 'd', 'version': 'v'},
        }
        whole = {**bare, 'volume': {'size': 2}, 'nics': [{'net-id': 'net'}]}
        self.assertEqual(
            [{'instance': whole}, {'instance': bare}], self.asked('POST', '/instances')
        )

    def test_a_service_that_makes_none_offers_none(self):
        self.answers('POST', '/instances', (405, {'badMethod': {'message': 'no'}}))
        self.assertRaises(domain.NotOffered, self.trove.create_instance, a_new_instance())

    def test_one_is_reset_and_deleted_and_one_that_is_gone_is_no_error(self):
        for answer in ((202, None), NOT_FOUND):
            with self.subTest(answer):
                self.answers('POST', '/instances/i1/action', answer)
                self.answers('DELETE', '/instances/i1', answer)
                self.trove.reset_status('i1')
                self.trove.delete_instance('i1')
        self.assertEqual([{'reset_status': {}}] * 2, self.asked('POST', '/instances/i1/action'))
        self.assertEqual(2, len(self.asked('DELETE', '/instances/i1')))

    def test_a_refusal_of_a_reading_is_told(self):
        for path, ask in (
            ('/instances/i1', lambda: self.trove.instance('i1')),
            ('/instances/i1/users', lambda: self.trove.users('i1')),
        ):
            with self.subTest(path):
                self.answers('GET', path, (422, {'unprocessableEntity': {'message': 'busy'}}))
                error = self.assertRaises(domain.DatabaseServiceRefused, ask)
                self.assertEqual(422, error.status)

    def test_one_that_is_built_is_not_deleted(self):
        self.answers('DELETE', '/instances/i1', (422, {'unprocessableEntity': {'message': 'no'}}))
        error = self.assertRaises(domain.DatabaseServiceRefused, self.trove.delete_instance, 'i1')
        self.assertEqual(422, error.status)
