# SPDX-License-Identifier: Apache-2.0
"""The list of all projects' servers, against HTTP on loopback."""

from trove_upgrade.clients.nova_servers import NovaServers
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.compute import ShownNic
from trove_upgrade.domain.inventory import CloudServer
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

LIST = '/v2.1/servers/detail'


ONE = f'/v2.1/servers/{cloud.SERVER}'
A_SERVER = CloudServer(
    id=cloud.SERVER,
    project_id='p1',
    status='ACTIVE',
    nics=(ShownNic('fa:16:3e:00:00:01', '10.0.0.3'),),
    hypervisor='c1',
)


class TestNovaServers(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.cloud.shows_nics()
        self.servers = NovaServers.from_conf(self.cloud.conf())

    def test_servers_of_all_projects_are_asked_for_until_there_are_no_more(self):
        self.assertEqual(
            [A_SERVER],
            self.servers.of_all_projects(),
        )
        queries = self.cloud.queries('GET', LIST)
        self.assertTrue(all('all_tenants=1' in query for query in queries), queries)
        self.assertIn(f'marker={cloud.SERVER}', queries[-1])

    def test_one_is_read_with_its_project_and_its_fixed_addresses(self):
        self.assertEqual(A_SERVER, self.servers.server(cloud.SERVER))

    def test_a_login_that_nova_does_not_show_the_host_knows_none(self):
        del self.cloud.server['OS-EXT-SRV-ATTR:host']
        self.assertIsNone(self.servers.server(cloud.SERVER).hypervisor)

    def test_one_that_is_not_there_is_told_from_no_answer(self):
        gone = {'itemNotFound': {'code': 404, 'message': 'no'}}
        self.cloud.answers['GET', ONE] = (404, gone)
        self.assertRaises(exceptions.ServerNotFound, self.servers.server, cloud.SERVER)
        self.cloud.answers['GET', ONE] = (500, {})
        self.assertRaises(exceptions.ComputeUnavailable, self.servers.server, cloud.SERVER)

    def test_a_login_that_may_not_see_other_projects_is_no_cloud_without_servers(self):
        for answer in ((403, {'forbidden': {'code': 403, 'message': 'no'}}), (500, {})):
            with self.subTest(answer):
                self.cloud.answers['GET', LIST] = answer
                self.assertRaises(exceptions.ComputeUnavailable, self.servers.of_all_projects)
