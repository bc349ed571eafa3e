# SPDX-License-Identifier: Apache-2.0
"""The lab's guests by themselves: no Nova, but real images, real namespaces, real volumes and a
real database.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import uuid

from lab import processes
from lab.commands import HostCommands
from lab.hypervisor.host import LabHost
from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.images import provision, recipes
from lab.images.builder import ImageBuilder
from lab.layout import Layout
from lab.servers import Network, Port
from trove_upgrade.rpc import transport
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.waiting import Waiting

PROJECT = pathlib.Path(__file__).parents[4]
ADDRESS = '10.0.0.7'
USER_DATA = b"""#cloud-config
write_files:
- {path: /etc/from-user-data, content: aGVsbG8=, encoding: b64, permissions: "0600", \
owner: "mysql:mysql"}
"""
SERVICE = 'trove-upgrade-database'


def builder():
    """Builder of images in the user's cache."""
    return ImageBuilder(Layout.from_environ().images_cache, PROJECT, HostCommands(), print)


class GuestTestCase(Waiting, base.TestCase):
    """A lab of its own below a temporary directory; everything of it is gone afterwards."""

    former_recipe, target_recipe = recipes.BOOKWORM, recipes.TRIXIE
    interval_seconds = 0.02

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Before setUp: the base class replaces HOME, and the cache is the user's.
        cls.builder = builder()
        cls.former = cls.builder.build(cls.former_recipe)
        cls.target = cls.builder.build(cls.target_recipe)

    def setUp(self):
        super().setUp()
        # Guests' root disks need a real file system, which a temporary directory may not be.
        directory = pathlib.Path(tempfile.mkdtemp(prefix='trove-upgrade-test-', dir='/var/tmp'))
        self.addCleanup(shutil.rmtree, directory)
        self.host = LabHost.open(directory)
        self.addCleanup(self.host.guests.clean_all)

    def guest(
        self,
        image=None,
        *,
        name='one',
        network_id='net-1',
        user_data=USER_DATA,
        init='tini',
        boot=True,
        injected_files=None,
    ):
        self.host.fabric.ensure(Network(network_id, '10.0.0.1', 24))
        self.host.volumes.ensure(name, GIB)
        port = Port(
            network_id=network_id,
            mac='fa:16:3e:00:00:07',
            address=ADDRESS,
            prefix_length=24,
            gateway='10.0.0.1',
        )
        guest = self.host.guests.create(
            GuestSpec(
                guest_id=name,
                hostname=f'db-{name}',
                image_path=(image or self.former).path,
                ports=(port,),
                volume_id=name,
                user_data=user_data,
                init=init,
                injected_files=injected_files or {},
            )
        )
        if boot:
            guest.boot()
        return guest

    def shell(self, guest, script, check=True):
        return guest.exec(['/bin/sh', '-ec', script], check=check).output.strip()

    def mount(self, guest):
        self.shell(guest, f'mount UUID={guest.volume.filesystem_uuid} /var/lib/mysql')

    def greeting(self, network_id='net-1'):
        with self.host.fabric.connect(network_id, (ADDRESS, 3306)) as connection:
            return connection.recv(100)


