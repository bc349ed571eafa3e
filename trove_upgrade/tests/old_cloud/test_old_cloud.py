# SPDX-License-Identifier: Apache-2.0
"""The old cloud that the bridge is tried on: `trove-upgrade-lab up --bridge` brings it up, and
`tools/run_tests.py trove_upgrade/tests/old_cloud` runs this.

Not a part of `make test`, whose one cloud enforces no security groups.
"""

import contextlib
import subprocess
import time

from testtools import content

from lab import rest
from lab.bridge import stage as bridge_stage
from lab.images import provision
from lab.layout import Layout
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.waiting import Waiting

SSH, DATABASE = 22, 3306
#: An answer takes a millisecond: what has not come by then was dropped.
DROPPED_SECONDS = 1.0
IN_FORCE_SECONDS = 10.0


class OldCloudTest(Waiting, base.TestCase):
    interval_seconds = 0.05

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.stage = bridge_stage.load(Layout.from_environ())
        except FileNotFoundError as error:
            raise RuntimeError(
                'No old cloud is up: run .venv/bin/trove-upgrade-lab up --bridge first.'
            ) from error
        cls.handle, cls.host = cls.stage.stage.handle, cls.stage.stage.host
        cls.admin = rest.Session.of(cls.handle.users['admin'])

    def passes(self, instance, port):
        """Whether a connection is made from beside the guest; a refusal is an error of the test."""
        with contextlib.suppress(TimeoutError):
            self.host.fabric.connect(
                instance.network.network_id, (instance.address, port), DROPPED_SECONDS
            ).close()
            return True
        return False

    def test_there_are_two_tenants_with_the_same_addresses(self):
        networks = {one.network.network_id: one.network for one in self.stage.instances}

        self.assertEqual(2, len({one.project_id for one in networks.values()}))
        self.assertEqual({True, False}, {one.on_node for one in networks.values()})
        self.assertEqual(
            {'tini', 'systemd'},
            {one.init for one in self.stage.instances if not one.network.on_node},
        )

    def test_nova_has_no_user_data_of_them(self):
        for instance in self.stage.instances:
            server = self.admin.request(
                'GET', f'{self.handle.nova_url}/servers/{instance.server_id}'
            )['server']
            self.assertIsNone(server.get('OS-EXT-SRV-ATTR:user_data'))
            self.assertEqual(instance.network.project_id, server['tenant_id'])

    def test_their_databases_answer_and_port_22_does_not(self):
        for instance in self.stage.instances:
            self.assertTrue(self.passes(instance, DATABASE), instance.name)
            self.assertFalse(self.passes(instance, SSH), instance.name)
            guest = self.stage.makers.guest(instance)
            version = provision.sql(guest, 'SELECT VERSION();')
            if not self.stage.stands_in:
                self.assertTrue(version.startswith('10.5.'), version)

    def test_a_rule_of_neutron_opens_port_22_and_its_removal_closes_it(self):
        instance = self.stage.instances[0]
        base_url = f'{self.handle.neutron_url}/v2.0'
        ports = self.admin.request('GET', f'{base_url}/ports?device_id={instance.server_id}')
        [port] = ports['ports']
        rule = {
            'security_group_id': port['security_groups'][0],
            'direction': 'ingress',
            'ethertype': 'IPv4',
            'protocol': 'tcp',
            'port_range_min': SSH,
            'port_range_max': SSH,
            'remote_ip_prefix': '10.60.0.1/32',
        }

        made = self.admin.request(
            'POST', f'{base_url}/security-group-rules', {'security_group_rule': rule}
        )
        self.measured('open', lambda: self.passes(instance, SSH))
        rule_id = made['security_group_rule']['id']
        self.admin.request('DELETE', f'{base_url}/security-group-rules/{rule_id}')
        self.measured('closed', lambda: not self.passes(instance, SSH))
        for other in self.stage.instances:  # of the same group
            self.wait_until(
                lambda other=other: not self.passes(other, SSH),
                'port 22 to be closed',
                IN_FORCE_SECONDS,
            )

    def measured(self, what, condition):
        since = time.monotonic()
        self.wait_until(condition, f'the port to be {what}', IN_FORCE_SECONDS)
        seconds = time.monotonic() - since
        self.addDetail(what, content.text_content(f'{seconds:.2f} s'))

    def test_each_namespace_is_where_it_should_be_and_has_the_agents_address(self):
        for network in {
            one.network.network_id: one.network for one in self.stage.instances
        }.values():
            entry = ['ip', 'netns', 'exec', network.namespace, 'ip', '-brief', 'address']
            if network.on_node:
                options = ('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null')
                target = f'root@{self.stage.node_address}'
                entry = ['ssh', '-i', str(self.stage.key), *options, target, ' '.join(entry)]
            shown = subprocess.run(entry, capture_output=True, text=True, check=True).stdout
            self.assertIn('10.60.0.2/24', shown)
            self.assertEqual(f'qdhcp-{network.network_id}', network.namespace)
