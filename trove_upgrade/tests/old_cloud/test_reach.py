# SPDX-License-Identifier: Apache-2.0
"""The bridge goes into real old guests of two tenants with the same addresses, one of them behind a
network node, and out again: closed before, open for the bridge alone meanwhile, closed afterwards.
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

from lab import rest
from lab.bridge import stage as bridge_stage
from lab.images import provision
from lab.layout import Layout
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.waiting import Waiting

SSH = 22
SECONDS = 300
DROPPED_SECONDS = 1.0
NOTHING_OPEN, FAILED = 0, 1


class ReachTestCase(Waiting, base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stage = bridge_stage.load(Layout.from_environ())
        cls.handle, cls.host = cls.stage.stage.handle, cls.stage.stage.host
        cls.admin = rest.Session.of(cls.handle.users['admin'])
        cls.programs = pathlib.Path(sys.executable).parent
        cls.config_file = cls.stage.stage.product.config_file

    def setUp(self):
        super().setUp()
        self.work_dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.short_lease = self.work_dir / 'short-lease.conf'
        self.short_lease.write_text('[trove_upgrade]\nbridge_lease_seconds = 30\n')
        self.known_hosts = self.work_dir / 'known_hosts'
        shown = subprocess.run(
            ['ssh-keyscan', '-t', 'ed25519', self.stage.node_address],
            capture_output=True,
            check=True,
        )
        self.known_hosts.write_bytes(shown.stdout)

    def way(self):
        key = str(self.stage.key)
        return (
            *('--user', 'root', '--key-file', key),
            *('--node', f'root@{self.stage.node_address}', '--node-key-file', key),
            *('--known-hosts', str(self.known_hosts)),
        )

    def options(self):
        return (
            *('--config-file', str(self.config_file)),
            *('--config-file', str(self.short_lease)),
        )

    def bridge(self, *words):
        return subprocess.run(
            [str(self.programs / 'trove-upgrade-bridge'), *self.options(), *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def shown(self, *words):
        """What a command tells programs."""
        return json.loads(self.bridge(*words).stdout)

    def reached(self, *words):
        done = self.bridge('reach', *words, *self.way())
        self.assertEqual(NOTHING_OPEN, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def passes(self, instance):
        """Whether a connection is made from the gateway, which is not the bridge's address."""
        with contextlib.suppress(TimeoutError):
            self.host.fabric.connect(
                instance.network.network_id, (instance.address, SSH), DROPPED_SECONDS
            ).close()
            return True
        return False

    def groups(self, instance):
        ports = self.admin.request(
            'GET', f'{self.handle.neutron_url}/v2.0/ports?device_id={instance.server_id}'
        )['ports']
        return {port['id']: sorted(port['security_groups']) for port in ports}

    def agent_pid(self, instance):
        guest = self.stage.makers.guest(instance)
        return guest.exec(['pgrep', '-o', '-f', 'trove-guestagent']).output.strip()


class TestReach(ReachTestCase):
    def test_every_guest_is_entered_and_left_as_it_was(self):
        groups = [self.groups(one) for one in self.stage.instances]
        agents = [self.agent_pid(one) for one in self.stage.instances]

        shown = self.reached('--all')

        self.assertIn('Nothing is open.', shown)
        for one in self.stage.instances:
            self.assertIn(f'{one.id} reach: Logged in at {one.address}', shown)
            self.assertFalse(self.passes(one), one.name)
        self.assertEqual(groups, [self.groups(one) for one in self.stage.instances])
        self.assertEqual(agents, [self.agent_pid(one) for one in self.stage.instances])

    def test_a_dry_run_names_what_would_be_opened_and_opens_nothing(self):
        shown = self.reached('--all', '--dry-run')
        for one in self.stage.instances:
            self.assertIn(f'{one.id}: would open port', shown)
        self.assertEqual('Nothing is open.\n', self.bridge('audit').stdout)
        self.assertIn('on this host', shown)
        self.assertIn(self.stage.node_address, shown)

    def test_the_inventory_has_all_tenants_guests(self):
        listed = self.shown('inventory', '--json')['instances']
        found = {one['id']: one for one in listed}
        for one in self.stage.instances:
            self.assertIsNone(found[one.id]['obstacle'], found[one.id])
            self.assertEqual(one.network.project_id, found[one.id]['project_id'])

    def test_another_host_key_stops_the_guest_and_leaves_it_closed(self):
        one = self.stage.instances[0]
        self.reached('--instance', one.id)
        guest = self.stage.makers.guest(one)
        kept = '/etc/ssh/kept'
        guest.exec(['sh', '-c', f'mkdir {kept} && mv /etc/ssh/ssh_host_* {kept}'])
        self.addCleanup(guest.exec, ['sh', '-c', f'mv -f {kept}/* /etc/ssh/ && rmdir {kept}'])
        guest.exec(['ssh-keygen', '-A'])
        done = self.bridge('reach', '--instance', one.id, *self.way())
        self.assertEqual(FAILED, done.returncode, done.stdout)
        self.assertIn('HOST_KEY_CHANGED', done.stdout)
        self.assertIn('Nothing is open.', done.stdout)
        self.assertFalse(self.passes(one))

    def test_a_node_whose_key_is_not_recorded_gets_no_password_and_no_traffic(self):
        self.known_hosts.write_text('')
        [far] = [one for one in self.stage.instances if one.network.on_node]
        done = self.bridge('reach', '--instance', far.id, *self.way())
        self.assertEqual(FAILED, done.returncode, done.stdout)
        self.assertIn('BRIDGE_NO_WAY_IN', done.stdout)
        self.assertIn('Nothing is open.', done.stdout)


class TestKilled(ReachTestCase):
    def test_a_killed_bridge_leaves_nothing_open_once_another_goes_on(self):
        """SIGKILL as soon as a port is open; the lease ends, and the run goes on to its end."""
        process = subprocess.Popen(
            [
                str(self.programs / 'trove-upgrade-bridge'),
                *self.options(),
                'reach',
                '--all',
                '--at-once',
                '1',
                *self.way(),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        begun = process.stdout.readline()
        run_id = begun.split()[1].rstrip(':')
        self.wait_until(self.ours, 'a port to be open', interval_seconds=0.02)
        process.kill()
        process.communicate()
        resumed = self.bridge('resume', run_id, *self.way())  # waits for the end of the lease
        self.assertEqual(NOTHING_OPEN, resumed.returncode, resumed.stdout)
        self.assertEqual([], self.ours())
        for one in self.stage.instances:
            self.assertFalse(self.passes(one), one.name)
            guest = self.stage.makers.guest(one)
            self.assertIn(provision.DATABASE, provision.sql(guest, 'SHOW DATABASES;'))

    def ours(self):
        """The bridge's groups at Neutron."""
        found = self.admin.request(
            'GET',
            f'{self.handle.neutron_url}/v2.0/security-groups?name=trove-upgrade-bridge',
        )
        return found['security_groups']
