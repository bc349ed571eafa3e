# SPDX-License-Identifier: Apache-2.0
import datetime

from trove_upgrade.api import services
from trove_upgrade.db import trove_tables
from trove_upgrade.domain import compute, instances, states
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage

_SHOW = f'/instances/{database.INSTANCE}'
_NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)


class TestShow(stage.ApiTestCase):
    def show(self, **options):
        return self.ask('GET', _SHOW, **options).json['instance']

    def test_an_instance_has_what_the_released_clients_read(self):
        shown = self.show()
        host = 'http://localhost'  # as the request names it
        link = f'{host}/v1.0/{database.PROJECT}'
        self.assertEqual(
            {
                'id': database.INSTANCE,
                'name': 'db1',
                'status': 'ACTIVE',
                'operating_status': 'HEALTHY',
                'region': 'RegionOne',
                'links': [
                    {'rel': 'self', 'href': f'{link}/instances/{database.INSTANCE}'},
                    {'rel': 'bookmark', 'href': f'{host}/instances/{database.INSTANCE}'},
                ],
                'flavor': {
                    'id': '6',
                    'links': [
                        {'rel': 'self', 'href': f'{link}/flavors/6'},
                        {'rel': 'bookmark', 'href': f'{host}/flavors/6'},
                    ],
                },
                'datastore': {
                    'type': 'mariadb',
                    'version': '10.11.14',
                    'version_number': '10.11.14',
                },
                'volume': {'size': 1},
                'ip': ['10.1.0.62'],
                'addresses': [{'address': '10.1.0.62', 'type': 'private', 'network': 'net-1'}],
                'access': {'is_public': False, 'allowed_cidrs': []},
                'created': '2026-01-01T20:58:35',
                'updated': '2026-01-01T20:58:35',
                'service_status_updated': shown['service_status_updated'],
            },
            shown,
        )

    def test_an_admin_sees_more(self):
        shown = self.show(roles=stage.ADMIN)
        self.assertEqual(
            (database.PROJECT, database.SERVER, None, False),
            (
                shown['tenant_id'],
                shown['server_id'],
                shown['volume_id'],
                shown['encrypted_rpc_messaging'],
            ),
        )

    def test_an_admin_sees_the_instance_of_another_project(self):
        response = self.ask('GET', f'/instances/{database.OTHER_INSTANCE}', roles=stage.ADMIN)
        self.assertEqual(database.OTHER_PROJECT, response.json['instance']['tenant_id'])

    def test_a_name_instead_of_an_id_is_404_so_that_clients_go_on_to_look_it_up(self):
        self.assert_refused(self.ask('GET', '/instances/db1'), 404, 'INSTANCE_NOT_FOUND')

    def test_a_public_address_is_shown_as_one(self):
        self.servers.addresses += (compute.Address('172.24.5.114', 'public', 'ext'),)
        shown = self.show()
        self.assertTrue(shown['access']['is_public'])
        self.assertEqual(['10.1.0.62', '172.24.5.114'], shown['ip'])
        self.assertEqual({'address': '172.24.5.114', 'type': 'public'}, shown['addresses'][1])

    def test_a_host_name_replaces_addresses(self):
        self.db.update_instance(hostname='db1.example.org')
        shown = self.show()
        self.assertEqual(
            ('db1.example.org', False, False),
            (shown['hostname'], 'ip' in shown, 'addresses' in shown),
        )

    def test_the_fault_of_an_instance_has_its_details_for_admins_only(self):
        self.db.insert(
            trove_tables.instance_faults,
            id='f1',
            instance_id=database.INSTANCE,
            message='No space.',
            details='step quiesce',
            created=_NOW,
            updated=_NOW,
            deleted=False,
        )
        fault = {'message': 'No space.', 'created': '2026-01-02T03:04:05', 'details': None}
        self.assertEqual(fault, self.show()['fault'])
        self.assertEqual('step quiesce', self.show(roles=stage.ADMIN)['fault']['details'])

    def test_replicas_and_their_source_point_at_each_other(self):
        replica = self.db.add_instance(name='copy', slave_of_id=database.INSTANCE)
        self.assertEqual([replica], [each['id'] for each in self.show()['replicas']])
        shown = self.ask('GET', f'/instances/{replica}').json['instance']
        self.assertEqual(database.INSTANCE, shown['replica_of']['id'])

    def test_the_request_id_of_the_process_is_not_invented_twice(self):
        self.assertEqual(
            200, self.ask('GET', _SHOW, headers={'X-Openstack-Request-Id': 'x'}).status_int
        )


