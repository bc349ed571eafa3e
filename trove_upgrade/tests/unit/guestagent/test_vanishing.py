# SPDX-License-Identifier: Apache-2.0
"""What a server, a package manager or another process removes while it is looked at was not there:
it ends no check and no job.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import fixtures
from hypothesis import given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent import agent
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import (
    connection,
    engine_upgrade,
    option_files,
    outside_volume,
    preserved,
    redo_log,
    scratch,
)
from trove_upgrade.guestagent.datastores.mysql_family import settings as kept
from trove_upgrade.guestagent.datastores.mysql_family.container import (
    ownership as container_ownership,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.datastores.mysql_family.programs import LocalPrograms
from trove_upgrade.guestagent.jobs.job import Jobs
from trove_upgrade.guestagent.jobs.journal import JobRecord, Journal
from trove_upgrade.guestagent.machine import commands, durable, service, untrusted_files
from trove_upgrade.guestagent.manager import GuestManager
from trove_upgrade.guestagent.storage import data_files, mounts, volume_ownership
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.storage.stash import publish, tree
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.guestagent.upgrade import check, quiesce, undo
from trove_upgrade.guestagent.upgrade.marks import Mark, Marks
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, seam
from trove_upgrade.tests.unit.guestagent.datastores import fakes as servers
from trove_upgrade.tests.unit.guestagent.datastores import test_drivers

_WRITERS = 6
_WRITES = 30
_ROUNDS = 8
_LONG = 30


class DirectoryTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)

    def in_threads(self, *bodies):
        """Run all at once; raises what any of them has raised."""
        raised, start = [], threading.Barrier(len(bodies))

        def run(body):
            start.wait(_LONG)
            try:
                body()
            except Exception as error:
                raised.append(error)

        threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in raised:
            raise error

    @contextlib.contextmanager
    def churned(self, *bodies):
        """Other threads run `bodies` again and again until the block ends."""
        stopped, raised, begun = threading.Event(), [], threading.Semaphore(0)

        def run(body):
            number = 0
            try:
                while not stopped.is_set():
                    body(number)
                    number += 1
                    begun.release()
            except Exception as error:
                raised.append(error)
                begun.release()

        threads = [threading.Thread(target=run, args=(body,), daemon=True) for body in bodies]
        for thread in threads:
            thread.start()
        for _ in threads:
            begun.acquire(timeout=_LONG)
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        self.assertEqual([], raised)


class TestConcurrentWriters(DirectoryTestCase):
    """RPC calls, jobs and the stash keeper have threads of their own."""

    def test_one_file_has_many_writers_and_is_whole(self):
        path = self.root / 'generations.json'

        def write():
            for number in range(_WRITES):
                durable.write_json(path, {str(number): 'x' * number})

        self.in_threads(*[write] * _WRITERS)
        self.assertEqual({str(_WRITES - 1): 'x' * (_WRITES - 1)}, durable.read_json(path))
        self.assertEqual([path], list(self.root.iterdir()))

    def test_the_highest_generation_of_all_that_came_at_once_is_remembered(self):
        layout = Layout(self.root)
        layout.on_volume.mkdir(parents=True, mode=0o700)
        marks = Marks(layout)

        def see(first):
            for generation in range(first, _WRITERS * _WRITES, _WRITERS):
                marks.see_generation('u', generation)

        self.in_threads(*(lambda first=first: see(first) for first in range(1, _WRITERS + 1)))
        self.assertEqual((_WRITERS * _WRITES - 1,) * 2, marks.generations('u'))

    def test_calls_that_a_broker_delivers_at_once_are_all_answered(self):
        machine = fakes.Machine(self.root)
        own, journal = machine.guest(), Journal(machine.layout.jobs)
        manager = GuestManager(
            own, Jobs(journal, agent.bodies(own), own.clock), journal, machine.seal(), _LONG
        )
        answers = []

        def ask(first):
            answers.extend(
                manager.pre_upgrade(None, **machine.call(generation=generation).to_wire())
                for generation in range(first, _WRITERS * 10, _WRITERS)
            )

        self.in_threads(*(lambda first=first: ask(first) for first in range(1, _WRITERS + 1)))
        self.assertEqual(
            set(), {answer['code'] for answer in answers} - {None, 'GENERATION_OLD'}, answers
        )
        self.assertIn(str(guests.JobState.DONE), {answer['state'] for answer in answers})

    def test_the_journal_is_written_listed_and_pruned_at_once(self):
        journal = Journal(self.root / 'jobs')

        def write(name):
            for number in range(_WRITES):
                journal.write(record(name, number))

        def look():
            for _ in range(_WRITES):
                journal.all()
                journal.prune()

        self.in_threads(lambda: write('a'), lambda: write('b'), lambda: write('a'), look, look)
        self.assertEqual(2 * _WRITES, len(journal.all()))
        self.assertEqual([], list(self.root.rglob('*.broken')))


def record(name, number):
    return JobRecord(
        method='pre_upgrade',
        call={'upgrade_id': name, 'attempt': number},
        state=guests.JobState.DONE,
        message='Done.',
        started_at=f'{number:04d}',
    )


class TestBetweenListingAndLooking(DirectoryTestCase):
    """One thing goes in the very moment before it is looked at."""

    def removed(self, path, event='open', seen_as=None):
        def remove():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

        return seam.once_before(event, seen_as or path.name, remove)

    def file(self, name, text='x'):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def test_a_directory_below_the_data_goes_when_it_has_been_opened(self):
        self.file('data/app/t.ibd')
        self.file('data/ibdata1')
        with self.removed(self.root / 'data/app', 'os.scandir'):
            self.assertEqual(['ibdata1'], list(json.loads(data_files.listing(self.root / 'data'))))

    def test_a_job_is_forgotten_while_all_are_read(self):
        journal = Journal(self.root)
        journal.write(record('a', 1))
        journal.write(record('b', 2))
        with self.removed(self.root / 'a.1.pre_upgrade.json'):
            self.assertEqual([('b', 2, 'pre_upgrade')], [one.key for one in journal.all()])
        self.assertEqual([], list(self.root.glob('*.broken')))

    def test_the_volume_is_unmounted_while_a_generation_is_remembered(self):
        layout = Layout(self.root)
        layout.on_volume.mkdir(parents=True, mode=0o700)
        marks = Marks(layout)
        with self.removed(layout.on_volume):
            marks.see_generation('u', 5)
        self.assertEqual((5, 0), marks.generations('u'))

    def test_a_generation_that_the_root_disk_cannot_remember_is_an_error(self):
        layout = Layout(self.root)
        marks = Marks(layout)
        layout.state.mkdir(parents=True)
        with self.removed(layout.state):
            self.assertEqual(
                'MARK_NOT_WRITTEN',
                self.assertRaises(exceptions.StepFailed, marks.see_generation, 'u', 5).code,
            )

    def test_a_mark_that_cannot_be_written_is_an_error(self):
        layout = Layout(self.root)
        (layout.state / 'marks').mkdir(parents=True)
        with self.removed(layout.state / 'marks'):
            error = self.assertRaises(exceptions.StepFailed, Marks(layout).set, Mark.QUIESCING, 'u')
        self.assertEqual('MARK_NOT_WRITTEN', error.code)
        self.assertIn(str(layout.state / 'marks'), error.message)

    def test_a_file_that_goes_while_it_is_restored_is_an_error(self):
        self.file('mysql/my.cnf')
        published = publish.publish(
            [self.root / 'mysql'], self.root / 'volume', 'u', 1, {}, SystemAccounts()
        )
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            target = pathlib.Path(f'{self.root}/new{self.root}/mysql')
            with self.removed(target, 'os.rename', seen_as='.trove-upgrade-*-1'):
                error = self.assertRaises(
                    exceptions.StepFailed,
                    stash.restore,
                    stash.paths(),
                    SystemAccounts(),
                    self.root / 'new',
                )
        self.assertEqual('STASH_NOT_RESTORED', error.code)

    def test_kept_settings_that_another_process_removes_are_not_kept(self):
        directory = self.root / 'conf.d'
        directory.mkdir()
        with (
            contextlib.closing(Opened(directory)) as opened,
            self.removed(directory / f'.{kept.FILE_NAME}.new', 'os.rename'),
        ):
            self.assertEqual((), kept.keep(servers.Session(), {'sql_mode': ''}, opened.descriptor))

    def test_a_program_that_goes_before_it_is_run_is_named(self):
        programs = Gone()
        tried = scratch.try_configuration(
            programs,
            option_files.Configuration(options=(), files=()),
            places=[self.root],
            defaults_file=None,
            user='root',
        )
        self.assertEqual(('refused', 'CONFIGURATION_NOT_TRIED'), (tried.outcome, tried.code), tried)
        error = self.assertRaises(
            exceptions.StepFailed,
            engine_upgrade.run,
            programs,
            connection.Credentials('/socket'),
            lambda *_: None,
        )
        self.assertEqual('ENGINE_UPGRADE_FAILED', error.code)

    def test_a_stash_has_two_removers(self):
        for name in ('stash-u-1/content', 'stash-u-1/manifest.json'):
            self.file(name)
        with self.removed(self.root / 'stash-u-1/content', 'os.remove'):
            publish.remove(self.root, 'stash-u-1')
        self.assertEqual([], list(self.root.iterdir()))

    def test_a_volume_that_is_not_mounted_is_not_of_others(self):
        layout = Layout(self.root)
        marks = Marks(layout)
        layout.volume.mkdir(parents=True)
        self.assertFalse(marks.is_unreadable(Mark.SERVER_STARTED))
        layout.on_volume.mkdir(mode=0o755)
        self.assertTrue(marks.is_unreadable(Mark.SERVER_STARTED))
        layout.on_volume.chmod(0o700)
        self.assertFalse(marks.is_unreadable(Mark.SERVER_STARTED))

    def test_a_directory_of_units_goes_when_a_service_has_been_enabled(self):
        wants = self.root / 'etc/systemd/system/old.wants'
        wants.mkdir(parents=True)
        with self.removed(wants):
            service.Systemd(Systemctl(), self.root).enable('mariadb')

    def test_a_directory_of_option_files_goes_when_it_has_been_opened(self):
        self.file('conf.d/a.cnf', '[mysqld]\nport = 1\n')
        path = self.file('my.cnf', f'[mysqld]\nuser = x\n!includedir {self.root}/conf.d\n')
        with self.removed(self.root / 'conf.d', 'os.scandir'):
            found = option_files.read(path)
        self.assertEqual((['user'], ()), ([option.name for option in found.options], found.unread))

    def test_what_goes_is_neither_measured_nor_kept(self):
        self.file('mysql/gone.cnf')
        other = self.file('mysql/kept.cnf')
        with self.removed(self.root / 'mysql/gone.cnf'):
            published = publish.publish(
                [self.root / 'mysql'], self.root / 'volume', 'u', 1, {}, SystemAccounts()
            )
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            self.assertEqual([str(other.parent), str(other)], stash.paths())

    def test_a_directory_becomes_a_file_while_it_is_measured(self):
        self.file('mysql/conf.d/a.cnf')

        def replace():
            shutil.rmtree(self.root / 'mysql/conf.d')
            self.file('mysql/conf.d')

        with seam.once_before('os.scandir', 'conf.d', replace):
            self.assertEqual(2048, publish.measure([self.root / 'mysql']))

    def test_a_file_that_an_editor_replaces_while_it_is_kept_is_kept(self):
        path = self.file('mysql/my.cnf', 'old')

        def replace():
            path.unlink()
            path.symlink_to('elsewhere')

        with seam.once_before('open', 'my.cnf', replace):
            published = publish.publish(
                [self.root / 'mysql'], self.root / 'volume', 'u', 1, {}, SystemAccounts()
            )
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            self.assertEqual(
                ['directory', 'symlink'], [entry.kind for entry in stash.manifest.entries]
            )

    def test_a_file_that_becomes_a_pipe_holds_nothing_up(self):
        path = self.file('mysql/my.cnf')

        def replace():
            path.unlink()
            os.mkfifo(path)

        with seam.once_before('open', 'my.cnf', replace):
            published = publish.publish(
                [self.root / 'mysql'], self.root / 'volume', 'u', 1, {}, SystemAccounts()
            )
        with Stash.open(self.root / 'volume', published.name, published.digest) as stash:
            self.assertEqual([str(path)], list(stash.manifest.skipped))

    def test_what_goes_is_given_to_none(self):
        self.file('data/a')
        self.file('data/b')
        with self.removed(self.root / 'data/a', 'os.chown'):
            container_ownership.give(self.root / 'data', 54321, 54321)
        self.assertEqual(54321, (self.root / 'data/b').stat().st_uid)

    def test_what_goes_is_not_claimed_back(self):
        self.file('volume/.trove-upgrade/a')
        self.file('volume/.trove-upgrade/b')
        with self.removed(self.root / 'volume/.trove-upgrade/a', 'os.chown'):
            volume_ownership.back(self.root / 'volume/.trove-upgrade')
        self.assertTrue(volume_ownership.is_ours(self.root / 'volume/.trove-upgrade'))

    def test_a_tree_that_goes_by_itself_is_removed(self):
        for name in ('tree/a/b/c', 'tree/x', 'tree/a/y'):
            self.file(name)
        with (
            contextlib.closing(Opened(self.root)) as opened,
            self.removed(self.root / 'tree/a', 'os.scandir'),
        ):
            untrusted_files.remove_tree('tree', opened.descriptor)
        self.assertEqual([], list(self.root.iterdir()))

    def test_a_shipped_file_goes_before_it_is_compared(self):
        path = self.file('etc/mysql/my.cnf')
        with self.removed(path):
            self.assertTrue(preserved._as_shipped(path, {path: 'of the package'}))

    def test_data_that_is_not_there_was_not_left_cleanly(self):
        self.assertFalse(redo_log.is_clean(self.root / 'data'))

    def test_a_program_that_cannot_be_run_is_an_answer(self):
        path = self.file('program')
        done = commands.SystemCommands().run([str(path)])
        self.assertEqual((126, True), (done.returncode, str(path) in done.stderr))


class Opened:
    def __init__(self, directory):
        self.descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    def close(self):
        os.close(self.descriptor)


class Gone(LocalPrograms):
    """Each program is found, and has gone when it is run."""

    def find(self, *names):
        return f'/nonexistent/{names[0]}'


class Systemctl:
    """`Commands`; every unit is enabled."""

    def run(self, argv, timeout_seconds=60):
        return commands.Completed(0, 'enabled\n', '')


NAMES = (
    'data/app',
    'data/app/t.ibd',
    'data/app/#sql-1.ibd',
    'data/#sql-temptable',
    'data/mysql-bin.000001',
    'data/app/deep/deeper',
    'data/app/t.isl',
    'etc/mysql/conf.d',
    'etc/mysql/conf.d/a.cnf',
    'etc/mysql/my.cnf',
    'etc/mysql/key.pem',
    'data/link',
)


def build(root):
    for name in (
        'data/app/t.ibd',
        'data/app/#sql-1.ibd',
        'data/#sql-temptable/x',
        'data/mysql-bin.000001',
        'data/app/deep/deeper/y',
        'etc/mysql/key.pem',
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text('x')
    (root / 'data/app/t.isl').write_text(f'{root}/data/app/t.ibd')
    (root / 'data/link').symlink_to('app')
    (root / 'etc/mysql/conf.d').mkdir()
    (root / 'etc/mysql/conf.d/a.cnf').write_text('[mysqld]\nport = 1\n')
    (root / 'etc/mysql/my.cnf').write_text(
        f'[mysqld]\nssl_key = {root}/etc/mysql/key.pem\n!includedir {root}/etc/mysql/conf.d\n'
    )


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def to_file(path):
    remove(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.write_text('another')


def to_directory(path):
    remove(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.mkdir()


def to_link(path):
    remove(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.symlink_to('app')


def look_at_preserved(root):
    found = preserved.Preserved(
        test_drivers.context(root),
        option_files.read(root / 'etc/mysql/my.cnf'),
        root / 'root/.my.cnf',
        'mysql',
    )
    found.roots()


LOOKS = {
    'too deep': lambda root: untrusted_files.too_deep(root / 'data'),
    'files': lambda root: data_files.listing(root / 'data'),
    'strays': lambda root: outside_volume.find(root / 'data', root),
    'owners': lambda root: container_ownership.give(root / 'data', 0, 0),
    'options': lambda root: option_files.read(root / 'etc/mysql/my.cnf'),
    'plain files': lambda root: list(tree.walk([root / 'etc/mysql'])),
    'preserved': look_at_preserved,
    'measure': lambda root: publish.measure([root / 'etc/mysql', root / 'data']),
    'publish': lambda root: publish.publish(
        [root / 'etc/mysql', root / 'data'], root / 'volume', 'u', 1, {}, SystemAccounts()
    ),
}


class TestAnythingAtAnyMoment(base.TestCase):
    @settings(max_examples=120, deadline=None)
    @given(
        look=st.sampled_from(sorted(LOOKS)),
        moment=st.integers(0, 40),
        name=st.sampled_from(NAMES),
        change=st.sampled_from([remove, to_file, to_directory, to_link]),
    )
    def test_nothing_that_goes_or_changes_ends_a_look(self, look, moment, name, change):
        with tempfile.TemporaryDirectory(dir=fakes.scratch()) as directory:
            root = pathlib.Path(directory)
            build(root)
            seen = []

            def act(_event, _what):
                seen.append(1)
                if len(seen) == moment:
                    change(root / name)

            with seam.before(act):
                LOOKS[look](root)


class TestBesideOthers(DirectoryTestCase):
    """Servers, package managers and processes change all that is looked at, round after round."""

    def temporary_tables(self, number):
        """As a server makes, renames and drops them, with their databases; and as it purges its
        binary logs.
        """
        database = self.root / f'v/data/app{number % 3}'
        database.mkdir(exist_ok=True)
        table = database / f'#sql-{number:x}.ibd'
        table.write_text('x')
        table.rename(database / f't{number}.ibd')
        (database / f't{number}.isl').symlink_to(f't{number}.ibd')
        log = self.root / f'v/data/mysql-bin.{number:06d}'
        log.write_text('x')
        shutil.rmtree(database)
        log.unlink()

    def option_files(self, number):
        """As an editor and a package manager replace and remove them; no server starts without a
        directory that it includes.
        """
        directory, spare = (
            self.root / 'etc/mysql' / f'{name}{number % 2}.d' for name in ('conf', 'spare')
        )
        for one in (directory, spare):
            one.mkdir(exist_ok=True)
        (spare / 'a.cnf').write_text('[mysqld]\n')
        fresh = directory / f'.{number}.cnf.new'
        fresh.write_text(f'[mysqld]\nport = {number % 1000 + 1}\n')
        fresh.rename(directory / 'a.cnf')
        (self.root / 'etc/mysql/.my.cnf.new').write_text(
            '[mysqld]\n'
            + ''.join(f'!includedir {self.root}/etc/mysql/conf{one}.d\n' for one in (0, 1))
        )
        (self.root / 'etc/mysql/.my.cnf.new').rename(self.root / 'etc/mysql/my.cnf')
        (directory / 'a.cnf').unlink()
        shutil.rmtree(spare)

    @staticmethod
    def processes(_number):
        subprocess.run(['true'], check=True)

    def driver(self):
        (self.root / 'v/data').mkdir(parents=True)
        for one in (0, 1):
            (self.root / f'etc/mysql/conf{one}.d').mkdir(parents=True)
        session = servers.Session(
            ('SELECT VERSION', [('10.11.14-MariaDB',)]),
            ('TABLE_TYPE, COALESCE', []),
            ('COUNT|COALESCE', [(0,)]),
            ('pid_file', [('/nonexistent',)]),
            ('datadir', [('datadir', str(self.root / 'v/data'))]),
        )
        return factory.as_service(
            MariaDB(),
            test_drivers.context(self.root),
            servers.Service(),
            HostPorts(connect=lambda credentials, timeout_seconds: session),
        )

    def test_all_checks_of_a_server_are_made(self):
        driver = self.driver()
        codes = set()
        with self.churned(self.temporary_tables, self.option_files, self.processes):
            for _ in range(_ROUNDS):
                codes |= {
                    (one.name, one.code)
                    for one in driver.checks(TargetFacts(server_version='11.8.6'), GuestOptions())
                    if one.outcome in {'refused', 'unknown'}
                }
                self.assertIsNone(untrusted_files.too_deep(self.root / 'v/data'))
                publish.measure(driver.stash_roots())
                data_files.listing(self.root / 'v/data')
            mounts.holders(self.root.stat().st_dev)
        self.assertEqual(set(), codes)

    def test_a_database_is_stopped_kept_and_brought_back(self):
        machine = fakes.Machine(self.root / 'machine')
        (self.root / 'etc').mkdir()
        (self.root / 'etc/mysql').symlink_to(machine.layout.etc / 'mysql')
        with self.churned(self.option_files, self.processes):
            for attempt in range(1, _ROUNDS):
                quiesce.quiesce(machine.work(attempt=attempt))
                self.assertIsNone(machine.running)
                undo.abort(machine.work(attempt=attempt))
                self.assertIsNotNone(machine.running)

    def test_what_must_be_there_and_is_not_is_a_refusal_that_names_it(self):
        driver = self.driver()
        (self.root / 'v/data').rmdir()
        found = {
            one.name: one
            for one in driver.checks(TargetFacts(server_version='11.8.6'), GuestOptions())
        }
        self.assertEqual(
            ('refused', 'FILES_NOT_READ'), (found['layout'].outcome, found['layout'].code)
        )
        self.assertIn(str(self.root / 'v/data'), found['layout'].message)

    def test_a_check_of_the_agents_own_that_cannot_read_is_a_refusal(self):
        machine = fakes.Machine(self.root / 'machine')
        machine.layout.volume.rename(
            self.root / 'elsewhere'
        )  # what is mounted has gone without a word
        results = check.run(machine.work())
        self.assertEqual(
            {'VOLUME_LAYOUT_UNKNOWN'},
            {one.code for one in results if one.outcome == 'refused'},
            results,
        )
