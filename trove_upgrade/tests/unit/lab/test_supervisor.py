# SPDX-License-Identifier: Apache-2.0
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import psutil

from lab import errors, processes, supervisor
from trove_upgrade.tests.unit import base
from trove_upgrade.waiting import wait_until

DEADLINE_SECONDS = 20.0
#: Listens in a second thread, and ignores SIGTERM.
FIRST_THREAD_ENDS = """\
import ctypes, pathlib, signal, socket, sys, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(('127.0.0.1', 0))
pathlib.Path(sys.argv[1]).write_text(str(listener.getsockname()[1]))
threading.Thread(target=listener.accept).start()
ctypes.CDLL(None).pthread_exit(None)
"""


class SupervisorTest(base.TestCase):
    """With real child processes: what it promises is about nothing else."""

    def setUp(self):
        super().setUp()
        self.run_dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.supervisor = self.another()
        self.addCleanup(self.supervisor.stop_all)

    def another(self):
        """As another process would have: it knows only the records."""
        return supervisor.Supervisor(self.run_dir, self.run_dir / 'pids', self.run_dir / 'log')

    def command(self, name='one', script='sleep 60', stage=1, stop_seconds=2.0):
        return supervisor.Command(
            name=name,
            argv=('/bin/sh', '-c', script),
            env={'PATH': os.environ['PATH']},
            stage=stage,
            stop_seconds=stop_seconds,
        )

    def wait_for(self, condition, what):
        if not wait_until(condition, DEADLINE_SECONDS, interval_seconds=0.02):
            self.fail(f'{what} did not happen within {DEADLINE_SECONDS} s')

    def test_another_process_sees_and_stops_what_was_started(self):
        record = self.supervisor.start(self.command())
        other = self.another()
        self.assertTrue(other.runs('one'))
        other.stop_all()
        self.assertIsNone(processes.read(record.pid) if not self.zombie(record.pid) else None)
        self.assertEqual([], other.records())

    def zombie(self, pid):
        """The child of this process, until its own supervisor reaps it."""
        process = processes.read(pid)
        return process is not None and process.status() == psutil.STATUS_ZOMBIE

    def test_stopping_twice_is_no_error(self):
        self.supervisor.start(self.command())
        self.supervisor.stop_all()
        self.supervisor.stop_all()
        self.assertFalse(self.supervisor.runs('one'))

    def test_a_process_whose_first_thread_has_ended_runs_and_keeps_its_port(self):
        script = self.run_dir / 'first_thread_ends.py'
        script.write_text(FIRST_THREAD_ENDS)
        record = self.supervisor.start(
            self.command(
                script=f'exec {sys.executable} {script} {self.run_dir}/port', stop_seconds=0.2
            )
        )
        self.wait_for(lambda: self.zombie(record.pid), 'the end of the first thread')
        self.assertTrue(self.supervisor.runs('one'))
        self.supervisor.stop(['one'])
        with socket.socket() as again:
            again.bind(('127.0.0.1', int((self.run_dir / 'port').read_text())))

    def test_who_ignores_sigterm_is_killed(self):
        self.supervisor.start(
            self.command(
                script='trap "" TERM; touch ready; while :; do sleep 0.1; done', stop_seconds=0.3
            )
        )
        self.supervisor.stop_all()
        self.assertFalse(self.supervisor.runs('one'))

    def test_children_of_a_dead_process_end_too(self):
        child_file = self.run_dir / 'child'
        self.supervisor.start(
            self.command(
                script=f'sleep 60 & echo $! > {child_file}.new; mv {child_file}.new {child_file}'
            )
        )
        self.wait_for(child_file.exists, 'starting a child')
        child = int(child_file.read_text())
        self.wait_for(lambda: not self.supervisor.runs('one'), 'the death of the parent')
        self.assertIsNotNone(processes.read(child))
        self.supervisor.stop_all()
        self.wait_for(
            lambda: processes.read(child) is None or self.zombie(child), 'the death of the child'
        )

    def test_a_pid_that_means_another_process_today_is_left_alone(self):
        bystander = subprocess.Popen(['/bin/sleep', '60'], start_new_session=True)
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        record = self.supervisor.start(self.command())
        self.supervisor.stop(['one'])
        stale = dataclasses.replace(record, pid=bystander.pid, started_ticks=0)
        self.assertEqual([], stale.members())
        self.assertFalse(stale.leads())

    def test_a_record_of_an_earlier_boot_means_nobody(self):
        record = self.supervisor.start(self.command())
        self.assertEqual([], dataclasses.replace(record, boot_id='another').members())

    def test_what_a_crash_left_without_a_record_ends_by_its_mark(self):
        record = self.supervisor.start(self.command())
        (self.run_dir / 'pids' / 'one.json').unlink()
        self.supervisor.stop_all()
        self.wait_for(lambda: processes.read(record.pid) is None, 'the death of the stray')

    def test_higher_stages_end_first(self):
        log = self.run_dir / 'order'
        for name, stage in (('store', 1), ('agent', 4), ('api', 3)):
            script = (
                f'trap "echo {name} >> {log}; exit" TERM; touch {self.run_dir}/{name}; while '
                ':; do sleep 0.05; done'
            )
            self.supervisor.start(self.command(name, script, stage=stage))
            self.wait_for((self.run_dir / name).exists, f'{name} to be ready')
        self.supervisor.stop_all()
        self.assertEqual(['agent', 'api', 'store'], log.read_text().split())

    def test_waiting_ends_when_the_probe_says_so(self):
        self.supervisor.start(self.command(script=f'touch {self.run_dir}/ready; sleep 60'))
        self.supervisor.wait_ready('one', (self.run_dir / 'ready').exists, DEADLINE_SECONDS)

    def test_a_death_before_ready_is_told_with_its_last_words(self):
        self.supervisor.start(self.command(script='echo no such option >&2; exit 3'))
        failure = self.assertRaises(
            errors.NotReady, self.supervisor.wait_ready, 'one', lambda: False, DEADLINE_SECONDS
        )
        self.assertIn('died', str(failure))
        self.assertIn('no such option', str(failure))

    def test_who_is_never_ready_is_given_up(self):
        self.supervisor.start(self.command())
        failure = self.assertRaises(
            errors.NotReady, self.supervisor.wait_ready, 'one', lambda: False, 0.0
        )
        self.assertIn('not ready', str(failure))

    def test_a_program_that_is_not_there_is_told(self):
        command = dataclasses.replace(self.command(), argv=('/nonexistent/program',))
        self.assertRaises(errors.CommandFailed, self.supervisor.start, command)

    def test_ctrl_c_in_the_terminal_does_not_reach_children(self):
        record = self.supervisor.start(self.command())
        self.assertNotEqual(os.getpgrp(), os.getpgid(record.pid))
        self.assertEqual(record.pid, os.getsid(record.pid))

    def test_a_second_ctrl_c_does_not_break_the_cleaning(self):
        for parent in (signal.SIG_DFL, signal.SIG_IGN):
            done = self.cleaning(
                'with supervisor.uninterrupted():\n    send()\n    print("cleaned")\n', parent
            )
            self.assertEqual((0, 'cleaned\n', ''), done)

    def test_signals_on_the_way_to_the_cleaning_and_after_it_change_nothing(self):
        command = (
            'def command():\n    try:\n        send()\n        print("not reached")\n    '
            'finally:\n        send()\n'
            '        with supervisor.uninterrupted():\n            send()\n            '
            'print("cleaned")\n        send()\n'
            'code = signals.run("lab", command)\nsend()\nsys.exit(code)\n'
        )
        for parent in (signal.SIG_DFL, signal.SIG_IGN):
            self.assertEqual(
                (130, 'cleaned\n', 'lab: interrupted\n'), self.cleaning(command, parent)
            )

    def cleaning(self, script, parent):
        """(code, stdout, stderr) of a process whose parent had SIGINT so; `send` in it is a Ctrl-C
        and a SIGTERM.
        """
        begin = (
            'import os, signal, sys\nfrom trove_upgrade import signals\nfrom lab '
            'import supervisor\n'
            'def send():\n    for number in (signal.SIGINT, signal.SIGTERM):\n        '
            'os.kill(os.getpid(), number)\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', begin + script],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, parent),
        )
        return done.returncode, done.stdout, done.stderr
