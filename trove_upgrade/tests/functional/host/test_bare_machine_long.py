# SPDX-License-Identifier: Apache-2.0
"""The bare machine as a contributor starts it: its end, also by a signal, leaves nothing on the
machine.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import fixtures

from lab import cleanup
from lab.bare.place import NAME, VARIABLE, Place
from trove_upgrade.tests.functional.waiting import Waiting
from trove_upgrade.tests.unit import base

FORWARDING = pathlib.Path('/proc/sys/net/ipv4/ip_forward')
MAKING_SECONDS = 900.0


class BareMachineTest(Waiting, base.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir='/var/tmp')).path)
        (self.directory / 'root').mkdir()
        (self.directory / 'root/of-the-user').touch()
        self.mode = self.directory.stat().st_mode
        self.root = Place.from_environ({VARIABLE: str(self.directory)}).root
        self.forwarding = FORWARDING.read_text()

    def start(self, *targets):
        """In the background of a shell, where Ctrl-C's signal is ignored."""
        return self.start_as('trap "" INT; exec "$@"', targets)

    def start_as(self, script, targets, **how):
        return subprocess.Popen(
            ['sh', '-c', script, 'sh', sys.executable, '-m', 'lab.bare', *targets],
            env={**os.environ, VARIABLE: str(self.directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **how,
        )

    def nothing_is_left(self):
        self.assertEqual([], cleanup.mounts(self.directory))
        self.assertFalse(self.root.exists())
        self.assertTrue((self.directory / 'root/of-the-user').exists())
        self.assertEqual(self.mode, self.directory.stat().st_mode)
        self.assertFalse((pathlib.Path('/run/netns') / NAME).exists())
        self.assertNotIn(
            NAME,
            subprocess.run(
                ('nft', 'list', 'tables'), capture_output=True, text=True, check=True
            ).stdout,
        )
        self.assertEqual(self.forwarding, FORWARDING.read_text())
        self.assertEqual([], [line for line in self.processes() if str(self.directory) in line])

    def processes(self):
        return subprocess.run(
            ('ps', '-e', '-o', 'pid=,args='), capture_output=True, text=True, check=True
        ).stdout.splitlines()

    def test_targets_run_one_after_the_other_and_the_last_line_states_how_each_ended(self):
        run = self.start('help', 'no-such-target')
        output, _ = run.communicate(timeout=MAKING_SECONDS)
        self.assertEqual(1, run.returncode, output)
        last = output.splitlines()[-1]
        self.assertIn('make help ended well in 0 min', last)
        self.assertIn('make no-such-target FAILED with exit code 2', last)
        self.nothing_is_left()

    def test_ctrl_c_ends_what_runs_inside_and_removes_the_machine(self):
        run = self.start('venv')
        for line in run.stdout:
            if line.startswith('bare machine: make venv'):
                run.send_signal(signal.SIGINT)
                break
        rest, _ = run.communicate(timeout=120)
        self.assertEqual(130, run.returncode, rest)
        self.nothing_is_left()

    def test_ctrl_c_again_and_again_breaks_no_clean_up(self):
        """As a terminal sends it: to the whole group of processes."""
        run = self.start_as('exec "$@"', ['venv'], process_group=0)
        for line in run.stdout:
            if line.startswith('bare machine: make venv'):
                break
        pause = threading.Event()
        while run.poll() is None:
            os.killpg(run.pid, signal.SIGINT)
            pause.wait(0.2)
        self.assertEqual(130, run.returncode, run.stdout.read())
        self.nothing_is_left()

    def test_one_that_was_killed_is_removed_by_the_next(self):
        run = self.start('venv')
        for line in run.stdout:
            if line.startswith('bare machine: make venv'):
                run.kill()
                break
        run.communicate(timeout=120)
        self.wait_until(
            lambda: not any(str(self.directory) in line for line in self.processes()),
            'what ran inside to end',
        )
        self.assertTrue(self.root.exists())
        run = self.start('help')
        output, _ = run.communicate(timeout=MAKING_SECONDS)
        self.assertEqual(0, run.returncode, output)
        self.nothing_is_left()
