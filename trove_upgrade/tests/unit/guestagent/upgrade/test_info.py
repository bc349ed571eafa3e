# SPDX-License-Identifier: Apache-2.0
"""What comes back over the broker as upgrade_info: each holder of an account there could have
written it.
"""

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.upgrade_info import UpgradeInfo
from trove_upgrade.guestagent.upgrade import restore
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.tests.unit.guestagent import fakes
from trove_upgrade.tests.unit.guestagent.upgrade.test_flows import FlowTestCase


class InfoTest(FlowTestCase):
    def _refused(self, info, code):
        error = self.assertRaises(
            exceptions.StepFailed, restore.restore, self.machine.work(upgrade_info=info)
        )
        self.assertEqual(code, error.code)
        return error

    def test_every_field_of_an_info_is_of_its_form_or_refused(self):
        info = self.rebuilt()
        self.assertEqual(info, UpgradeInfo.from_wire(info).to_wire())
        lines = 'ext4 defaults 0 0\ntmpfs /etc tmpfs defaults 0 0\n#'
        forged = {
            'filesystem': lines,
            'attempt': '1',
            'stopped_at': lines,
            'former_server_version': 'x' * 500,
            'former_agent_version': lines,
            'former_boot_id': ['x'],
            'upgrade_id': '../x',
            'volume_uuid': '/dev/sda',
            'stash': 'x',
            'stash_digest': 7,
            'fingerprint_digest': None,
            'files_digest': {},
        }
        self.assertEqual(set(info) - {'schema'}, set(forged))
        for name, value in forged.items():
            self.assertIn(
                name, self._refused({**info, name: value}, 'UPGRADE_INFO_INVALID').message
            )
        for name, value in (('attempt', True), ('stopped_at', '2026-11-21T12:00:00')):
            self._refused({**info, name: value}, 'UPGRADE_INFO_INVALID')

    def test_the_info_the_call_and_the_stash_are_of_one_upgrade(self):
        info = self.rebuilt()
        self._refused({**info, 'upgrade_id': 'another'}, 'UPGRADE_INFO_INVALID')
        error = self.assertRaises(
            exceptions.StepFailed,
            restore.restore,
            self.machine.work(upgrade_info={**info, 'upgrade_id': 'another'}, upgrade_id='another'),
        )
        self.assertEqual('UPGRADE_INFO_INVALID', error.code)
        self.assertFalse(self.machine.guest().marks.has(Mark.CONFIGURED))

    def test_the_info_of_another_upgrade_is_refused_before_the_volume_is_mounted(self):
        error = self.assertRaises(
            exceptions.StepFailed,
            restore.restore,
            self.machine.work(upgrade_info=self.rebuilt(), upgrade_id='another'),
        )
        self.assertEqual('UPGRADE_INFO_INVALID', error.code)
        self.assertIn(f'of upgrade {fakes.UPGRADE} and the call of another', error.message)
        self.assertFalse(self.machine.mounted)

    def test_fstab_gets_the_file_system_that_is_mounted_and_not_the_one_that_was_sent(self):
        restore.restore(self.machine.work(upgrade_info={**self.rebuilt(), 'filesystem': 'tmpfs'}))
        self.assertIn(
            f'UUID={fakes.UUID} {self.machine.layout.volume} ext4 ',
            self.machine.layout.fstab.read_text(),
        )