class GuestTest(GuestTestCase):
    def test_a_guest_is_a_machine_of_its_own(self):
        guest = self.guest()

        self.assertEqual('db-one', self.shell(guest, 'hostname'))
        self.assertEqual('tini', self.shell(guest, 'cat /proc/1/comm'))
        self.assertEqual(guest.boot_id, self.shell(guest, 'cat /proc/sys/kernel/random/boot_id'))
        self.assertIn(f'inet {ADDRESS}/24', self.shell(guest, 'ip address show eth0'))
        self.assertIn('fa:16:3e:00:00:07', self.shell(guest, 'ip link show eth0'))
        self.assertIn('default via 10.0.0.1 dev eth0', self.shell(guest, 'ip route'))
        self.assertEqual(
            'hello mysql 600',
            self.shell(
                guest, 'echo $(cat /etc/from-user-data) $(stat -c "%U %a" /etc/from-user-data)'
            ),
        )

    def test_a_guest_sees_its_own_volume_and_no_other(self):
        self.guest(name='other', network_id='net-2', boot=False)
        guest = self.guest()

        self.assertEqual(1, len(self.shell(guest, 'ls /dev | grep ^loop').split()))
        self.assertIn('/dev/loop', self.shell(guest, f'blkid -U {guest.volume.filesystem_uuid}'))

    def test_a_reboot_keeps_the_root_disk_and_applies_user_data_no_second_time(self):
        guest = self.guest()
        first = guest.boot_id
        self.shell(guest, 'echo edited > /etc/from-user-data')

        guest.reboot()

        self.assertNotEqual(first, self.shell(guest, 'cat /proc/sys/kernel/random/boot_id'))
        self.assertEqual('edited', self.shell(guest, 'cat /etc/from-user-data'))

    def test_a_rebuild_keeps_volume_and_port_and_drops_the_root_disk(self):
        guest = self.guest()
        self.mount(guest)
        self.shell(guest, 'echo kept > /var/lib/mysql/row; echo lost > /etc/scratch')

        guest = self.host.guests.rebuild(
            'one', dataclasses.replace(guest.spec, image_path=self.target.path)
        )
        self.mount(guest)

        self.assertEqual('kept', self.shell(guest, 'cat /var/lib/mysql/row'))
        self.assertEqual('gone', self.shell(guest, 'test -e /etc/scratch || echo gone'))
        self.assertIn(f'inet {ADDRESS}/24', self.shell(guest, 'ip address show eth0'))
        self.assertIn('13', self.shell(guest, 'grep VERSION_ID /etc/os-release'))

    def test_the_agent_s_libraries_load_in_both_images(self):
        for image, version in ((self.former, '3.11'), (self.target, '3.13')):
            guest = self.guest(image)
            self.assertEqual(
                version,
                self.shell(
                    guest,
                    '/opt/trove-upgrade/venv/bin/python -c "import sys, oslo_messaging, '
                    "oslo_service, pymysql; print('%d.%d' % "
                    'sys.version_info[:2])"',
                ),
            )
            guest.kill()

    def test_root_alone_fetches_the_user_data_of_the_metadata_service(self):
        fetch = (
            """python3 -c 'import urllib.request; print(urllib.request.urlopen("""
            """"http://169.254.169.254/openstack/latest/user_data", """
            """timeout=5).read().decode())'"""
        )
        as_server = f'setpriv --reuid=mysql --regid=mysql --clear-groups -- {fetch} || echo refused'
        for image in (self.former, self.target):
            guest = self.guest(image)
            self.assertEqual(USER_DATA.decode().strip(), self.shell(guest, fetch))
            self.assertEqual('refused', self.shell(guest, as_server))
            guest.reboot()
            self.assertEqual('refused', self.shell(guest, as_server))
            self.assertEqual(
                '', self.shell(guest, '/usr/lib/trove-upgrade/metadata-closed --check')
            )
            self.shell(guest, 'nft flush ruleset')
            # The service itself refuses no caller.
            self.assertEqual(USER_DATA.decode().strip(), self.shell(guest, as_server))
            self.assertEqual(
                'refused',
                self.shell(
                    guest,
                    'setpriv --reuid=mysql --regid=mysql --clear-groups -- '
                    'cat /var/lib/cloud/seed/nocloud/user-data 2> /dev/null || echo refused',
                ),
            )
            guest.destroy()

    def test_two_networks_may_use_the_same_addresses(self):
        self.guest(name='one', network_id='net-1')
        self.guest(name='two', network_id='net-2')

        for name, network_id in (('one', 'net-1'), ('two', 'net-2')):
            self.shell(
                self.host.guests.get(name),
                f"python3 -c \"import socket; s = socket.create_server(('{ADDRESS}', 3306)); "
                f"s.accept()[0].sendall(b'{name}')\" > /dev/null 2>&1 &",
            )
            self.wait_until(
                lambda network_id=network_id: self.answers(network_id),
                f'guest {name} to answer',
                20,
            )
            self.assertEqual(name.encode(), self.answer)

    def answers(self, network_id):
        with contextlib.suppress(ConnectionRefusedError):
            self.answer = self.greeting(network_id)
            return True
        return False

    def test_a_guest_reaches_the_broker_at_its_gateway(self):
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)

        def serve():
            connection, _peer = server.accept()
            with connection:
                connection.sendall(connection.recv(20).upper())

        threading.Thread(target=serve, daemon=True).start()
        self.host = LabHost.open(self.host.directory, broker=server.getsockname())

        said = self.shell(
            self.guest(),
            "python3 -c \"import socket; s = socket.create_connection(('10.0.0.1', 5672), 5); "
            "s.sendall(b'amqp'); print(s.recv(20).decode())\"",
        )

        self.assertEqual('AMQP', said)

    def test_a_power_cut_loses_what_was_not_synced_and_nothing_else(self):
        guest = self.guest()
        self.mount(guest)
        self.shell(guest, 'cd /var/lib/mysql; echo synced > synced; sync; echo not > unsynced')

        guest.power_cut()
        guest.boot()
        self.mount(guest)

        self.assertEqual('synced', self.shell(guest, 'cat /var/lib/mysql/synced'))
        self.assertEqual('lost', self.shell(guest, 'test -s /var/lib/mysql/unsynced || echo lost'))

    def test_nothing_is_left_of_a_lab_that_was_cleaned(self):
        guest = self.guest()
        self.mount(guest)
        process, directory = guest.process, str(self.host.directory)

        self.host.guests.clean_all()

        self.assertFalse(processes.runs(process))
        self.assertNotIn(directory, pathlib.Path('/proc/self/mountinfo').read_text())
        self.assertNotIn(
            directory,
            subprocess.run(['losetup', '--all'], capture_output=True, text=True, check=True).stdout,
        )
        self.assertEqual(
            [],
            [
                path
                for path in pathlib.Path('/run/netns').iterdir()
                if path.name.startswith(self.host.fabric.network_namespace('')[:10])
            ],
        )


