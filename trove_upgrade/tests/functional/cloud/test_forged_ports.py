# SPDX-License-Identifier: Apache-2.0
"""At the real Neutron a tenant gives a port of its own all that another project's server has."""

import json
import subprocess

from trove_upgrade.domain.openings import GROUP_NAME, Tag
from trove_upgrade.tests.functional.cloud import base

SECONDS = 120
UNKNOWN = '00000000-0000-4000-8000-0000000000f1'
#: Of every new subnet here: the address of the guest is in it.
PREFIX = 24


class TestForgedPorts(base.CloudTestCase):
    def setUp(self):
        super().setUp()
        self.instance = self.create_instance('imitated')
        self.admin, self.tenant = self.session('trove'), self.session('other')
        [self.own] = self.ports()

    def at(self, path):
        return f'{self.handle.neutron_url.rstrip("/")}/v2.0{path}'

    def ports(self):
        """Those with the server's id, as Neutron lists them."""
        path = f'/ports?device_id={self.instance.server_id}'
        return self.admin.request('GET', self.at(path))['ports']

    def make(self, kind, **content):
        """Make a thing of the tenant's, until the test ends: a tenant can make a port with the
        owner of a server's, and not delete it.
        """
        path = f'/{kind.replace("_", "-")}s'
        made = self.tenant.request('POST', self.at(path), {kind: content})[kind]
        self.addCleanup(self.admin.request, 'DELETE', self.at(f'{path}/{made["id"]}'))
        return made

    def forge(self):
        """A network of the tenant's own, and there a port like the guest's, with a group like the
        bridge's.
        """
        address = self.own['fixed_ips'][0]['ip_address']
        network = self.make('network', name='imitation')
        subnet = self.make(
            'subnet',
            network_id=network['id'],
            ip_version=4,
            cidr=f'{address.rpartition(".")[0]}.0/{PREFIX}',
            gateway_ip=None,
            enable_dhcp=False,
        )
        tag = Tag(run_id=UNKNOWN, opening_id=UNKNOWN)
        group = self.make('security_group', name=GROUP_NAME, description=tag.description)
        return self.make(
            'port',
            network_id=network['id'],
            device_id=self.instance.server_id,
            device_owner='compute:nova',
            mac_address=self.own['mac_address'],
            fixed_ips=[{'subnet_id': subnet['id'], 'ip_address': address}],
            security_groups=[group['id']],
        )

    def bridge(self, *words):
        done = subprocess.run(
            [
                str(self.programs / 'trove-upgrade-bridge'),
                '--config-file',
                str(self.product.config_file),
                *words,
                '--json',
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def listed(self):
        found = self.bridge('inventory')['instances']
        [one] = [one for one in found if one['id'] == self.instance.id]
        return [[port['id'] for port in one[kind]] for kind in ('ports', 'foreign_ports')]

    def test_neutron_takes_it_and_the_bridge_leaves_it_out(self):
        self.assertEqual([[self.own['id']], []], self.listed())
        forged = self.forge()
        self.assertEqual({self.own['id'], forged['id']}, {port['id'] for port in self.ports()})
        self.assertEqual([[self.own['id']], [forged['id']]], self.listed())
        [group] = self.bridge('audit')['groups']
        self.assertEqual(
            ('IMITATION', [forged['id']]), (group['verdict'], group['port_ids']), group
        )
