# SPDX-License-Identifier: Apache-2.0
"""Trove's real agent on a root disk that an upgrade has booted: it waits, makes no file system and
changes no owner.
"""

import textwrap

from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.images import recipes
from lab.servers import Network, Port
from trove_upgrade.tests.functional.host.test_docker_guest_long import (
    GATEWAY,
    REACHED,
    TROVE_CONFIGURATION,
)
from trove_upgrade.tests.functional.host.test_lab_guests import ADDRESS, GuestTestCase

UUID = '11111111-2222-3333-4444-555555555555'
MARKER = textwrap.dedent(f"""\
    - path: /etc/trove/conf.d/trove-upgrade-marker.conf
      content: |
        [trove_upgrade]
        upgrade_marker = 0f0f0f0f-1111-2222-3333-444444444444:1
        upgrade_volume_uuid = {UUID}
        guest_topic_prefix = trove-upgrade-guest.
""").encode()


class TwoAgentsTest(GuestTestCase):
    former_recipe, target_recipe = recipes.TROVE_BOOKWORM, recipes.TROVE_TRIXIE

    def boot_by_upgrade(self):
        self.host.fabric.ensure(Network('net-1', GATEWAY, 24))
        self.host.volumes.ensure('one', GIB, raw=True)
        port = Port(
            network_id='net-1',
            mac='fa:16:3e:00:00:07',
            address=ADDRESS,
            prefix_length=24,
            gateway=GATEWAY,
        )
        guest = self.host.guests.create(
            GuestSpec(
                guest_id='one',
                hostname='db-one',
                image_path=self.target.path,
                ports=(port,),
                volume_id='one',
                user_data=TROVE_CONFIGURATION + MARKER,
                runs_containers=True,
            )
        )
        guest.boot()
        return guest

    def runs(self, guest):
        return guest.exec(['/etc/init.d/trove-guestagent', 'status'], check=False).returncode == 0

    def release(self, guest):
        """As our agent does at the end of an upgrade."""
        self.shell(
            guest,
            'mkdir -p /var/lib/trove-upgrade; touch /var/lib/trove-upgrade/trove-agent-released',
        )

    def test_it_waits_for_our_agent_and_makes_no_file_system_meanwhile(self):
        guest = self.boot_by_upgrade()
        self.assertFalse(self.runs(guest))
        guest.reboot()
        self.assertFalse(self.runs(guest))
        self.assertEqual('2', self.shell(guest, 'blkid /dev/vdb > /dev/null || echo $?'))

    def test_let_go_it_finds_the_volume_mounted_by_its_uuid_and_leaves_it_as_it_is(self):
        guest = self.boot_by_upgrade()
        self.shell(
            guest,
            f'mkfs.ext4 -q -U {UUID} /dev/vdb; mount /dev/vdb /var/lib/mysql; mkdir -m 700 '
            '/var/lib/mysql/.trove-upgrade; umount /var/lib/mysql',
        )
        self.release(guest)
        guest.reboot()
        self.wait_until(
            lambda: REACHED.search(
                self.shell(guest, 'cat /var/log/trove/trove-guestagent.log', check=False)
            ),
            "Trove's agent to try the broker",
            90,
            interval_seconds=0.2,
        )
        self.assertTrue(self.runs(guest))
        self.assertEqual('/dev/vdb', self.shell(guest, 'findmnt -n -o SOURCE /var/lib/mysql'))
        self.assertEqual('0 0', self.shell(guest, 'stat -c "%u %g" /var/lib/mysql'))
        self.assertEqual(
            '0 0 700', self.shell(guest, 'stat -c "%u %g %a" /var/lib/mysql/.trove-upgrade')
        )

    def test_another_disk_in_the_volumes_place_is_not_touched(self):
        guest = self.boot_by_upgrade()
        self.release(guest)
        # The wait for the right one is as long as a person who attaches it may need.
        self.shell(
            guest,
            "sed -i 's/^wait_seconds=.*/wait_seconds=1/' "
            '/usr/lib/trove-upgrade/trove-agent-may-start',
        )
        guest.reboot()
        self.assertFalse(self.runs(guest))
        self.assertEqual('2', self.shell(guest, 'blkid /dev/vdb > /dev/null || echo $?'))
        self.assertIn(
            UUID,
            self.shell(guest, '/usr/lib/trove-upgrade/trove-agent-may-start 2>&1', check=False),
        )
