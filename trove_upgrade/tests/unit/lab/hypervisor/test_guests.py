# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import pathlib
import tempfile

from lab import errors
from lab.hypervisor import engine_disk
from lab.hypervisor.errors import CleanupIncomplete, GuestNotRunning, GuestUnknown
from lab.hypervisor.host import LabHost
from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.servers import Port
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes


class GuestStoreTest(base.TestCase):
    def setUp(self):
        super().setUp()
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.commands = fakes.Commands()
        self.host = LabHost.open(directory, commands=self.commands)
        self.spec = GuestSpec(
            guest_id='guest-1',
            hostname='db-one',
            image_path=pathlib.Path('/images/a'),
            ports=(
                Port(
                    network_id='net-1',
                    mac='fa:16:3e:00:00:01',
                    address='10.0.0.7',
                    prefix_length=24,
                ),
            ),
            volume_id='guest-1',
            user_data=b'\x00binary \xff',
            meta_data={'answer': 42},
            injected_files={'/etc/trove/conf.d/guest_info.conf': b'\x00binary \xfe'},
        )

    def test_a_spec_comes_back_from_its_record_as_it_was(self):
        self.assertEqual(self.spec, GuestSpec.from_json(self.spec.to_json()))

    def test_a_created_guest_is_found_by_another_process(self):
        self.host.guests.create(self.spec)

        again = LabHost.open(self.host.directory, commands=self.commands)

        self.assertEqual(self.spec, again.guests.get('guest-1').spec)
        self.assertEqual(['guest-1'], [guest.spec.guest_id for guest in again.guests.all()])

    def test_injected_files_are_on_the_root_disk_before_it_boots_and_root_s_alone(self):
        guest = self.host.guests.create(self.spec)

        written = guest.home / 'upper/etc/trove/conf.d/guest_info.conf'
        self.assertEqual(b'\x00binary \xfe', written.read_bytes())
        self.assertEqual(0o600, written.stat().st_mode & 0o777)

    def test_a_record_from_before_there_were_injected_files_is_read(self):
        record = json.loads(self.spec.to_json())
        del record['injected_files']

        self.assertEqual({}, GuestSpec.from_json(json.dumps(record)).injected_files)

    def test_the_seed_tells_the_guest_its_volume_s_uuid(self):
        volume = self.host.volumes.ensure('guest-1', GIB)
        guest = self.host.guests.create(self.spec)

        seed = guest.home / 'upper/var/lib/cloud/seed/nocloud'

        self.assertEqual(b'\x00binary \xff', (seed / 'user-data').read_bytes())
        self.assertEqual(0o600, (seed / 'user-data').stat().st_mode & 0o777)
        self.assertEqual(
            {
                'instance-id': 'guest-1',
                'local-hostname': 'db-one',
                'volume_uuid': volume.filesystem_uuid,
                'answer': 42,
            },
            json.loads((seed / 'meta-data').read_text()),
        )

    def test_creating_a_guest_anew_drops_its_root_disk(self):
        guest = self.host.guests.create(self.spec)
        (guest.home / 'upper/etc/written-by-the-guest').write_text('x')

        again = self.host.guests.create(self.spec)

        self.assertFalse((again.home / 'upper/etc/written-by-the-guest').exists())

    def test_an_unknown_guest_is_said_to_be_unknown(self):
        error = self.assertRaises(GuestUnknown, self.host.guests.get, 'guest-9')

        self.assertIn('guest-9', str(error))

    def test_a_guest_that_does_not_run_is_not_reachable_and_runs_no_program(self):
        guest = self.host.guests.create(self.spec)

        self.assertFalse(guest.running)
        self.assertFalse(guest.reachable)
        self.assertRaises(GuestNotRunning, guest.exec, ['true'])
        self.assertEqual([], self.commands.ran_beginning('nsenter'))

    def test_a_destroyed_guest_leaves_nothing_and_may_be_destroyed_again(self):
        self.host.volumes.ensure('guest-1', GIB)
        guest = self.host.guests.create(self.spec)

        guest.destroy()
        guest.destroy()

        self.assertFalse(guest.home.exists())
        self.assertIsNone(self.host.volumes.find('guest-1'))
        self.assertEqual([], self.host.guests.all())

    def test_a_rebuild_s_destruction_keeps_the_volume(self):
        self.host.volumes.ensure('guest-1', GIB)
        self.host.guests.create(self.spec).destroy(keep_volume=True)

        self.assertIsNotNone(self.host.volumes.find('guest-1'))

    def test_what_resists_cleaning_is_named_and_the_rest_is_gone(self):
        for name in ('one', 'two'):
            self.host.volumes.ensure(name, GIB)
        one = self.host.volumes.find('one')
        self.commands.answer(
            f'losetup --noheadings --output NAME --associated {one.path}', '/dev/loop77\n'
        )
        self.commands.answer('losetup --detach /dev/loop77', 'busy', returncode=1)

        error = self.assertRaises(CleanupIncomplete, self.host.guests.clean_all)

        self.assertIn('volume one', str(error))
        self.assertEqual([one], self.host.volumes.all())

    def test_a_guest_with_an_engine_asks_its_gateway_for_names_and_is_told_no_uuid_of_a_raw_volume(
        self,
    ):
        volume = self.host.volumes.ensure('guest-1', GIB, raw=True)
        port = dataclasses.replace(self.spec.ports[0], gateway='10.0.0.1')
        guest = self.host.guests.create(
            dataclasses.replace(self.spec, runs_containers=True, ports=(port,))
        )

        self.assertEqual('', volume.filesystem_uuid)
        self.assertIn('nameserver 10.0.0.1\n', (guest.home / 'upper/etc/resolv.conf').read_text())
        self.assertNotIn(
            'volume_uuid',
            json.loads((guest.home / 'upper/var/lib/cloud/seed/nocloud/meta-data').read_text()),
        )

    def test_a_rebuild_drops_the_store_of_the_engine_with_the_root_disk(self):
        guest = self.host.guests.create(dataclasses.replace(self.spec, runs_containers=True))
        engine_disk.ensure(guest.home / 'engine.img', self.commands)

        guest.drop_root_disk()

        self.assertFalse((guest.home / 'engine.img').exists())

    def test_the_disk_of_an_engine_is_made_once_per_root_disk(self):
        disk = self.host.guests.create(self.spec).home / 'engine.img'

        engine_disk.ensure(disk, self.commands)
        engine_disk.ensure(disk, self.commands)

        self.assertEqual(1, len(self.commands.ran_beginning('mkfs.ext4')))

    def test_the_making_of_a_disk_that_failed_leaves_none(self):
        disk = self.host.guests.create(self.spec).home / 'engine.img'
        self.commands.answer('mkfs.ext4', 'no', returncode=1)

        self.assertRaises(errors.CommandFailed, engine_disk.ensure, disk, self.commands)

        self.assertFalse(disk.exists())

    def test_control_groups_go_with_the_guests_that_have_some_under_a_name_of_this_lab_alone(self):
        self.host.guests.create(self.spec).kill()
        self.assertEqual([], self.commands.ran_beginning('unshare'))

        self.host.guests.create(dataclasses.replace(self.spec, runs_containers=True)).kill()

        # Once before its making, as one of that name may have been there, and once by the kill.
        self.assertEqual(2, len(self.commands.ran_beginning('unshare')))
        self.assertIn(
            self.host.fabric.guest_namespace('guest-1'), self.commands.ran_beginning('unshare')[0]
        )

    def test_taking_the_agent_away_hides_both_of_its_services(self):
        guest = self.host.guests.create(self.spec)
        guest.take_agent_away()

        upper = guest.home / 'upper'
        self.assertIn('exit 0', (upper / 'etc/init.d/trove-upgrade-guestagent').read_text())
        self.assertEqual(
            pathlib.Path('/dev/null'),
            (upper / 'etc/systemd/system/trove-upgrade-guestagent.service').readlink(),
        )


class VolumeStoreTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        self.volumes = LabHost.open(
            pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())), commands=self.commands
        ).volumes

    def test_a_volume_is_formatted_once_in_its_life(self):
        first = self.volumes.ensure('volume-1', GIB)
        second = self.volumes.ensure('volume-1', 9 * GIB)

        self.assertEqual(first, second)
        self.assertEqual(1, len(self.commands.ran_beginning('mkfs.ext4')))
        self.assertEqual(GIB, first.path.stat().st_size)

    def test_a_volume_whose_making_was_cut_off_is_made_anew(self):
        volume = self.volumes.ensure('volume-1', GIB)
        volume.path.with_suffix('.json').unlink()

        self.assertIsNone(self.volumes.find('volume-1'))
        self.assertNotEqual(
            volume.filesystem_uuid, self.volumes.ensure('volume-1', GIB).filesystem_uuid
        )

    def test_a_raw_volume_is_not_formatted_and_stays_raw(self):
        volume = self.volumes.ensure('volume-1', GIB, raw=True)

        self.assertEqual(volume, self.volumes.ensure('volume-1', GIB))
        self.assertEqual([], self.commands.ran_beginning('mkfs.ext4'))
        self.assertEqual(GIB, volume.path.stat().st_size)

    def test_an_attached_volume_is_not_attached_twice(self):
        volume = self.volumes.ensure('volume-1', GIB)
        self.commands.answer('losetup --noheadings', '/dev/loop77\n')

        self.assertEqual('/dev/loop77', self.volumes.attach(volume))
        self.assertEqual([], self.commands.ran_beginning('losetup --find'))

    def test_a_destroyed_volume_is_detached_and_gone(self):
        volume = self.volumes.ensure('volume-1', GIB)
        self.commands.answer('losetup --noheadings', '/dev/loop77\n')

        self.volumes.destroy('volume-1')

        self.assertIn('losetup --detach /dev/loop77', self.commands.ran)
        self.assertFalse(volume.path.exists())
        self.assertEqual([], self.volumes.all())

    def test_destroying_an_unknown_volume_is_no_error(self):
        self.volumes.destroy('volume-9')

        self.assertEqual([], self.commands.ran)
