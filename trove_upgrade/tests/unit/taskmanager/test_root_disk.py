# SPDX-License-Identifier: Apache-2.0
"""A guest with a key that falls silent: Nova tells whether another action rebuilt its server."""

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.outcomes import GoTo
from trove_upgrade.domain.states import Step
from trove_upgrade.taskmanager import user_data
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.taskmanager import fakes
from trove_upgrade.tests.unit.taskmanager.test_sealed_wire import KeyedCase


def carrying(marker):
    """User data with the file of this marker."""
    return (
        '#cloud-config\nwrite_files:\n'
        f'- path: {user_data.MARKER_PATH}\n'
        f'  content: "[DEFAULT]\\nupgrade_marker = {marker}\\n"\n'
    ).encode()


class RootDiskCase(KeyedCase):
    step, method = Step.RESTORE, 'post_upgrade'

    def setUp(self):
        super().setUp()
        self.row = self.stage.row(
            self.step,
            rebuild_attempt=1,
            data={
                'post_upgrade_sent_in_attempt': 1,
                'rebuild_for_attempt': 1,
                'restored_boot_id': fakes.NEW_BOOT,
                'upgrade_info': {'stash': 'stash-s1'},
            },
        )
        self.keys.mint(database.INSTANCE, self.row.marker)
        self.stage.nova.change(user_data=carrying(self.row.marker))

    def run_step(self, row=None):
        self.stage.guest.says(
            self.method,
            exceptions.GuestUnavailable(
                instance_id=database.INSTANCE, method=self.method, timeout_seconds=15
            ),
        )
        return getattr(self.stage, str(self.step)).run(row or self.row)

    def assert_waits(self):
        self.assertRaises(exceptions.GuestUnavailable, self.run_step)


class TestRestore(RootDiskCase):
    def test_a_silent_guest_on_its_own_root_disk_is_waited_for(self):
        self.assert_waits()

    def test_user_data_of_another_action_ends_the_attempt(self):
        for found in (fakes.USER_DATA, carrying(f'{self.row.id}:2'), b'\x1f\x8bbroken'):
            self.stage.nova.change(user_data=found)
            error = self.assertRaises(exceptions.StepFailed, self.run_step)
            self.assertEqual('SERVER_REBUILT', error.code)

    def test_what_nova_does_not_tell_is_waited_for(self):
        self.stage.nova.change(user_data=None)
        self.assert_waits()
        self.stage.nova.change(user_data=fakes.USER_DATA)
        self.stage.nova.unavailable = 'timed out'
        self.assert_waits()

    def test_a_guest_whose_rebuild_brought_no_key_is_waited_for(self):
        """It tells its marker itself, and a Nova before 2.57 keeps the user data."""
        self.stage.nova.change(user_data=fakes.USER_DATA)
        self.row = self.row.evolve(rebuild_attempt=7)
        self.assert_waits()

    def test_a_retry_rebuilds_the_server_again(self):
        again = self.row.evolve(attempt=2)
        self.stage.nova.change(user_data=fakes.USER_DATA)
        outcome = self.run_step(again)
        self.assertIsInstance(outcome, GoTo)
        self.assertIs(Step.REBUILD, outcome.step)
        self.assertEqual([], self.stage.guest.asked(self.method))

    def test_a_retry_on_its_own_root_disk_goes_on(self):
        self.assertNotIsInstance(self.run_step(self.row.evolve(attempt=2)), GoTo)


class TestVerify(TestRestore):
    step, method = Step.VERIFY, 'verify_upgrade'

    def test_a_retry_on_its_own_root_disk_goes_on(self):
        self.row = self.row.evolve(attempt=2)
        self.assert_waits()
        self.assertEqual(1, len(self.stage.guest.asked(self.method)))
