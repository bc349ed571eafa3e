# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.clients.nova_servers import NovaServers
from trove_upgrade.domain import exceptions
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.clients import cloud

_PATH = ('GET', '/v2.1/servers/detail')


class TestImages(base.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(cloud.Cloud())
        self.servers = NovaServers.from_conf(self.cloud.conf())

    def test_pages_of_all_projects_follow_each_other_and_volumes_are_left_out(self):
        servers = [
            {**self.cloud.server, 'id': 'a'},
            {**self.cloud.server, 'id': 'b', 'image': ''},
            {**self.cloud.server, 'id': 'c', 'image': {'id': 'image-2'}},
        ]
        queries = []

        def answer(query):
            queries.append(query)
            return 200, {
                'servers': servers[:2] if len(queries) == 1 else servers[2:][: 3 - len(queries)]
            }

        self.cloud.answers[_PATH] = answer
        self.assertEqual([{'a': 'image-1'}, {'c': 'image-2'}], list(self.servers.images()))
        self.assertIn('all_tenants=1', str(queries[0]))
        self.assertIn('marker=b', str(queries[1]))

    def test_an_answer_that_is_none_is_one_error(self):
        for status in (403, 500):
            self.cloud.answers[_PATH] = (status, {})
            self.assertRaises(exceptions.ComputeUnavailable, list, self.servers.images())
