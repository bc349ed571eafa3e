# SPDX-License-Identifier: Apache-2.0
"""The flows on a volume that Trove's agent has given to the database's user."""

import os

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.upgrade import quiesce, restore, undo
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.storage.test_volume_ownership import TENANT
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase


class SharedVolumeTest(FlowTestCase):
    def setUp(self):
        super().setUp()
        self.patch_shares(True)
        self.give_away(self.machine.layout.volume)

    def patch_shares(self, shared):
        fakes.Driver.shares_volume = shared
        self.addCleanup(delattr, fakes.Driver, 'shares_volume')

    def give_away(self, volume):
        """As Trove's agent does when it mounts it."""
        for path in (volume, *volume.rglob('*')):
            os.lchown(path, TENANT, TENANT)

    def restore(self, info):
        return restore.restore(self.machine.work(upgrade_info=info))

    def test_the_upgrade_takes_it_and_leaves_the_data_to_its_owner(self):
        info = self.rebuilt()
        self.restore(info)
        self.assertTrue(volume_ownership.is_ours(self.machine.layout.on_volume))
        self.assert_upgraded(self.machine)

    def test_marks_that_were_forged_before_the_stop_are_gone_and_the_comparison_is_made(self):
        forged = self.machine.layout.on_volume
        forged.mkdir()
        for mark in (Mark.COMPARED, Mark.UPGRADED, Mark.SERVER_STARTED):
            (forged / f'mark-{mark}.json').write_text(f'{{"upgrade_id": "{fakes.UPGRADE}"}}')
        self.give_away(self.machine.layout.volume)
        info = self.rebuilt()
        result = self.restore(info).result
        self.assertEqual([], result['fingerprint']['missing'])
        self.assert_upgraded(self.machine)

    def test_a_link_in_the_place_of_the_stash_leads_nowhere(self):
        elsewhere = self.machine.layout.root / 'elsewhere'
        elsewhere.mkdir()
        self.machine.layout.on_volume.symlink_to(elsewhere)
        self.quiesced()
        self.assertEqual([], list(elsewhere.iterdir()))

    def test_owners_that_troves_agent_has_changed_on_the_new_root_disk_are_set_right_again(self):
        info = self.rebuilt()
        self.give_away(self.machine.volume_directory)
        self.restore(info)
        self.assert_upgraded(self.machine)

    def test_while_a_process_uses_the_volume_they_are_not(self):
        info = self.rebuilt()
        self.give_away(self.machine.volume_directory)
        self.machine.others = ['99 (sh)']
        error = self.assertRaises(exceptions.StepFailed, self.restore, info)
        self.assertEqual('STASH_MISSING', error.code)

    def test_an_undo_serves_as_before(self):
        self.quiesced()
        undo.abort(self.machine.work())
        self.assert_serves_as_before(self.machine)

    def test_elsewhere_a_volume_of_the_databases_user_is_refused_still(self):
        fakes.Driver.shares_volume = False
        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, self.machine.work())
        self.assertEqual('VOLUME_LAYOUT_UNKNOWN', error.code)
