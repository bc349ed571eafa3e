# SPDX-License-Identifier: Apache-2.0
"""The volume's top, where the database's user has owned it."""

import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage import volume_ownership
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes

TENANT = 1001


class VolumeOfTheTenant(base.TestCase):
    """A volume that Trove's agent has given to the database's user."""

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.layout = Layout(self.root)
        self.layout.data_directory.mkdir(parents=True)
        self.kept = self.layout.on_volume
        self.marks = Marks(self.layout)
        self.give_away()

    def give_away(self):
        for path in (self.layout.volume, *self.layout.volume.rglob('*')):
            os.lchown(path, TENANT, TENANT)


class ClaimTest(VolumeOfTheTenant):
    def test_the_top_becomes_roots_and_the_data_stays_the_tenants(self):
        self.layout.volume.chmod(0o777)
        volume_ownership.anew(self.kept)
        top, data = self.layout.volume.stat(), self.layout.data_directory.stat()
        self.assertEqual(
            (0, 0, 0o755, TENANT), (top.st_uid, top.st_gid, top.st_mode & 0o7777, data.st_uid)
        )

    def test_marks_and_a_stash_that_the_tenant_has_put_there_are_removed_before_an_upgrade_begins(
        self,
    ):
        (self.kept / 'stash-u-1').mkdir(parents=True)
        (self.kept / 'mark-compared.json').write_text('{"upgrade_id": "u"}')
        self.give_away()
        volume_ownership.anew(self.kept)
        self.assertFalse(self.kept.exists())

    def test_a_link_in_its_place_is_removed_and_what_it_leads_to_stays(self):
        elsewhere = self.root / 'elsewhere'
        elsewhere.mkdir()
        (elsewhere / 'file').write_text("root's")
        self.kept.symlink_to(elsewhere)
        volume_ownership.anew(self.kept)
        self.assertFalse(os.path.lexists(self.kept))
        self.assertTrue((elsewhere / 'file').exists())

    def test_what_is_roots_alone_stays(self):
        volume_ownership.anew(self.kept)
        self.marks.set(Mark.STASHED, 'u')
        volume_ownership.anew(self.kept)
        self.assertTrue(self.marks.has(Mark.STASHED, 'u'))

    def test_what_a_boot_has_given_away_is_taken_back_with_all_that_is_in_it(self):
        volume_ownership.anew(self.kept)
        self.marks.set(Mark.SERVER_STARTED, 'u')
        stash = self.kept / 'stash-u-1'
        stash.mkdir(mode=0o700)
        (stash / 'content').write_bytes(b'kept')
        self.give_away()
        self.assertFalse(volume_ownership.is_ours(self.kept))
        volume_ownership.back(self.kept)
        self.assertTrue(volume_ownership.is_ours(self.kept))
        self.assertEqual([0, 0], [path.stat().st_uid for path in (stash, stash / 'content')])
        self.assertEqual(b'kept', (stash / 'content').read_bytes())

    def test_a_link_below_is_removed_when_it_is_taken_back(self):
        (self.kept / 'stash-u-1').mkdir(parents=True)
        (self.kept / 'stash-u-1' / 'content').symlink_to('/etc/passwd')
        self.give_away()
        volume_ownership.back(self.kept)
        self.assertFalse(os.path.lexists(self.kept / 'stash-u-1' / 'content'))
        self.assertEqual(0, pathlib.Path('/etc/passwd').stat().st_uid)

    def test_taking_back_what_is_not_there_or_no_directory_makes_the_top_roots_alone(self):
        volume_ownership.back(self.kept)
        self.kept.symlink_to('/etc')
        volume_ownership.back(self.kept)
        self.assertEqual(0, self.layout.volume.stat().st_uid)
        self.assertFalse(volume_ownership.is_ours(self.kept))


class MarksOfOthersTest(VolumeOfTheTenant):
    """No mark that the database's user could have written is believed, and none is written where
    that user could lead it elsewhere.
    """

    def test_a_forged_mark_says_nothing(self):
        self.kept.mkdir()
        (self.kept / 'mark-compared.json').write_text('{"upgrade_id": "u"}')
        self.give_away()
        self.assertFalse(self.marks.has(Mark.COMPARED, 'u'))

    def test_in_a_directory_of_roots_below_a_top_of_his_a_mark_says_nothing_either(self):
        volume_ownership.anew(self.kept)
        self.marks.set(Mark.COMPARED, 'u')
        os.chown(self.layout.volume, TENANT, TENANT)
        self.assertFalse(self.marks.has(Mark.COMPARED, 'u'))

    def test_whether_a_server_was_started_is_unknown_there_and_counts_as_yes(self):
        self.kept.mkdir()
        self.give_away()
        self.assertTrue(self.marks.is_unreadable(Mark.SERVER_STARTED))

    def test_nothing_is_written_through_a_link_of_his(self):
        elsewhere = self.root / 'elsewhere'
        elsewhere.mkdir()
        self.kept.symlink_to(elsewhere)
        self.assertEqual(
            'MARK_NOT_WRITTEN',
            self.assertRaises(exceptions.StepFailed, self.marks.set, Mark.UPGRADED, 'u').code,
        )
        self.marks.see_generation('u', 7)
        self.marks.clear(Mark.UPGRADED)
        self.assertEqual([], list(elsewhere.iterdir()))

    def test_a_generation_that_he_has_forged_is_not_seen(self):
        self.kept.mkdir()
        (self.kept / 'generations.json').write_text('{"u": 999}')
        self.give_away()
        self.assertEqual(0, self.marks.highest_generation('u'))
