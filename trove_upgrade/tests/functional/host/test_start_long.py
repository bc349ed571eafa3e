# SPDX-License-Identifier: Apache-2.0
"""The start of every program, each as a process, where a file is not to be had."""

from trove_upgrade.tests.unit.cmd.test_start import SERVICES, StartCase


class TestEveryProgram(StartCase):
    def test_every_program_refuses_it_in_one_line(self):
        for name in SERVICES:
            self.assert_refused(
                self.run_program(name, self.folder), 'ERROR CONFIGURATION_INVALID', str(self.folder)
            )
        self.assert_refused(
            self.run_program('manage', self.folder, 'service', 'list'),
            'trove-upgrade-manage: the configuration cannot be read',
            str(self.folder),
            returncode=2,
        )
        self.assert_refused(
            self.run_program('status', self.folder, 'upgrade', 'check'),
            'ERROR CONFIGURATION_INVALID',
            returncode=2,
        )

    def test_a_log_that_cannot_be_written_is_named(self):
        below_a_file = self.file('file') / 'x.log'
        for name in SERVICES:
            self.assert_refused(
                self.run_program(name, self.configured(f'log_file = {below_a_file}')),
                'ERROR LOG_UNUSABLE',
                str(below_a_file),
            )
