# SPDX-License-Identifier: Apache-2.0
"""The former image's agent after a rollback: the same restore, and never where the new server has
been.
"""

import json

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.upgrade import finish, quiesce, restore, verify
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase

BACK = {'options': GuestOptions(rollback=True), 'target': {'server_version': '10.11.14'}}
FORWARD = {'target': {'server_version': '11.8.6'}}


class RollbackTest(FlowTestCase):
    def rolled_back(self):
        """The guest after both rebuilds."""
        info = self.rebuilt()
        self.to_former()
        return info

    def to_former(self):
        self.machine.target = '10.11.14-MariaDB'
        self.machine.rebuild(f'{fakes.UPGRADE}:2')

    def to_new(self):
        self.machine.target = '11.8.6-MariaDB'
        self.machine.rebuild(f'{fakes.UPGRADE}:3')

    def refused(self, info, code, **call):
        error = self.assertRaises(
            exceptions.StepFailed, restore.restore, self.machine.work(upgrade_info=info, **call)
        )
        self.assertEqual(code, error.code, error.message)
        return error

    def touched(self):
        return self.machine.guest().server_started_for_certain(fakes.UPGRADE)

    def test_the_former_server_serves_its_data_again(self):
        outcome = restore.restore(self.machine.work(upgrade_info=self.rolled_back(), **BACK))
        self.assertIn('former', outcome.message)
        self.assertEqual(('10.11.14-MariaDB', False), (self.machine.running, self.machine.isolated))
        self.assertEqual(
            '[mysqld]\nwait_timeout = 1234\n',
            (self.machine.layout.etc / 'mysql' / 'conf.d' / 'custom.cnf').read_text(),
        )
        self.assertEqual(
            '10.11.14-MariaDB', verify.verify(self.machine.work(**BACK)).result['server_version']
        )
        self.machine.boot()
        self.assertEqual('10.11.14-MariaDB', self.machine.running, 'a plain reboot does not serve')

    def test_where_the_new_server_was_started_the_former_one_never_is(self):
        info = self.rebuilt()
        self.machine.fail['start_isolated'] = exceptions.StepFailed(
            'it ended', 'SERVER_NOT_STARTED'
        )
        self.refused(info, 'SERVER_NOT_STARTED', **FORWARD)
        self.to_former()
        before = (self.machine.volume_directory / 'data' / 'ibdata1').read_text()
        self.refused(info, 'SERVER_STARTED_ON_DATA', **BACK)
        self.assertEqual(before, (self.machine.layout.data_directory / 'ibdata1').read_text())
        self.assertEqual((None, True), (self.machine.running, self.touched()))
        self.to_new()
        restore.restore(self.machine.work(upgrade_info=info, **FORWARD))
        self.assert_upgraded(self.machine)

    def test_a_mark_that_cannot_be_read_counts_as_one(self):
        info = self.rolled_back()
        (
            self.machine.volume_directory / '.trove-upgrade' / f'mark-{Mark.SERVER_STARTED}.json'
        ).write_text('torn')
        self.refused(info, 'SERVER_STARTED_ON_DATA', **BACK)
        self.assertTrue(self.touched())

    def test_the_mark_of_an_earlier_upgrade_counts_as_none(self):
        info = self.rolled_back()
        (
            self.machine.volume_directory / '.trove-upgrade' / f'mark-{Mark.SERVER_STARTED}.json'
        ).write_text(json.dumps({'upgrade_id': 'earlier'}))
        restore.restore(self.machine.work(upgrade_info=info, **BACK))
        self.assertEqual('10.11.14-MariaDB', self.machine.running)

    def test_data_that_was_written_to_without_a_mark_is_refused(self):
        info = self.rolled_back()
        (self.machine.volume_directory / 'data' / 'ibdata1').write_text('written by 11.8')
        self.refused(info, 'DATA_CHANGED', **BACK)

    def test_what_was_refused_before_any_start_can_be_rolled_back(self):
        info = self.quiesced()
        self.machine.target = '11.4.2-MariaDB'
        self.machine.rebuild()
        error = self.refused(info, 'SERVER_VERSION_DIFFERS', **FORWARD)
        self.assertIn('11.4.2', error.message)
        self.assertIs(False, self.touched())
        self.to_former()
        restore.restore(self.machine.work(upgrade_info=info, **BACK))
        self.assertEqual('10.11.14-MariaDB', self.machine.running)

    def test_another_image_than_the_former_one_is_refused(self):
        info = self.rebuilt()
        self.machine.rebuild(f'{fakes.UPGRADE}:2')
        self.refused(info, 'SERVER_VERSION_DIFFERS', **BACK)

    def test_once_the_former_server_was_started_only_the_rollback_goes_on(self):
        info = self.rolled_back()
        self.machine.fail['upgrade_data'] = exceptions.StepFailed('no', 'DATA_NOT_UPGRADED')
        self.refused(info, 'DATA_NOT_UPGRADED', **BACK)
        self.assertIs(False, self.touched(), 'it is not the new server')
        self.to_new()
        self.refused(info, 'ROLLBACK_UNFINISHED', **FORWARD)
        self.assertIsNone(self.machine.running)
        self.to_former()
        restore.restore(self.machine.work(upgrade_info=info, **BACK))
        self.assertEqual(('10.11.14-MariaDB', False), (self.machine.running, self.machine.isolated))

    def test_an_agent_that_dies_anywhere_in_it_comes_to_the_same_end(self):
        counting = fakes.Tripwire()
        restore.restore(self.machine.work(counting, upgrade_info=self.rolled_back(), **BACK))
        for kill_at in range(1, counting.count + 1):
            for after in (False, True):
                with self.subTest(kill_at=kill_at, after=after):
                    self.machine = self.new_machine()
                    info = self.rolled_back()
                    wire = fakes.Tripwire(kill_at, after)
                    self.assertRaises(
                        fakes.Killed,
                        restore.restore,
                        self.machine.work(wire, upgrade_info=info, **BACK),
                    )
                    restore.restore(self.machine.work(upgrade_info=info, **BACK))
                    self.assertEqual(
                        ('10.11.14-MariaDB', False), (self.machine.running, self.machine.isolated)
                    )

    def test_without_the_volume_nothing_is_said_about_the_data(self):
        self.quiesced()
        self.assertIsNone(self.touched())

    def test_an_upgrade_after_a_rollback_is_one_like_any_other(self):
        restore.restore(self.machine.work(upgrade_info=self.rolled_back(), **BACK))
        verify.verify(self.machine.work(**BACK))
        finish.finish(self.machine.work(**BACK))
        self.machine.target = '11.8.6-MariaDB'
        other = 'bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee'
        info = quiesce.quiesce(self.machine.work(upgrade_id=other)).result['upgrade_info']
        self.machine.rebuild(f'{other}:1')
        restore.restore(self.machine.work(upgrade_id=other, upgrade_info=info, **FORWARD))
        self.assertEqual(('11.8.6-MariaDB', False), (self.machine.running, self.machine.isolated))