class TestStatus(stage.ApiTestCase):
    def statuses(self):
        shown = self.ask('GET', _SHOW).json['instance']
        return shown['status'], shown['operating_status']

    def test_the_task_comes_first(self):
        expected = {
            instances.Task.UPGRADING: 'UPGRADE',
            instances.Task.BUILDING: 'BUILD',
            instances.Task.REBOOTING: 'REBOOT',
            instances.Task.RESIZING: 'RESIZE',
            instances.Task.PROMOTING: 'PROMOTE',
            instances.Task.EJECTING: 'EJECT',
            instances.Task.DETACHING: 'DETACH',
            instances.Task.DELETING: 'SHUTDOWN',
            instances.Task.UPGRADING_ERROR: 'ERROR',
            instances.Task.BUILDING_ERROR_SERVER: 'ERROR',
            instances.Task.BUILDING_ERROR_TIMEOUT_GA: 'ERROR',
            instances.Task.SHRINKING_ERROR: 'ERROR',
            instances.Task.LOGGING: 'ACTIVE',
        }
        self.servers.statuses[database.SERVER] = 'ACTIVE'
        for task, status in expected.items():
            self.db.update_instance(task_id=int(task))
            self.assertEqual((status, ''), self.statuses())
        self.db.update_instance(task_id=0x77)
        self.assertEqual(('UNKNOWN', ''), self.statuses())

    def test_a_rebuild_in_mid_upgrade_still_shows_upgrade(self):
        self.db.update_instance(task_id=int(instances.Task.UPGRADING))
        self.servers.statuses[database.SERVER] = 'REBUILD'
        self.assertEqual(('UPGRADE', ''), self.statuses())

    def test_then_the_server(self):
        for found, status in {
            'ACTIVE': 'ACTIVE',
            'BUILD': 'BUILD',
            'ERROR': 'ERROR',
            'REBOOT': 'REBOOT',
            'RESIZE': 'RESIZE',
            'VERIFY_RESIZE': 'RESIZE',
            'SHUTDOWN': 'SHUTDOWN',
            'REBUILD': 'UNKNOWN',
            'SHUTOFF': 'UNKNOWN',
            'PAUSED': 'UNKNOWN',
        }.items():
            self.servers.statuses[database.SERVER] = found
            self.assertEqual((status, 'HEALTHY' if status == 'ACTIVE' else ''), self.statuses())

    def test_a_server_that_nova_does_not_have(self):
        self.servers.missing.add(database.SERVER)
        self.assertEqual(('SHUTDOWN', ''), self.statuses())

    def test_a_backup_before_the_server(self):
        self.db.insert(
            trove_tables.backups,
            id='b1',
            name='b',
            instance_id=database.INSTANCE,
            state='BUILDING',
            deleted=False,
        )
        self.assertEqual(('BACKUP', 'HEALTHY'), self.statuses())

    def test_what_the_guest_says(self):
        for said, shown in {
            'running': 'ACTIVE',
            'healthy': 'HEALTHY',
            'crashed': 'SHUTDOWN',
            'failed to spawn': 'FAILED',
            'restart required': 'RESTART_REQUIRED',
            'upgrading': 'UPGRADING',
        }.items():
            self.db.repositories.instances.set_service_status(database.INSTANCE, said)
            self.assertEqual(('ACTIVE', shown), self.statuses())

    def test_without_an_answer_of_nova_the_instance_is_shown_as_the_database_knows_it(self):
        self.servers.is_silent = True
        shown = self.ask('GET', _SHOW).json['instance']
        self.assertEqual(
            ('ACTIVE', 'HEALTHY', True),
            (shown['status'], shown['operating_status'], shown['server_status_unknown']),
        )
        self.assertNotIn('ip', shown)

    def test_an_ended_upgrade_shows_error_or_active(self):
        for state, status in (
            (states.UpgradeState.FAILED, 'ERROR'),
            (states.UpgradeState.COMPLETED, 'ACTIVE'),
        ):
            instance_id = self.db.add_instance(name=str(state))
            begun = self.db.begin(instance_id)
            self.db.repositories.upgrades.end(
                self.db.repositories.upgrades.claim(begun.id, 'tm', 60), state, cause='It broke.'
            )
            self.assertEqual(
                status, self.ask('GET', f'/instances/{instance_id}').json['instance']['status']
            )