class DatabaseServiceTest(GuestTestCase):
    """The service that the product ships for images, as sysv script."""

    def service(self, guest, action):
        return guest.exec(['service', SERVICE, action], check=False)

    def test_a_provisioned_database_serves_over_the_network_and_after_a_reboot(self):
        guest = self.guest()
        provision.provision_database(guest)
        provision.seed_rows(guest, 1000)
        self.assertIn(b'10.11', self.greeting())

        guest.reboot()

        self.assertIn(b'10.11', self.greeting())
        self.assertEqual('1000', provision.sql(guest, 'SELECT COUNT(*) FROM shop.orders;').strip())
        self.assertEqual('157', provision.sql(guest, 'SELECT @@max_connections;').strip())
        self.assertEqual(
            '1',
            self.shell(guest, 'ps -o ppid= -C mariadbd | tr -d " "'),
            'the server is a child of no other process',
        )

    def test_the_distribution_s_own_service_does_not_start_by_itself(self):
        guest = self.guest()

        self.assertEqual('', self.shell(guest, 'ls /etc/rc?.d | grep mariadb || true'))
        self.assertEqual(
            '/dev/null', self.shell(guest, 'readlink /etc/systemd/system/mariadb.service')
        )
        self.assertEqual('', self.shell(guest, 'ls /var/lib/mysql'))

    def test_it_refuses_to_start_without_the_right_volume(self):
        guest = self.guest()
        refused = self.service(guest, 'start')
        self.assertEqual(1, refused.returncode)
        self.assertIn('names the UUID', refused.errors)

        self.shell(guest, f'echo {guest.volume.filesystem_uuid} > /etc/trove-upgrade/volume-uuid')
        self.assertIn('nothing is mounted', self.service(guest, 'start').errors)

        self.mount(guest)
        self.assertIn('no database in the expected place', self.service(guest, 'start').errors)

        self.shell(guest, f'echo {uuid.uuid4()} > /etc/trove-upgrade/volume-uuid')
        self.assertIn('mount the right one', self.service(guest, 'start').errors)
        self.assertEqual(
            'lost+found', self.shell(guest, 'ls /var/lib/mysql'), 'nothing was written'
        )

    def test_arguments_for_the_first_start_come_from_a_file(self):
        guest = self.guest()
        provision.provision_database(guest)
        self.assertEqual(0, self.service(guest, 'stop').returncode)
        self.assertEqual(3, self.service(guest, 'status').returncode)

        self.shell(
            guest,
            'printf -- "--skip-networking\\n--event-scheduler=OFF\\n" > '
            '/run/trove-upgrade/database-args',
        )
        self.assertEqual(0, self.service(guest, 'start').returncode)

        self.assertEqual(
            '1\tOFF', provision.sql(guest, 'SELECT @@skip_networking, @@event_scheduler;').strip()
        )
        self.assertRaises(ConnectionRefusedError, self.greeting)

    def test_a_refused_configuration_is_said_at_once_with_its_cause(self):
        guest = self.guest()
        provision.provision_database(guest)
        self.service(guest, 'stop')
        guest.write_file(provision.SETTINGS_FILE, '[mariadb]\nno_such_option = 1\n')

        refused = self.service(guest, 'start')

        self.assertEqual(1, refused.returncode)
        self.assertIn('unknown variable', refused.errors)


