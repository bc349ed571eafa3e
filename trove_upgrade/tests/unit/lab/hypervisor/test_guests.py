# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import tempfile

from trove_upgrade.lab.hypervisor import errors
from trove_upgrade.lab.hypervisor.guests import GuestSpec
from trove_upgrade.lab.hypervisor.host import LabHost
from trove_upgrade.lab.hypervisor.network import Port
from trove_upgrade.lab.hypervisor.volume import GIB
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab.hypervisor import fakes


class GuestStoreTest(base.TestCase):
    def setUp(self):
        super().setUp()
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.commands = fakes.Commands()
        self.host = LabHost.open(directory, commands=self.commands)
        self.spec = GuestSpec('guest-1', 'db-one', pathlib.Path('/images/a'), (Port('net-1', 'fa:16:3e:00:00:01', '10.0.0.7', 24),),
                              'guest-1', b'\x00binary \xff', {'answer': 42})

    def test_a_spec_comes_back_from_its_record_as_it_was(self):
        self.assertEqual(self.spec, GuestSpec.from_json(self.spec.to_json()))

    def test_a_created_guest_is_found_by_another_process(self):
        self.host.guests.create(self.spec)

        again = LabHost.open(self.host.directory, commands=self.commands)

        self.assertEqual(self.spec, again.guests.get('guest-1').spec)
        self.assertEqual(['guest-1'], [guest.spec.guest_id for guest in again.guests.all()])

    def test_the_seed_tells_the_guest_its_volume_s_uuid(self):
        volume = self.host.volumes.ensure('guest-1', GIB)
        guest = self.host.guests.create(self.spec)

        seed = guest.home / 'upper/var/lib/cloud/seed/nocloud'

        self.assertEqual(b'\x00binary \xff', (seed / 'user-data').read_bytes())
        self.assertEqual({'instance-id': 'guest-1', 'local-hostname': 'db-one', 'volume_uuid': volume.filesystem_uuid, 'answer': 42},
                         json.loads((seed / 'meta-data').read_text()))

    def test_creating_a_guest_anew_drops_its_root_disk(self):
        guest = self.host.guests.create(self.spec)
        (guest.home / 'upper/etc/written-by-the-guest').write_text('x')

        again = self.host.guests.create(self.spec)

        self.assertFalse((again.home / 'upper/etc/written-by-the-guest').exists())

    def test_an_unknown_guest_is_said_to_be_unknown(self):
        error = self.assertRaises(errors.GuestUnknown, self.host.guests.get, 'guest-9')

        self.assertIn('guest-9', str(error))

    def test_a_guest_that_does_not_run_is_not_reachable_and_runs_no_program(self):
        guest = self.host.guests.create(self.spec)

        self.assertFalse(guest.running)
        self.assertFalse(guest.reachable)
        self.assertRaises(errors.GuestNotRunning, guest.exec, ['true'])
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
        self.commands.answer(f'losetup --noheadings --output NAME --associated {one.path}', '/dev/loop77\n')
        self.commands.answer('losetup --detach /dev/loop77', 'busy', returncode=1)

        error = self.assertRaises(errors.CleanupIncomplete, self.host.guests.clean_all)

        self.assertIn('volume one', str(error))
        self.assertEqual([one], self.host.volumes.all())

    def test_taking_the_agent_away_hides_both_of_its_services(self):
        guest = self.host.guests.create(self.spec)
        guest.take_agent_away()

        upper = guest.home / 'upper'
        self.assertIn('exit 0', (upper / 'etc/init.d/trove-upgrade-guestagent').read_text())
        self.assertEqual(pathlib.Path('/dev/null'), (upper / 'etc/systemd/system/trove-upgrade-guestagent.service').readlink())


class VolumeStoreTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.commands = fakes.Commands()
        self.volumes = LabHost.open(pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())), commands=self.commands).volumes

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
        self.assertNotEqual(volume.filesystem_uuid, self.volumes.ensure('volume-1', GIB).filesystem_uuid)

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
