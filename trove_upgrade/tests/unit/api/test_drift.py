# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.api import stage, test_openapi

_FIGURES = '/{project_id}/mgmt/upgrade-drift'
_OF_PROJECT = f'{_FIGURES}/{{drift_project_id}}'


class TestDrift(stage.ApiTestCase):
    def setUp(self):
        super().setUp()
        self.db.set_image('older')

    def ask_admin(self, path):
        return self.ask('GET', f'/mgmt/upgrade-drift{path}', roles=stage.ADMIN)

    def test_figures_by_project_for_admins(self):
        found = self.ask_admin('')
        test_openapi.require_described('GET', _FIGURES, found)
        self.assertEqual(
            [
                {
                    'project_id': database.PROJECT,
                    'instances': 1,
                    'drifted': 1,
                    'unknown': 0,
                    'oldest': '2026-01-01T20:58:35',
                },
                {
                    'project_id': database.OTHER_PROJECT,
                    'instances': 1,
                    'drifted': 0,
                    'unknown': 1,
                    'oldest': None,
                },
            ],
            found.json['upgrade_drift'],
        )
        self.assertNotIn('links', found.json)

    def test_pages_lead_to_the_next(self):
        first = self.ask_admin('?limit=1')
        self.assertEqual(database.PROJECT, first.json['upgrade_drift'][0]['project_id'])
        [link] = first.json['links']
        test_openapi.require_described('GET', _FIGURES, first)
        rest = self.ask_admin('?' + link['href'].partition('?')[2])
        self.assertEqual(database.OTHER_PROJECT, rest.json['upgrade_drift'][0]['project_id'])
        one = self.ask_admin(f'?project_id={database.OTHER_PROJECT}')
        self.assertEqual(1, len(one.json['upgrade_drift']))

    def test_the_instances_of_a_project(self):
        found = self.ask_admin(f'/{database.PROJECT}')
        test_openapi.require_described('GET', _OF_PROJECT, found)
        self.assertEqual(
            [
                {
                    'instance_id': database.INSTANCE,
                    'instance_name': 'db1',
                    'datastore_version': {
                        'id': database.MARIADB_10_11,
                        'name': '10.11.14',
                        'version': '10.11.14',
                    },
                    'booted_image_id': 'older',
                    'current_image_id': database.IMAGE_10_11,
                    'since': '2026-01-01T20:58:35',
                }
            ],
            found.json['instances'],
        )
        self.assertEqual([], self.ask_admin('/%01').json['instances'])

    def test_a_marker_that_can_be_none_is_refused(self):
        self.assert_refused(self.ask_admin('?marker=%01'), 400, 'QUERY_INVALID')
        self.assert_refused(self.ask_admin('/p?marker=1'), 400, 'QUERY_INVALID')
