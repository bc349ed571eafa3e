# SPDX-License-Identifier: Apache-2.0
"""Every program of ours as a process that a signal ends: how it was started makes no difference."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import os
import pathlib
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

import fixtures

import trove_upgrade
from lab import processes
from lab.layout import CACHE_VARIABLE, RUN_VARIABLE, Layout
from trove_upgrade.sealing import at_rest
from trove_upgrade.tests import base
from trove_upgrade.tests.functional import no_keystone
from trove_upgrade.tests.functional.host import databases
from trove_upgrade.tests.functional.waiting import Waiting
from trove_upgrade.waiting import wait_until

ROOT = pathlib.Path(trove_upgrade.__file__).parents[1]
BIN = pathlib.Path(sys.executable).parent
#: In which a process is gone that was killed on a loaded machine; what was not killed lives longer.
KILLED_SECONDS = 2.0
SECONDS = 60
BOTH = (signal.SIGINT, signal.SIGTERM)
WORDS = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated', signal.SIGHUP: 'hung up'}
#: What the parent ignores: nothing; what a shell's background job has ignored; all.
PARENTS = ((), (signal.SIGINT,), BOTH)
WAYS = tuple((number, ignored) for number in BOTH for ignored in ((), BOTH))
NOWHERE = 'mysql+pymysql://trove:secret@127.0.0.1:1/trove'
#: No cloud is at these addresses.
CONFIGURATION = (
    """
[DEFAULT]
transport_url = fake://
use_stderr = true
guest_id = one
datastore_manager = mariadb
[database]
connection = {connection}
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = http://127.0.0.1:1/v3
username = trove
password = secret
project_name = service
"""
    + no_keystone.SERVICE_CREDENTIALS
    + """[trove_upgrade]
bind_port = 0
guest_key_encryption_keys = {key}
"""
)


@dataclasses.dataclass(frozen=True)
class Ended:
    """The end of a process."""

    code: int
    out: str
    err: str


class SignalsTestCase(Waiting, base.TestCase):
    wait_seconds = 120.0  # several load at once

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def start(self, *argv, ignored=(), **more):
        """A session of its own, so that what is left of it is found."""
        inherit = [
            'env',
            '--default-signal=INT,TERM,HUP',
            *(f'--ignore-signal={int(number)}' for number in ignored),
        ]
        environment = (
            os.environ
            | {RUN_VARIABLE: str(self.folder / 'run'), CACHE_VARIABLE: str(self.folder / 'cache')}
            | more
        )
        process = subprocess.Popen(
            [*inherit, *map(str, argv)],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.kill, process)
        return process

    def kill(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def end(self, process, *numbers):
        """With these signals at once; nothing of its session is left, but what the kernel is about
        to end.
        """
        for number in numbers:
            process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
        self.assertTrue(
            wait_until(lambda: not processes.in_session(process.pid), KILLED_SECONDS),
            processes.in_session(process.pid),
        )
        self.assertNotIn('Traceback', out + err)
        return Ended(process.returncode, out, err)

    def ended_as_command(self, ended, number, first_words):
        """One line, and the code that a shell would give."""
        self.assertEqual((128 + number, 1), (ended.code, len(ended.err.splitlines())), ended)
        self.assertTrue(ended.err.startswith(first_words), ended)

    def configuration(self, connection=NOWHERE):
        path = self.folder / 'trove-upgrade.conf'
        path.write_text(
            CONFIGURATION.format(connection=connection, key=at_rest.generate()), encoding='utf-8'
        )
        return path

    def each(self, ways, case):
        """Several at a time: a program loads for a second."""
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda way: case(*way), ways))

    def catches(self, process, number=signal.SIGTERM):
        """True once the process has a handler for it.  Source: proc(5), SigCgt."""
        self.assertIsNone(process.poll(), process.args)
        with pathlib.Path(f'/proc/{process.pid}/status').open() as lines:
            mask = next(line for line in lines if line.startswith('SigCgt:')).split()[1]
        return bool(int(mask, 16) >> (number - 1) & 1)


class WhileLoading(SignalsTestCase):
    """While the configuration is read: from a pipe that nothing comes out of."""

    def reading(self, program, *words, ignored=(), option='--config-file'):
        pipe = self.folder / f'{program}-{uuid.uuid4()}.conf'
        os.mkfifo(pipe)
        process = self.start(BIN / program, option, pipe, *words, ignored=ignored)
        self.reads(process, pipe)
        return process

    def reads(self, process, pipe):
        def opened():
            self.assertIsNone(process.poll(), process.args)
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:  # no reader yet
                    return None
                raise

        self.addCleanup(os.close, self.wait_until(opened, 'reading the configuration'))

    def test_a_command_ends_with_one_line_and_the_code_of_the_signal(self):
        def case(program, words, number, ignored):
            process = self.reading(program, *words, ignored=ignored)
            self.ended_as_command(self.end(process, number), number, f'{program}: {WORDS[number]}')

        self.each(
            [
                (*command, number, ignored)
                for command in (
                    ('trove-upgrade-manage', ('db', 'version')),
                    ('trove-upgrade-status', ('upgrade', 'check')),
                )
                for number, ignored in WAYS
            ],
            case,
        )

    def test_a_service_ends_with_0(self):
        def case(program, number, ignored):
            ended = self.end(self.reading(program, ignored=ignored), number)
            self.assertEqual((0, f'{program}: {WORDS[number]}\n'), (ended.code, ended.err))

        self.each(
            [
                (f'trove-upgrade-{name}', number, ignored)
                for name in ('api', 'taskmanager', 'guestagent')
                for number, ignored in WAYS
            ],
            case,
        )

    def test_the_lab_ends_in_the_middle_of_a_command(self):
        pipe = Layout.from_environ({RUN_VARIABLE: str(self.folder / 'run')}).handle_file
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
        for number, ignored in (*WAYS, (signal.SIGHUP, ())):
            process = self.start(BIN / 'trove-upgrade-lab', 'env', ignored=ignored)
            self.reads(process, pipe)
            self.ended_as_command(
                self.end(process, number), number, f'trove-upgrade-lab: {WORDS[number]}'
            )

    def test_a_hang_up_ends_a_command_unless_it_was_started_with_nohup(self):
        process = self.reading('trove-upgrade-manage', 'db', 'version')
        self.ended_as_command(
            self.end(process, signal.SIGHUP), signal.SIGHUP, 'trove-upgrade-manage: hung up'
        )
        process = self.reading('trove-upgrade-manage', 'db', 'version', ignored=(signal.SIGHUP,))
        self.ended_as_command(
            self.end(process, signal.SIGHUP, signal.SIGTERM),
            signal.SIGTERM,
            'trove-upgrade-manage: terminated',
        )

    def test_two_signals_at_once_are_one_end(self):
        for ignored in PARENTS:
            ended = self.end(
                self.reading('trove-upgrade-manage', 'db', 'version', ignored=ignored), *BOTH, *BOTH
            )
            self.assertIn(ended.code, {130, 143})
            self.assertEqual(1, len(ended.err.splitlines()), ended)


#: Its main thread is in a destructor for nearly all of its time; Python drops what is raised there.
IN_DESTRUCTORS = """
import sys, threading
from trove_upgrade import signals