class SystemdGuestTest(GuestTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.systemd = cls.builder.build(recipes.TRIXIE.with_systemd())

    def test_real_systemd_and_real_cloud_init_work_in_a_guest(self):
        guest = self.guest(self.systemd, init='systemd')

        self.assertEqual('systemd', self.shell(guest, 'cat /proc/1/comm'))
        self.assertEqual('hello', self.shell(guest, 'cat /etc/from-user-data'))
        self.assertIn('status: done', self.shell(guest, 'cloud-init status', check=False))

        provision.provision_database(guest)
        self.assertIn(b'11.8', self.greeting())
        guest.reboot()

        self.wait_until(
            lambda: guest.exec(['mariadb-admin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
            60,
        )
        self.assertIn('masked', self.shell(guest, 'systemctl is-enabled mariadb', check=False))


class ImageTest(GuestTestCase):
    def test_the_facts_in_the_image_are_those_that_the_builder_returns(self):
        import json

        guest = self.guest(self.target)

        self.assertEqual(
            self.target.facts,
            json.loads(self.shell(guest, 'cat /etc/trove-upgrade/image-facts.json')),
        )
        self.assertTrue(self.target.facts['server_version'].startswith('11.8.'))
        self.assertEqual(transport.GUEST_VERSION, self.target.facts['guest_rpc'])
        self.assertNotIn('max_tmp_tables', self.target.facts['options'])
        self.assertIn('max_tmp_tables', self.former.facts['options'])
        self.assertIn('mariadb-11.8', self.target.facts['option_groups'])
        self.assertEqual('debian 13', self.target.facts['os'])

    def test_an_image_without_agent_has_a_database_and_no_agent(self):
        image = self.builder.build(recipes.TRIXIE.without_agent())

        guest = self.guest(image)

        self.assertIsNone(image.facts['agent_version'])
        self.assertNotIn('guest_rpc', image.facts)
        self.assertEqual('', self.shell(guest, 'find / -xdev -name "trove-upgrade-guestagent*"'))
        self.assertEqual('', self.shell(guest, f'test -x /etc/init.d/{SERVICE} || echo missing'))
