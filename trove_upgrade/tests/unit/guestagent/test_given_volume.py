# SPDX-License-Identifier: Apache-2.0
"""The flows on a volume that an old Trove has given to the server's own user: a service of the
guest runs the server.
"""

import os

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.volume_ownership import TAKEN, Top
from trove_upgrade.guestagent.upgrade import check, quiesce, restore, undo
from trove_upgrade.guestagent.upgrade.mark_facts import QuiescedFacts, QuiescingFacts
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade import test_flows

SERVER, OTHER = 1001, 1234
#: Owner, group and mode that no other step of the flows would give it.
GIVEN = Top(uid=SERVER, gid=SERVER, mode=0o2750)


class GivenVolume(test_flows.FlowTestCase):
    def setUp(self):
        fakes.Driver.volume_owner = lambda driver: SERVER
        self.addCleanup(delattr, fakes.Driver, 'volume_owner')
        super().setUp()

    def new_machine(self):
        machine = super().new_machine()
        self.give(machine, GIVEN)
        os.chown(machine.layout.data_directory, SERVER, SERVER)
        return machine

    def give(self, machine, top):
        os.chown(machine.layout.volume, top.uid, top.gid)
        machine.layout.volume.chmod(top.mode)

    def top(self, machine):
        return Top.of(machine.layout.volume if machine.mounted else machine.volume_directory)

    def assert_serves_as_before(self, machine):
        super().assert_serves_as_before(machine)
        self.assertEqual(GIVEN, self.top(machine))

    def assert_upgraded(self, machine):
        super().assert_upgraded(machine)
        self.assertEqual(TAKEN, self.top(machine))


class TestEveryWayOfQuiesce(GivenVolume, test_flows.QuiesceTest):
    """Each story of the flows, with each death of the agent, ends with the top as it was, or
    root's on the new root disk.
    """

    def test_the_top_is_taken_before_anything_is_kept(self):
        self.quiesced()
        self.assertEqual(TAKEN, self.top(self.machine))

    def test_what_it_was_is_on_the_root_disk_until_it_is_given_back(self):
        self.quiesced()
        marks = self.machine.guest().marks
        for kind in (QuiescingFacts, QuiescedFacts):
            self.assertEqual(GIVEN, marks.get(kind, fakes.UPGRADE).top)

    def test_a_stash_is_removed_before_the_top_is_given_back(self):
        self.quiesced()
        undo.abort(self.machine.work())
        self.assertEqual([], list(self.machine.layout.on_volume.glob('*stash*')))
        self.assertEqual(GIVEN, self.top(self.machine))

    def test_once_the_database_serves_again_no_stop_counts_as_done(self):
        self.quiesced()
        wire = fakes.Tripwire()
        undo.abort(self.machine.work(wire))
        last = wire.count
        for kill_at in range(1, last + 1):
            machine = self.new_machine()
            self.quiesced(machine)
            self.assertRaises(
                fakes.Killed, undo.abort, machine.work(fakes.Tripwire(kill_at, after=True))
            )
            stash = list((machine.layout.on_volume).glob('stash-*')) if machine.mounted else [1]
            done = machine.guest().marks.has(Mark.QUIESCED)
            self.assertTrue(stash or not done, f'effect {kill_at}')


class TestPlanted(GivenVolume):
    """The server's user may have put anything beside its data before the stop."""

    def test_forged_marks_are_not_believed(self):
        forged = self.machine.layout.on_volume
        forged.mkdir(mode=0o700)
        for mark in (Mark.COMPARED, Mark.UPGRADED, Mark.SERVER_STARTED):
            (forged / f'mark-{mark}.json').write_text(f'{{"upgrade_id": "{fakes.UPGRADE}"}}')
        for path in (forged, *forged.iterdir()):
            os.chown(path, SERVER, SERVER)
        info = self.rebuilt()
        self.assertEqual(
            [],
            restore.restore(self.machine.work(upgrade_info=info)).result['fingerprint']['missing'],
        )
        self.assert_upgraded(self.machine)

    def test_a_link_in_the_place_of_the_stash_leads_nowhere(self):
        elsewhere = self.machine.layout.root / 'elsewhere'
        elsewhere.mkdir()
        self.machine.layout.on_volume.symlink_to(elsewhere)
        self.quiesced()
        self.assertEqual([], list(elsewhere.iterdir()))

    def test_a_link_that_takes_the_place_of_the_data_after_the_check_is_refused(self):
        layout = self.machine.layout

        class Planting(fakes.Driver):
            def shutdown_was_clean(self):
                clean = super().shutdown_was_clean()
                layout.data_directory.rename(layout.volume / 'moved')
                layout.data_directory.symlink_to('moved')
                return clean

        work = self.machine.work()
        work = test_flows.dataclasses.replace(
            work,
            guest=test_flows.dataclasses.replace(work.guest, driver=Planting(self.machine)),
        )
        error = self.assertRaises(exceptions.StepRefused, quiesce.quiesce, work)
        self.assertEqual('VOLUME_LAYOUT_UNKNOWN', error.code)
        self.assertEqual([], list(layout.on_volume.glob('*stash*')))
        self.assert_serves_as_before(self.machine)


class TestCheck(GivenVolume):
    def refused(self):
        return [
            result['code']
            for result in check.check(self.machine.work()).result['checks']
            if result['outcome'] == 'refused'
        ]

    def test_only_the_servers_user_and_its_group_may_have_it(self):
        for top, expected in (
            (GIVEN, []),
            (Top(uid=SERVER, gid=SERVER, mode=0o775), []),
            (Top(uid=SERVER, gid=OTHER, mode=0o755), []),
            (Top(uid=0, gid=0, mode=0o755), []),
            (Top(uid=SERVER, gid=OTHER, mode=0o775), ['VOLUME_LAYOUT_UNKNOWN']),
            (Top(uid=SERVER, gid=SERVER, mode=0o777), ['VOLUME_LAYOUT_UNKNOWN']),
            (Top(uid=OTHER, gid=SERVER, mode=0o755), ['VOLUME_LAYOUT_UNKNOWN']),
            (Top(uid=0, gid=SERVER, mode=0o775), ['VOLUME_LAYOUT_UNKNOWN']),
        ):
            self.give(self.machine, top)
            self.assertEqual((top, expected), (top, self.refused()))

    def test_data_of_another_user_is_not_the_servers(self):
        os.chown(self.machine.layout.data_directory, OTHER, OTHER)
        self.assertEqual(['VOLUME_LAYOUT_UNKNOWN'], self.refused())

    def test_where_the_driver_names_no_user_root_alone_may_have_it(self):
        fakes.Driver.volume_owner = lambda driver: None
        self.assertEqual(['VOLUME_LAYOUT_UNKNOWN'], self.refused())