class Slow:
    def __del__(self):
        if len(entered) == 2:
            print('ready', flush=True)
        entered.append(1)
        threading.Event().wait(0.2)

def work():
    while True:
        Slow()

entered = []
sys.exit(signals.run('program', work))
"""


class Working(SignalsTestCase):
    def test_a_signal_that_comes_in_a_destructor_is_not_lost(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number):
                process = self.start(sys.executable, '-c', IN_DESTRUCTORS, ignored=(signal.SIGINT,))
                self.assertEqual('ready', process.stdout.readline().strip())
                self.ended_as_command(self.end(process, number), number, 'program: ')


class Serving(SignalsTestCase):
    """Services at work; the broker is in memory."""

    def ways(self, start):
        def case(numbers, ignored):
            ended = self.end(start(ignored), *numbers)
            self.assertEqual(0, ended.code, ended)

        self.each(
            [
                ((signal.SIGINT,), ()),
                ((signal.SIGTERM,), ()),
                ((signal.SIGINT,), (signal.SIGINT,)),
                ((*BOTH, *BOTH), BOTH),
            ],
            case,
        )

    def printed(self, process, stream, wanted):
        self.assertTrue(
            any(wanted in line for line in stream), f'{process.args} did not print {wanted}'
        )
        return process

    def test_the_api(self):
        configuration = self.configuration()

        def start(ignored):
            process = self.start(
                BIN / 'trove-upgrade-api', '--config-file', configuration, ignored=ignored
            )
            return self.printed(process, process.stdout, 'Listening on http://')

        self.ways(start)

    def test_the_taskmanager(self):
        server = self.useFixture(databases.MariaDB())
        configuration = self.configuration(server.create())
        self.assertEqual(
            0,
            subprocess.run(
                [
                    BIN / 'trove-upgrade-manage',
                    '--config-file',
                    configuration,
                    'db',
                    'sync',
                    '--standalone',
                ],
                stdout=subprocess.DEVNULL,
            ).returncode,
        )

        def start(ignored):
            process = self.start(
                BIN / 'trove-upgrade-taskmanager', '--config-file', configuration, ignored=ignored
            )
            return self.printed(process, process.stderr, 'listens on queue')

        self.ways(start)

    def test_the_guest_agent(self):
        configuration = self.configuration()
        alone = 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && exec "$@"'

        def start(ignored):
            process = self.start(
                'unshare',
                '--mount',
                'sh',
                '-c',
                alone,
                'sh',
                BIN / 'trove-upgrade-guestagent',
                '--config-file',
                configuration,
                ignored=ignored,
            )
            lock = pathlib.Path(f'/proc/{process.pid}/root/run/trove-upgrade/guestagent.lock')
            self.wait_until(lambda: self.catches(process) and lock.exists(), 'the agent')
            return process

        self.ways(start)

    def test_the_customers_application_of_the_demo(self):
        def start(ignored):
            output = self.folder / f'{uuid.uuid4()}.writes'
            (self.folder / 'password').write_text('secret')
            process = self.start(
                sys.executable,
                '-m',
                'lab.demo.writer',
                '--host',
                '127.0.0.1',
                '--port',
                '1',
                '--user',
                'u',
                '--database',
                'd',
                '--table',
                't',
                '--output',
                output,
                '--password-file',
                self.folder / 'password',
                ignored=ignored,
            )
            self.wait_until(lambda: output.exists() and output.read_text(), 'an attempt')
            return process

        self.ways(start)

    def test_the_way_to_nova(self):
        def start(ignored):
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', 0))
                port = probe.getsockname()[1]
            process = self.start(
                sys.executable,
                '-m',
                'lab.service_proxy',
                '--port',
                port,
                '--target-port',
                '1',
                '--service',
                'Nova',
                ignored=ignored,
            )

            def answers():
                with (
                    contextlib.suppress(urllib.error.URLError),
                    urllib.request.urlopen(
                        f'http://127.0.0.1:{port}/__faults', timeout=5
                    ) as answer,
                ):
                    return answer.status == 200
                return False

            self.wait_until(answers, 'an answer')
            return process

        self.ways(start)


class Tools(SignalsTestCase):
    def test_the_run_of_the_tests_ends_what_it_has_started(self):
        for numbers, ignored in (((signal.SIGINT,), BOTH), ((signal.SIGTERM, signal.SIGINT), ())):
            # without a cache it takes a minute
            process = self.start(
                sys.executable,
                'tools/run_tests.py',
                'types',
                ignored=ignored,
                MYPY_CACHE_DIR=str(self.folder / f'{numbers}'),
            )
            child = self.wait_until(lambda pid=process.pid: self.child_of(pid), 'the type checker')
            ended = self.end(process, *numbers)
            self.ended_as_command(ended, ended.code - 128, 'run_tests.py: ')
            self.assertIn(ended.code - 128, numbers)
            self.assertNotRegex(ended.out, 'passed|failed|FAILED')
            self.assertEqual([], [found.pid for found in processes.in_session(child)])

    def child_of(self, pid):
        """Of any of its threads; 0 where it has none."""
        found = [path.read_text() for path in pathlib.Path(f'/proc/{pid}/task').glob('*/children')]
        return int((' '.join(found).split() or [0])[0])

    def test_benchmarks_remove_what_they_have_made(self):
        place = pathlib.Path('/var/tmp')
        for number, ignored in ((signal.SIGINT, BOTH), (signal.SIGTERM, ())):
            before = set(place.iterdir())
            process = self.start(sys.executable, '-m', 'benchmarks', 'stash', ignored=ignored)
            made = self.wait_until(
                lambda before=before: self.tree(set(place.iterdir()) - before), 'the tree of files'
            )
            self.ended_as_command(self.end(process, number), number, f'benchmarks: {WORDS[number]}')
            self.assertFalse(made.exists())

    def tree(self, folders):
        return next(
            (folder for folder in folders if (folder / 'root' / 'etc' / 'mysql').exists()), None
        )

    def test_programs_that_load_end_with_one_line(self):
        for argv, name, code in (
            (('-m', 'benchmarks', 'stash'), 'benchmarks', None),
            (('-m', 'lab.preflight'), 'preflight', None),
            (('-m', 'benchmarks.trove.stand_in'), 'stand_in', 0),
            (('tools/run_tests.py', 'types'), 'run_tests.py', None),
        ):
            for number, ignored in WAYS:
                process = self.start(sys.executable, *argv, ignored=ignored)
                while not self.catches(process):
                    pass  # it is not long in this state
                ended = self.end(process, number)
                self.assertEqual(
                    (128 + number if code is None else code, f'{name}: {WORDS[number]}\n'),
                    (ended.code, ended.err),
                )
