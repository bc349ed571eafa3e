# SPDX-License-Identifier: Apache-2.0
"""Commands on a server that does not keep to the rules."""

import pathlib

import fixtures

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import OUTPUT_BYTES
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.reach.ssh_server import PASSWORD, Server

MIB = b'x' * (1 << 20)


def endless(channel):
    while True:
        channel.sendall(MIB)


class TestHostileServers(base.TestCase):
    def shell(self, behave, **options):
        self.server = self.useFixture(Server(behave, **options))
        return self.server.shell

    def test_output_without_end_is_read_until_the_deadline_and_no_longer(self):
        shell = self.shell(endless)
        found = self.assertRaises(
            errors.CommandTimedOut, shell.run, ('id', 'secret argument'), timeout_seconds=0.5
        )
        self.assertIn('The command id ', found.message)
        self.assertNotIn('secret argument', found.message)

    def test_more_output_than_was_allowed_ends_the_command(self):
        def flood(channel):
            channel.out_window_size = 1 << 40
            endless(channel)

        shell = self.shell(flood)
        # either it comes faster than it is read, or time runs out
        self.assertRaises(errors.ReachError, shell.run, ('id',), timeout_seconds=3)

    def test_output_is_kept_up_to_a_bound_and_all_of_it_is_counted(self):
        def speak(channel):
            channel.sendall(MIB + b'y')
            channel.sendall_stderr(b'e' * 10)
            channel.send_exit_status(3)
            channel.close()

        outcome = self.shell(speak).run(('id',), timeout_seconds=20)
        self.assertEqual((3, OUTPUT_BYTES), (outcome.exit_code, len(outcome.stdout)))
        self.assertEqual((b'e' * 10, True), (outcome.stderr, outcome.truncated))

    def test_an_end_without_a_status_is_a_lost_connection(self):
        shell = self.shell(lambda channel: channel.close())
        self.assertRaises(errors.ConnectionLost, shell.run, ('id',), timeout_seconds=20)

    def test_a_command_that_does_not_read_ends_the_input(self):
        def deaf(channel):
            channel.recv(1)  # the answer to the request has been sent by then
            channel.send_exit_status(0)
            channel.close()

        outcome = self.shell(deaf).run(('id',), input=MIB * 8, timeout_seconds=20)
        self.assertEqual(0, outcome.exit_code)

    def test_a_file_that_came_in_part_is_a_failure(self):
        def full(channel):
            channel.recv(10)
            channel.sendall_stderr(b'No space left on device\n')
            channel.send_exit_status(1)
            channel.close()

        source = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'file')
        source.write_bytes(MIB)
        found = self.assertRaises(
            errors.UploadFailed,
            self.shell(full).upload,
            source,
            '/opt/file',
            mode=0o600,
            timeout_seconds=20,
        )
        self.assertIn('No space left on device', found.message)

    def test_paths_that_are_not_absolute_are_a_mistake_of_the_caller(self):
        shell = self.shell(lambda channel: channel.close())
        for path in ('etc/passwd', '', '/etc\0'):
            self.assertRaises(ValueError, shell.read_file, path, limit_bytes=9, timeout_seconds=9)
        self.assertEqual([], self.server.interface.commands)


class TestSudo(base.TestCase):
    """What a guest without a sudo that keeps to its word can learn, and how it ends."""

    def shell(self, behave, **options):
        self.server = self.useFixture(Server(behave, user='trove', **options))
        return self.server.shell

    def refused(self, shell):
        return self.assertRaises(
            errors.SudoRefused, shell.run, ('id',), timeout_seconds=20, as_root=True
        )

    def test_no_password_goes_where_no_prompt_came(self):
        got = []

        def silent(channel):
            channel.sendall_stderr(b'Password: [sudo] password for trove: ')
            channel.settimeout(0.5)
            got.append(channel.recv(100))

        self.refused(self.shell(silent, login_seconds=1))
        self.assertNotIn(PASSWORD.encode(), b''.join(got))

    def test_an_endless_answer_is_refused(self):
        found = self.refused(self.shell(endless))
        self.assertNotIn(PASSWORD, found.message)

    def test_the_words_of_a_sudo_that_refuses_are_told(self):
        def refuse(channel):
            channel.sendall_stderr(b'sudo: sorry, you must have a tty to run sudo\n')
            channel.send_exit_status(1)
            channel.close()

        self.assertIn('must have a tty', self.refused(self.shell(refuse)).message)

    def test_a_second_prompt_is_a_wrong_password_and_ends_the_asking(self):
        def asking(channel):
            command = self.server.interface.commands[-1].split()
            prompt = command[command.index('-p') + 1].encode()
            for _ in range(9):
                channel.sendall_stderr(prompt)
                self.got = channel.recv(100)

        found = self.refused(self.shell(asking))
        self.assertIn('did not take the password', found.message)
        self.assertNotIn(PASSWORD, ' '.join(self.server.interface.commands))
