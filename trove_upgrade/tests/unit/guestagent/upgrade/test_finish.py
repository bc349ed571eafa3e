# SPDX-License-Identifier: Apache-2.0
"""finish_upgrade comes at a wrong time, where the stash goes at once: what an upgrade needs still
must stay.
"""

import dataclasses

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.upgrade import finish, quiesce, restore, undo, verify
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Settings
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase

BACK = {'options': GuestOptions(rollback=True), 'target': {'server_version': '10.11.14'}}


class FinishTest(FlowTestCase):
    def work(self, **changes):
        made = self.machine.work(**changes)
        guest = dataclasses.replace(made.guest, settings=Settings(stash_keep_hours=0))
        return dataclasses.replace(made, guest=guest)

    def rebuilt(self, machine=None):
        info = super().rebuilt(machine)
        self.machine.agent_marker = f'{fakes.UPGRADE}:1'
        return info

    def stashes(self):
        """Wherever the volume is: mounted or not."""
        places = self.machine.layout.on_volume, self.machine.volume_directory / '.trove-upgrade'
        return sorted({path.name for place in places for path in place.glob('stash-*')})

    def assert_too_early(self):
        refused = self.assertRaises(exceptions.StepFailed, finish.finish, self.work())
        self.assertEqual('FINISHED_TOO_EARLY', refused.code)
        self.assertFalse(self.machine.guest().marks.has(Mark.FINISHED))
        self.assertIsNone(finish.seconds_until_removal(self.work().guest))
        self.assertEqual([f'stash-{fakes.UPGRADE}-1'], self.stashes())

    def assert_finished(self, **call):
        finish.finish(self.work(**call))
        self.assertEqual([], self.stashes())

    def test_between_quiesce_and_rebuild(self):
        self.quiesced()
        self.assert_too_early()
        undo.abort(self.machine.work())

    def test_after_the_rebuild_before_anything_was_done(self):
        info = self.rebuilt()
        self.assert_too_early()
        restore.restore(self.machine.work(upgrade_info=info))
        self.assert_upgraded(self.machine)

    def test_after_the_rebuild_with_the_volume_mounted_by_another(self):
        info = self.rebuilt()
        guest = self.machine.guest()
        guest.volume.mount(info['volume_uuid'])
        self.assert_too_early()

    def test_in_the_middle_of_a_restore(self):
        for method in ('own_data', 'start_isolated', 'upgrade_data', 'open_for_clients'):
            with self.subTest(method):
                self.machine = self.new_machine()
                info = self.rebuilt()
                self.machine.fail[method] = exceptions.StepFailed('no', 'NO')
                with self.assertRaises(exceptions.StepFailed):
                    restore.restore(self.machine.work(upgrade_info=info))
                self.assert_too_early()
                restore.restore(self.machine.work(upgrade_info=info))
                self.assert_upgraded(self.machine)

    def test_between_restore_and_verify(self):
        restore.restore(self.machine.work(upgrade_info=self.rebuilt()))
        self.assert_too_early()

    def test_after_a_verify_that_found_another_server(self):
        restore.restore(self.machine.work(upgrade_info=self.rebuilt()))
        with self.assertRaises(exceptions.StepFailed):
            verify.verify(self.machine.work(target={'server_version': '12.1'}))
        self.assert_too_early()

    def test_after_a_second_rebuild_the_first_disks_marks_count_for_nothing(self):
        info = self.rebuilt()
        restore.restore(self.machine.work(upgrade_info=info))
        verify.verify(self.machine.work())
        self.machine.rebuild(f'{fakes.UPGRADE}:2')
        self.assert_too_early()

    def test_when_it_was_verified_it_goes(self):
        restore.restore(self.machine.work(upgrade_info=self.rebuilt()))
        verify.verify(self.machine.work())
        self.assert_finished()
        self.assert_upgraded(self.machine)

    def test_when_its_root_disk_was_healed_it_goes(self):
        info = self.rebuilt()
        restore.restore(self.machine.work(upgrade_info=info))
        verify.verify(self.machine.work())
        self.machine.rebuild()
        restore.restore(self.machine.work(upgrade_info=info))
        self.assert_finished()

    def test_when_it_was_rolled_back_it_goes(self):
        info = self.rebuilt()
        self.machine.target = '10.11.14-MariaDB'
        self.machine.rebuild(f'{fakes.UPGRADE}:2')
        restore.restore(self.machine.work(upgrade_info=info, **BACK))
        verify.verify(self.machine.work(**BACK))
        self.assert_finished(**BACK)

    def test_what_was_undone_has_nothing_to_keep(self):
        self.quiesced()
        undo.abort(self.machine.work())
        self.assert_finished()
        self.assert_serves_as_before(self.machine)

    def test_what_was_undone_and_is_tried_again_keeps_its_new_stash(self):
        """The hours of the first end while the second is under way."""
        self.quiesced()
        undo.abort(self.machine.work())
        finish.finish(self.machine.work())
        self.machine.clock.move(73 * 3600)
        info = quiesce.quiesce(self.machine.work(attempt=2)).result['upgrade_info']
        self.machine.guest().volume.mount(info['volume_uuid'])
        self.assertLess(0, finish.seconds_until_removal(self.machine.guest()))
        self.assertEqual([f'stash-{fakes.UPGRADE}-2'], self.stashes())

    def test_of_another_upgrade_it_touches_nothing(self):
        self.rebuilt()
        finish.finish(self.work(upgrade_id='another'))
        self.assertEqual([f'stash-{fakes.UPGRADE}-1'], self.stashes())
