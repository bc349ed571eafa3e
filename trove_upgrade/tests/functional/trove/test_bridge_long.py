# SPDX-License-Identifier: Apache-2.0
"""The bridge on a cloud of real Trove as it was before this product: an instance that the
unmodified client has made, on an image with Trove's own agent alone, whose database runs in a
container.

Where the cloud enforces security groups (`trove-upgrade-lab up --trove --product
--security-groups`), packets are looked at, too.
"""

import contextlib
import json
import pathlib
import subprocess
import sys

from lab.demo import application
from lab.images.builder import checkout_version
from lab.progress import Progress
from lab.trove import stock_guests
from trove_upgrade.tests.functional.trove.lifecycle import LifecycleCase

PROJECT = pathlib.Path(__file__).parents[4]
SSH = 22
DROPPED_SECONDS = 1.0
RUN_SECONDS = 900.0
LOOK_SECONDS = 0.3
OURS = ('/opt/trove-upgrade', '/usr/lib/trove-upgrade', '/etc/trove-upgrade')
BROUGHT = ('/opt/trove-upgrade-bridge', '/etc/trove-upgrade-bridge')
#: The number of Trove's agent and its start, in ticks since the boot.
_AGENT = 'n=$(cat /run/trove-guestagent.pid) && cut -d " " -f 1,22 "/proc/$n/stat"'


def bundle():
    found = sorted(
        (PROJECT / 'dist').glob(f'trove-upgrade-guest-bundle-{checkout_version()}-*.tar.xz')
    )
    if not found:
        raise RuntimeError('There is no bundle of this checkout in dist: run "make bundle" first.')
    return str(found[-1])


class TestStockGuest(LifecycleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.programs = pathlib.Path(sys.executable).parent
        cls.configuration = ('--config-file', str(cls.product.config_file))
        cls.stock = cls.enterClassContext(stock_guests.offered(cls.stage, Progress()))

    def test_an_instance_of_troves_own_image_is_brought_to_a_new_server_while_troves_agent_goes_on(
        self,
    ):
        instance = self.create_instance('stock', version=self.stock.version)
        self.assert_nothing_of_ours(instance)
        self.fill(instance)
        rows, groups = self.checksum(instance), self.groups(instance)
        self.assert_closed(instance)

        with application.writing(self.writes_to(instance), self.work_dir) as written:
            agents = self.run_bridge(instance)
            application.wait_for_writes(written, application.SETTLE_WRITES)

        self.assertEqual(1, len(agents), agents)
        self.assert_nothing_lost(instance, written)
        self.assertEqual(rows, self.checksum(instance))
        self.assert_serves_as(instance, self.target)
        self.trove_shows(instance, self.target)
        self.assertEqual(groups, self.groups(instance))
        self.assert_closed(instance)
        self.assertEqual([], self.present(instance, BROUGHT))
        self.assert_report_is_well(instance)
        self.assertEqual('Nothing is open.\n', self.bridge('audit').stdout)

    def assert_nothing_of_ours(self, instance):
        self.assertEqual([], self.present(instance, (*OURS, *BROUGHT)))
        self.assertTrue(self.sql(instance, 'SELECT VERSION()').startswith(self.former.number))

    def present(self, instance, paths):
        guest = self.guest(instance)
        return [
            path for path in paths if guest.exec(['test', '-e', path], check=False).returncode == 0
        ]

    def run_bridge(self, instance):
        """Run it to its end; the processes that Trove's agent was, as long as no upgrade had the
        database in hand.
        """
        words = ('run', '--instance', instance.id, '--upgrade-to', self.target.name)
        way = ('--user', stock_guests.USER, '--key-file', str(self.stock.key))
        output = self.work_dir / 'bridge.log'
        agents = {self.agent(instance)}
        self.assertNotIn('', agents)
        with output.open('w') as sink:
            process = subprocess.Popen(
                [
                    str(self.programs / 'trove-upgrade-bridge'),
                    *self.configuration,
                    *words,
                    *('--bundle', bundle()),
                    *way,
                ],
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        try:
            self.watch(process, instance, agents)
            code = process.wait(RUN_SECONDS)
        finally:
            process.kill()
            process.wait()
            print(output.read_text(), flush=True)
        self.assertEqual(0, code, output.read_text())
        return agents

    def watch(self, process, instance, agents):
        """Look at Trove's agent until it is held back; a look counts if it was not by then."""

        def is_over():
            seen = self.agent(instance)
            if process.poll() is not None or self.is_held(instance):
                return True
            agents.add(seen)
            return False

        self.wait_until(is_over, 'the upgrade to begin', RUN_SECONDS, interval_seconds=LOOK_SECONDS)

    def is_held(self, instance):
        upgrades = self.get(f'/instances/{instance.id}/upgrades')['upgrades']
        return any(run['step'] == 'quiesce' for one in upgrades for run in one['steps'])

    def agent(self, instance):
        done = self.guest(instance).exec(['sh', '-c', _AGENT], check=False)
        return done.output.strip()

    def assert_report_is_well(self, instance):
        [run] = json.loads(self.bridge('status', '--json').stdout)[:1]
        report = json.loads(self.bridge('report', run['id'], '--json').stdout)
        [member] = report['members']
        self.assertEqual((instance.id, 'COMPLETED'), (member['instance_id'], member['state']))
        looks = {look['name']: look['outcome'] for look in member['facts']['verified']}
        self.assertEqual(
            {'OK'}, {looks[name] for name in looks if name != 'backups'}, member['facts']
        )
        self.assertLessEqual(
            {'version', 'status', 'security groups', 'addresses', 'user', 'rows'}, looks.keys()
        )
        self.assertIn(looks['backups'], {'OK', 'NOT_OFFERED'})

    def groups(self, instance):
        ports = self.session('admin').request(
            'GET', f'{self.handle.neutron_url}/v2.0/ports?device_id={instance.server_id}'
        )['ports']
        return {port['id']: sorted(port['security_groups']) for port in ports}

    def assert_closed(self, instance):
        """From beside the guest, where the bridge is not."""
        if not self.handle.security_groups:
            return
        with contextlib.suppress(TimeoutError):
            self.stage.host.fabric.connect(
                instance.network_id, (instance.address, SSH), DROPPED_SECONDS
            ).close()
            self.fail(f'port {SSH} of {instance.address} is open')

    def bridge(self, *words):
        return subprocess.run(
            [str(self.programs / 'trove-upgrade-bridge'), *self.configuration, *words],
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