class TestList(stage.ApiTestCase):
    def names(self, query='', **options):
        return [
            item['name']
            for item in self.ask('GET', f'/instances{query}', **options).json['instances']
        ]

    def test_a_project_sees_its_own_instances_only(self):
        self.assertEqual(['db1'], self.names())
        self.assertEqual(['db1'], self.names(roles=stage.ADMIN))

    def test_newest_first(self):
        for day in (3, 2, 4):
            added = self.db.add_instance(name=f'day{day}')
            self.db.update_instance(
                added, created=datetime.datetime(2026, 1, day, tzinfo=datetime.UTC)
            )
        self.assertEqual(['day4', 'day3', 'day2', 'db1'], self.names('?include_clustered=False'))

    def test_members_of_clusters_are_listed_when_asked_for(self):
        self.db.insert(
            trove_tables.clusters,
            id='c1',
            created=_NOW,
            updated=_NOW,
            name='c',
            task_id=1,
            tenant_id=database.PROJECT,
            datastore_version_id=database.MARIADB_10_11,
            deleted=False,
        )
        self.db.add_instance(name='node', cluster_id='c1')
        self.assertEqual(['db1'], self.names())
        self.assertEqual({'db1', 'node'}, set(self.names('?include_clustered=True')))

    def test_nova_is_asked_once_for_all(self):
        for number in range(20):
            self.db.add_instance(name=f'n{number}')
        self.assertEqual(21, len(self.names()))
        self.assertEqual(1, self.servers.calls)

    def test_an_item_has_every_field_that_clients_would_fetch_one_by_one(self):
        (item,) = self.ask('GET', '/instances').json['instances']
        self.assertLessEqual(
            {
                'id',
                'name',
                'status',
                'operating_status',
                'volume',
                'region',
                'datastore',
                'flavor',
                'links',
                'ip',
                'addresses',
                'access',
            },
            set(item),
        )
        self.assertTrue({'created', 'updated', 'fault', 'service_status_updated'}.isdisjoint(item))

    def test_pages_follow_each_other_to_the_end(self):
        for number in range(6):
            self.db.add_instance(name=f'n{number}')
        seen, query, pages = [], '?limit=3&include_clustered=False', 0
        while query:
            page = self.ask('GET', f'/instances{query}').json
            seen += [item['id'] for item in page['instances']]
            pages += 1
            href = page['links'][0]['href'] if 'links' in page else ''
            self.assertTrue(
                not href
                or href.startswith(f'http://localhost/v1.0/{database.PROJECT}/instances?limit=3')
            )
            query = href and '?' + href.partition('?')[2]
        self.assertEqual((7, 7, 3), (len(seen), len(set(seen)), pages))

    def test_a_limit_is_capped_at_the_page_size(self):
        self.db.add_instance(name='n1')
        settings = services.Settings(
            page_size=1, max_body_bytes=65536, public_endpoint='https://db.example.org/', region='r'
        )
        self.app = self.new_app(settings=settings)
        page = self.ask('GET', '/instances?limit=999999999999').json
        self.assertEqual(1, len(page['instances']))
        self.assertTrue(page['links'][0]['href'].startswith('https://db.example.org/'))

    def test_impossible_limits_and_markers_are_refused(self):
        for query in (
            'limit=x',
            'limit=-1',
            'limit=0',
            'limit=1.5',
            'marker=x',
            'limit=%ff',
            'marker=%00',
        ):
            self.assert_refused(self.ask('GET', f'/instances?{query}'), 400, 'QUERY_INVALID')

    def test_an_empty_list_asks_nobody(self):
        self.assertEqual([], self.names(project_id='33333333333333333333333333333333'))
        self.assertEqual(0, self.servers.calls)


class TestAllProjects(stage.ApiTestCase):
    def names(self, query=''):
        page = self.ask('GET', f'/mgmt/instances{query}', roles=stage.ADMIN).json
        return {item['name'] for item in page['instances']}

    def test_an_admin_lists_all_projects(self):
        self.assertEqual({'db1', 'db2'}, self.names('?include_clustered=False&deleted=False'))
        self.assertEqual({'db1', 'db2', 'gone'}, self.names())
        self.assertEqual({'gone'}, self.names('?deleted=true'))
        self.assertEqual({'db2'}, self.names(f'?deleted=false&project_id={database.OTHER_PROJECT}'))

    def test_a_member_does_not(self):
        self.assert_refused(self.ask('GET', '/mgmt/instances'), 403, 'FORBIDDEN')
