# SPDX-License-Identifier: Apache-2.0
"""A guest of an image as Trove's project makes it, without Nova: Trove's own agent, SSH for the
operators' key, and nothing of ours; and the real bundle in it.
"""

import dataclasses
import pathlib
import subprocess

import fixtures

from lab.commands import HostCommands
from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.images import recipes
from lab.images.builder import checkout_version
from lab.servers import Network, Networks, Port
from lab.trove.stock_guests import USER
from tools.bundle.maker import Maker
from tools.bundle.recipe import BULLSEYE
from trove_upgrade.bridge.bundle import archive
from trove_upgrade.bridge.pusher import Instance, Pusher, remove
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.attempt import attempt
from trove_upgrade.bridge.reach.keys import KeyFiles
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.reach.ports import Guest
from trove_upgrade.bridge.reach.session import Limits
from trove_upgrade.bridge.reach.shell import open_shell
from trove_upgrade.clock import SystemClock
from trove_upgrade.sealing.keys import GuestKey
from trove_upgrade.tests.fakes import MemoryHostKeys
from trove_upgrade.tests.functional.host import bullseye_root
from trove_upgrade.tests.functional.host.test_docker_guest_long import (
    GATEWAY,
    TROVE_CONFIGURATION,
)
from trove_upgrade.tests.functional.host.test_lab_guests import ADDRESS, PROJECT, GuestTestCase

NETWORK, INSTANCE = 'net-1', 'one'  # as the configuration has it
LOG = '/var/log/trove/trove-upgrade-guestagent-bridge.log'
PORT = Port(
    network_id=NETWORK,
    mac='fa:16:3e:00:00:07',
    address=ADDRESS,
    prefix_length=24,
    gateway=GATEWAY,
)


@dataclasses.dataclass(frozen=True)
class FromBeside:
    """Route from the gateway of the lab's network."""

    fabric: Networks
    name: str = 'beside the guest'

    def source_address(self, target):
        return GATEWAY

    def connect(self, address, port, timeout_seconds):
        return self.fabric.connect(NETWORK, (address, port), timeout_seconds)

    def reaches(self, address, port, timeout_seconds):
        return attempt(self.connect, address, port, timeout_seconds)


class StockGuestTest(GuestTestCase):
    former_recipe = target_recipe = recipes.TROVE_BOOKWORM.stock()

    def setUp(self):
        super().setUp()
        self.key = self.new_key('operators')
        self.booted = self.boot()
        self.wait_until(self.lets_in, 'SSH to let the operators in', 60)

    def new_key(self, name):
        path = self.host.directory / name
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)], check=True)
        return path

    def boot(self):
        self.host.fabric.ensure(Network(NETWORK, GATEWAY, 24))
        self.host.volumes.ensure('one', GIB, raw=True)
        guest = self.host.guests.create(
            GuestSpec(
                guest_id='one',
                hostname='db-one',
                image_path=self.former.path,
                ports=(PORT,),
                volume_id='one',
                user_data=TROVE_CONFIGURATION,
                meta_data={'public-keys': [self.key.with_suffix('.pub').read_text().strip()]},
                runs_containers=True,
            )
        )
        guest.boot()
        return guest

    def open(self, key):
        shell = open_shell(
            Guest(server_id='one', address=ADDRESS),
            FromBeside(self.host.fabric),
            Login(user=USER, keys=(KeyFiles().read(key),)),
            MemoryHostKeys(),
            limits=Limits(),
            clock=SystemClock(),
        )
        self.addCleanup(shell.close)
        return shell

    def lets_in(self):
        try:
            self.open(self.key).close()
        except errors.ReachError:
            return False
        return True

    def listing(self):
        return set(self.shell(self.booted, 'find / -xdev -name "*trove*upgrade*"').split())

    def test_another_key_than_that_of_the_key_pair_does_not_come_in(self):
        self.assertRaises(errors.ReachError, self.open, self.new_key('other'))

    def test_our_agent_comes_in_beside_troves_drives_its_container_and_goes_without_a_trace(self):
        shell, pusher = self.open(self.key), self.pusher()
        self.wait_until(lambda: pusher.look(shell).agent_processes, "Trove's agent to run", 60)
        self.assertEqual(set(), self.listing())
        instance = Instance(id=INSTANCE, project_id='p1', datastore_manager='mariadb')
        found, composed = pusher.prepare(shell, instance)
        self.assertEqual(
            (('trove-guestagent',), 1), (found.agent_services, len(found.agent_processes))
        )
        self.assertEqual(
            ('/etc/trove/conf.d/guest_info.conf', '/etc/trove/conf.d/trove-guestagent.conf'),
            found.agent_files,
        )

        now = pusher.push(shell, found, composed, GuestKey.new(INSTANCE).to_file())

        self.assertTrue(now.our_agent_runs)
        self.assertEqual(found.agent_processes, now.agent_processes)
        log = self.wait_until(
            lambda: self.shell(self.booted, f'grep "takes the database" {LOG}', check=False),
            'its first words',
            60,
        )
        self.assertIn("to run in Trove's container", log)
        self.assertNotIn('Traceback', self.shell(self.booted, f'cat {LOG}'))
        remove(shell)
        self.assertEqual(set(), self.listing())
        self.assertEqual(found.agent_processes, pusher.look(shell).agent_processes)

    def pusher(self):
        dist = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        maker = Maker(BULLSEYE, bullseye_root.CACHE, PROJECT, HostCommands(), print)
        bundle = archive.check(maker.make(dist, checkout_version()), None)
        return Pusher(bundle=bundle, operators_text='')
