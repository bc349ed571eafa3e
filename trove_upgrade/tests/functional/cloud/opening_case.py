# SPDX-License-Identifier: Apache-2.0
"""Test case with a port at the real Neutron, and the bridge's own programs."""

import json
import subprocess
import sys

from trove_upgrade.tests.functional.cloud import base, opening_program

SOURCE = '10.99.0.2/32'
SECONDS = 120
NOTHING = 0
OPEN = 3


class OpeningCase(base.CloudTestCase):
    """Its port belongs to the project `demo`, and has the groups of any new port."""

    def setUp(self):
        super().setUp()
        self.neutron = self.session('trove')
        self.port_id = self.neutron.request(
            'POST',
            self.at('/ports'),
            {'port': {'network_id': self.handle.network_id, 'project_id': self.project_id}},
        )['port']['id']
        self.addCleanup(self.neutron.request, 'DELETE', self.at(f'/ports/{self.port_id}'))
        self.addCleanup(self.bridge, 'reap', '--all')
        self.former = self.groups()
        self.assertTrue(self.former, 'the port is in no security group')

    def at(self, path):
        return f'{self.handle.neutron_url.rstrip("/")}/v2.0{path}'

    def groups(self):
        """The port's, as Neutron shows them."""
        port = self.neutron.request('GET', self.at(f'/ports/{self.port_id}'))['port']
        return set(port['security_groups'])

    def ours(self):
        """The bridge's groups, of any project."""
        found = self.neutron.request('GET', self.at('/security-groups?name=trove-upgrade-bridge'))
        return found['security_groups']

    def bridge(self, *words):
        return subprocess.run(
            [
                str(self.programs / 'trove-upgrade-bridge'),
                '--config-file',
                str(self.product.config_file),
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def audit(self):
        done = self.bridge('audit', '--json')
        self.assertIn(done.returncode, {NOTHING, OPEN}, done.stderr)
        return json.loads(done.stdout)

    def opens(self, lease, *death):
        """Run the program that opens; return how it ended."""
        return subprocess.run(
            [
                sys.executable,
                opening_program.__file__,
                str(self.product.config_file),
                self.port_id,
                SOURCE,
                str(lease),
                *death,
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def is_as_before(self):
        return self.groups() == self.former and not self.ours()
