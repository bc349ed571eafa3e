# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import tempfile

from lab import handle
from lab.hypervisor.network import NetworkFabric
from lab.tempest import acceptance, reach
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes

_PRINTED = """{0} trove_tempest_plugin.tests.scenario.test_x.TestX.test_y [120.5s] ... ok

======
Totals
======
Ran: 1 tests in 300.1 sec.
 - Passed: 1
 - Skipped: 0
 - Expected Fail: 0
 - Unexpected Success: 0
 - Failed: 0
Sum of execute time for each test: 120.5 sec.
"""


class WithoutVolumeTest(base.TestCase):
    def test_a_request_to_create_loses_its_volume_and_nothing_else(self):
        body = json.dumps(
            {'instance': {'name': 'n', 'volume': {'size': 1}, 'flavorRef': '3'}}
        ).encode()

        left = json.loads(reach.without_volume('POST', '/v1.0/p/instances?a=b', body))

        self.assertEqual({'instance': {'name': 'n', 'flavorRef': '3'}}, left)

    def test_every_other_request_is_handed_on_byte_for_byte(self):
        body = b'{"instance" : {"volume": {"size": 1}}}'
        for method, path in (
            ('PATCH', '/v1.0/p/instances/i'),
            ('POST', '/v1.0/p/instances/i/action'),
            ('POST', '/v1.0/p/backups'),
        ):
            self.assertIs(body, reach.without_volume(method, path, body))

    def test_what_cannot_be_read_is_for_trove_to_refuse(self):
        for body in (b'', b'no json', b'[]', b'{}', b'{"instance": 1}'):
            self.assertIs(body, reach.without_volume('POST', '/v1.0/p/instances', body))


class FloatingAddressesTest(base.TestCase):
    def test_rules_follow_what_neutron_lists(self):
        host = fakes.Commands()
        fabric = NetworkFabric(
            pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())), host, None
        )
        floating = reach.FloatingAddresses(fabric, 'net', '172.24.4.0/24', list)

        floating.become({'172.24.4.5': '10.0.0.7'})
        floating.become({'172.24.4.5': '10.0.0.7'})
        floating.become({'172.24.4.5': '10.0.0.8'})
        floating.become({})

        rules = [
            (line.split(' nat ')[1].split()[0], line.split()[-1])
            for line in host.ran
            if 'iptables' in line
        ]
        self.assertEqual(
            [('-A', '10.0.0.7'), ('-D', '10.0.0.7'), ('-A', '10.0.0.8'), ('-D', '10.0.0.8')], rules
        )


class AcceptanceTest(base.TestCase):
    def test_its_own_counts_are_believed(self):
        outcome = acceptance.counted(_PRINTED)

        self.assertEqual((1, 0, 0), (outcome.passed, outcome.failed, outcome.skipped))
        self.assertIn('test_x.TestX.test_y [120.5s] ... ok', outcome.summary)
        self.assertIn(' - Passed: 1', outcome.summary)

    def test_a_run_without_a_count_is_no_outcome(self):
        self.assertIsNone(acceptance.counted('The test run did not actually run any tests'))

    def test_the_configuration_names_versions_network_and_the_administrator(self):
        admin = handle.Credentials(
            username='admin',
            password='secret',
            project_name='admin',
            auth_url='http://127.0.0.1:1/v3',
        )
        cloud = handle.CloudHandle(
            **dict.fromkeys(handle.CloudHandle.__dataclass_fields__, '')
            | {'users': {'admin': admin}, 'network_id': 'the-network', 'auth_url': admin.auth_url}
        )

        found = acceptance.configuration(
            cloud, acceptance.Versions('10.11.18', 'new'), '3', pathlib.Path('/d')
        )

        self.assertEqual(
            ('mariadb:10.11.18', 'mariadb:new', 'the-network'),
            tuple(
                found['database'][name]
                for name in (
                    'pre_upgrade_datastore_versions',
                    'default_datastore_versions',
                    'shared_network',
                )
            ),
        )
        self.assertEqual('http://127.0.0.1:1/v3', found['identity']['uri_v3'])
