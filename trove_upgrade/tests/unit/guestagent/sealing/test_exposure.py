# SPDX-License-Identifier: Apache-2.0
"""What the database server's user reads of a root disk, by real files, modes and links."""

import dataclasses
import os
import pathlib
import stat

import fixtures

from trove_upgrade.guestagent.machine import commands, metadata_address
from trove_upgrade.guestagent.sealing import exposure
from trove_upgrade.guestagent.upgrade import check
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

_ACCOUNT = '[DEFAULT]\ntransport_url = rabbit://u:p@b/\n'
_SERVER = exposure.Reader(64321, frozenset({64321, 64322}))


class ExposureCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, name, text=_ACCOUNT, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def exposed(self, reader=_SERVER):
        return [str(path.relative_to(self.root)) for path in exposure.exposed(self.root, reader)]


class TestFiles(ExposureCase):
    def test_a_configuration_with_an_account_counts_while_others_can_read_it(self):
        path = self.write('etc/trove/conf.d/trove-guestagent.conf')
        self.write('etc/trove/conf.d/guest_info.conf', '[DEFAULT]\nguest_id = i\n')
        self.write('etc/trove-guestagent.conf')
        self.write('etc/trove/certs/deep/x.conf', '[DEFAULT]\ninstance_rpc_encr_key = k\n')
        self.assertEqual(
            [
                'etc/trove-guestagent.conf',
                'etc/trove/certs/deep/x.conf',
                'etc/trove/conf.d/trove-guestagent.conf',
            ],
            self.exposed(),
        )
        path.chmod(0o600)
        self.assertNotIn('etc/trove/conf.d/trove-guestagent.conf', self.exposed())

    def test_the_guests_key_counts_whatever_is_in_it_and_its_copies_too(self):
        names = [
            'etc/trove/.trove-upgrade-guest.key.new',
            'etc/trove/trove-upgrade-guest.key',
            'etc/trove/trove-upgrade-guest.key.bak',
            'etc/trove/trove-upgrade-guest.key~',
        ]
        for name in names:
            self.write(name, '{"secret": "x"}')
        self.assertEqual(names, self.exposed())
        for name in names:
            (self.root / name).chmod(0o600)
        self.assertEqual([], self.exposed())

    def test_the_mode_counts_as_for_the_kernel(self):
        path = self.write('etc/trove/conf.d/a.conf')
        for mode, uid, gid, is_read in (
            (0o640, 0, 0, False),
            (0o640, 0, 64322, True),
            (0o604, 0, 64322, False),
            (0o400, 64321, 0, True),
            (0o044, 64321, 0, False),
        ):
            os.chown(path, uid, gid)
            path.chmod(mode)
            self.assertEqual(
                ['etc/trove/conf.d/a.conf'] if is_read else [], self.exposed(), oct(mode)
            )

    def test_a_closed_directory_above_closes_the_file_and_a_link_opens_another(self):
        self.write('etc/trove/conf.d/a.conf')
        (self.root / 'etc/trove/conf.d').chmod(0o700)
        self.assertEqual([], self.exposed())
        self.write('srv/shared.conf')
        (self.root / 'etc/trove/link.conf').symlink_to(self.root / 'srv/shared.conf')
        (self.root / 'etc/trove/dangling.conf').symlink_to('nowhere')
        (self.root / 'etc/trove/loop.conf').symlink_to('loop.conf')
        self.assertEqual(['etc/trove/link.conf'], self.exposed())

    def test_copies_of_user_data_count_whatever_is_in_them(self):
        names = [
            'run/cloud-init/instance-data-sensitive.json',
            'var/lib/cloud/instances/i/cloud-config.txt',
            'var/lib/cloud/instances/i/user-data.txt',
            'var/lib/cloud/instances/i/user-data.txt.i',
            'var/lib/cloud/seed/nocloud/user-data',
        ]
        for name in names:
            self.write(name, 'x')
        self.assertEqual(names, self.exposed())
        for name in names:
            (self.root / name).chmod(0o600)
        self.assertEqual([], self.exposed())

    def test_a_config_drive_counts_where_it_is_mounted_and_where_its_device_is_open(self):
        self.write('media/config drive/openstack/latest/user_data', 'x')
        self.write('mnt/ec2/latest/user-data', 'x')
        self.assertEqual([], self.exposed())
        self.write(
            'proc/mounts',
            '/dev/sr0 /media/config\\040drive iso9660 ro 0 0\n/dev/vdc /mnt vfat rw 0 0\nshort\n',
        )
        self.assertEqual(
            ['media/config drive/openstack/latest/user_data', 'mnt/ec2/latest/user-data'],
            self.exposed(),
        )

    def test_the_device_of_a_config_drive_that_others_can_read(self):
        device = self.root / 'dev/sr0'
        device.parent.mkdir()
        os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(7, 250))
        (self.root / 'dev/disk/by-label').mkdir(parents=True)
        (self.root / 'dev/disk/by-label/config-2').symlink_to('../../sr0')
        self.assertEqual([], self.exposed())
        device.chmod(0o664)
        self.assertEqual(['dev/disk/by-label/config-2'], self.exposed())


class Program:
    """Implements Commands with one answer."""

    def __init__(self, returncode, stderr=''):
        self.answer = commands.Completed(returncode, '', stderr)

    def run(self, argv, timeout_seconds=60):
        return self.answer


class TestChecks(ExposureCase):
    def setUp(self):
        super().setUp()
        self.machine = fakes.Machine(self.root / 'machine')
        os.chown(self.machine.layout.data_directory, _SERVER.uid, _SERVER.uid)

    def checks(self, metadata=None):
        wanted = self.machine.work()
        if metadata is not None:
            wanted = dataclasses.replace(
                wanted, guest=dataclasses.replace(wanted.guest, metadata=metadata)
            )
        return {result.name: result for result in check.run(wanted)}

    def test_what_the_tenant_is_told_names_no_file(self):
        self.machine.layout.agent_files[1].chmod(0o644)
        result = self.checks()['guest_secrets']
        self.assertEqual(('warning', 'GUEST_SECRETS_READABLE'), (result.outcome, result.code))
        self.assertNotIn('/etc', result.message)
        self.machine.layout.agent_files[1].chmod(0o600)
        self.assertEqual('ok', self.checks()['guest_secrets'].outcome)

    def test_why_the_metadata_address_is_open(self):
        for answer, found in (
            (Program(127), 'this image has no'),
            (Program(1, 'nft is not installed'), 'nft is not installed'),
        ):
            self.assertIn(found, metadata_address.GuestFirewall(answer).opening())
        self.assertIsNone(metadata_address.GuestFirewall(Program(0)).opening())

    def test_an_open_metadata_address_is_a_warning(self):
        result = self.checks(metadata_address.GuestFirewall(Program(1, 'nft is not installed')))[
            'guest_metadata'
        ]
        self.assertEqual(('warning', 'METADATA_REACHABLE'), (result.outcome, result.code))
        self.assertNotIn('nft', result.message)
        self.assertEqual('ok', self.checks()['guest_metadata'].outcome)
