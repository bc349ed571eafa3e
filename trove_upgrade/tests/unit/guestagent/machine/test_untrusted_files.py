# SPDX-License-Identifier: Apache-2.0
"""What the database's user can do to the names that the agent reads, with real links, pipes and
owners.  Runs as root.
"""

import json
import os
import pathlib
import subprocess
import sys
import threading

import fixtures

from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    option_files,
    option_groups,
    outside_volume,
    ownership,
    redo_log,
    scratch,
    server,
    settings,
)
from trove_upgrade.guestagent.datastores.mysql_family.container import credentials
from trove_upgrade.guestagent.datastores.mysql_family.container import (
    ownership as container_ownership,
)
from trove_upgrade.guestagent.machine import untrusted_files
from trove_upgrade.guestagent.storage import data_files, volume_ownership
from trove_upgrade.guestagent.storage.stash import tree
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

TENANT = 54321
SECRET = 'transport_url = rabbit://trove:S3CRET@broker/trove'
#: 2 is RENAME_EXCHANGE, -100 is AT_FDCWD.  Source: renameat2(2)
_EXCHANGER = """
import ctypes, os, sys
library, one, other = ctypes.CDLL(None), *map(os.fsencode, sys.argv[1:])
print('begun', flush=True)
while True:
    library.renameat2(-100, one, -100, other, 2)
"""
_ROUNDS = 2000
_WAIT_SECONDS = 10


class TenantTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.data = self.root / 'v/data'
        (self.data / 'db').mkdir(parents=True)
        for path in (self.data, self.data / 'db'):
            os.chown(path, TENANT, TENANT)
        self.secret = self.root / 'etc/secret'
        self.secret.parent.mkdir()
        self.secret.write_text(f'[DEFAULT]\n{SECRET}\n')

    def tenants(self, path, text):
        path.write_text(text)
        os.chown(path, TENANT, TENANT)
        return path

    def pipe(self, path):
        os.mkfifo(path)
        os.chown(path, TENANT, TENANT)
        return path

    def in_time(self, function):
        """What it returns; a function that waits for ever fails the test instead of holding it
        up.
        """
        answers = []
        thread = threading.Thread(target=lambda: answers.append(function()), daemon=True)
        thread.start()
        thread.join(_WAIT_SECONDS)
        self.assertFalse(thread.is_alive(), 'it waits for ever')
        return answers[0]

    def exchanging(self, one, other):
        """Another process exchanges two names without end, as the tenant's would."""
        process = subprocess.Popen(
            [sys.executable, '-c', _EXCHANGER, str(one), str(other)], stdout=subprocess.PIPE
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        process.stdout.readline()  # it has begun


class ForeignTest(TenantTestCase):
    def test_a_plain_file_of_the_owner_is_read_within_bounds(self):
        path = self.tenants(self.data / 'x', '0123456789')
        self.assertEqual(b'0123', untrusted_files.read(path, TENANT, 4))
        self.assertEqual(b'789', untrusted_files.read_end(path, TENANT, 3)[1])

    def test_links_pipes_directories_and_what_is_another_s_are_refused_at_once(self):
        link, hard = self.data / 'link', self.data / 'hard'
        link.symlink_to(self.secret)
        hard.hardlink_to(self.secret)
        for path in (
            link,
            hard,
            self.pipe(self.data / 'pipe'),
            self.data / 'db',
            self.data / 'none',
        ):
            self.in_time(
                lambda path=path: self.assertRaises(OSError, untrusted_files.read, path, TENANT, 10)
            )

    def test_a_directory_that_is_a_link_is_refused(self):
        (self.data / 'link').symlink_to(self.secret.parent)
        with untrusted_files.directory(self.data) as opened:
            self.assertRaises(OSError, untrusted_files.directory('link', below=opened).__enter__)


class StrayTest(TenantTestCase):
    def find(self):
        return self.in_time(lambda: outside_volume.find(self.data, self.root / 'v'))

    def test_what_an_isl_file_says_is_judged_and_never_quoted(self):
        self.tenants(self.data / 'db/here.isl', f'{self.root}/v/other/t.ibd')
        self.tenants(self.data / 'db/away.isl', '/srv/S3CRET/t.ibd')
        self.tenants(self.data / 'db/back.isl', f'{self.root}/v/../S3CRET/t.ibd')
        self.assertEqual(
            [
                f'{self.data}/db/away.isl says that its table is elsewhere',
                f'{self.data}/db/back.isl says that its table is elsewhere',
            ],
            self.find(),
        )

    def test_an_isl_file_that_is_a_link_or_a_pipe_is_no_way_to_read_or_to_hang(self):
        (self.data / 'l.isl').symlink_to(self.secret)
        self.pipe(self.data / 'p.isl')
        (self.data / 'h.isl').hardlink_to(self.secret)
        found = self.find()
        self.assertEqual(
            [
                f'{self.data}/h.isl is no plain file of the database',
                f'{self.data}/l.isl is a link to elsewhere',
                f'{self.data}/p.isl is no plain file of the database',
            ],
            found,
        )

    def test_a_link_that_takes_the_place_of_an_isl_file_shows_nothing(self):
        plain, link = (
            self.tenants(self.data / 't.isl', f'{self.root}/v/data/t.ibd'),
            self.data / 't.lnk',
        )
        link.symlink_to(self.secret)
        self.exchanging(plain, link)
        for _ in range(_ROUNDS):
            self.assertFalse(
                [
                    said
                    for said in outside_volume.find(self.data, self.root / 'v')
                    if 'S3CRET' in said
                ]
            )

    def test_a_linked_directory_is_named_and_not_looked_into(self):
        (self.secret.parent / 'hidden').symlink_to('/')
        (self.data / 'linked').symlink_to(self.secret.parent)
        (self.data / 'loop').symlink_to('loop')
        (self.data / 'inside').symlink_to(self.data / 'db')
        self.assertEqual([f'{self.data}/linked is a link to elsewhere'], self.find())


class ServerTest(TenantTestCase):
    def setUp(self):
        super().setUp()
        context = datastore.DriverContext(
            volume=self.root / 'v',
            data_directory=self.data,
            etc=self.root / 'etc',
            run=self.root / 'run',
            image_facts=ImageFacts(),
            now=None,
            monotonic=fakes.Clock(),
        )
        self.server = server.Server(
            context, fakes.Service(), None, None, groups=option_groups.MARIADB, start_seconds=1
        )
        (self.root / 'var/log/mysql').mkdir(parents=True)

    def tail(self):
        return self.in_time(self.server.log_tail)

    def test_the_end_of_a_log_is_the_server_s_own_words_alone(self):
        self.tenants(self.data / 'host.err', 'first\nwhy it ended\n')
        os.utime(self.data / 'host.err', (1, 1))
        (self.data / 'x.err').symlink_to(self.secret)
        (self.root / 'var/log/mysql/error.log').symlink_to(self.secret)
        (self.data / 'y.err').hardlink_to(self.secret)
        self.pipe(self.data / 'z.err')
        self.assertEqual('first | why it ended', self.tail())

    def test_without_data_there_are_no_words(self):
        (self.data / 'db').rmdir()
        self.data.rmdir()
        self.assertEqual('', self.tail())

    def process_id(self, path):
        session = fakes.Session(('pid_file', [(str(path),)]), ('datadir', [(str(self.data),)]))
        return self.in_time(lambda: self.server.process_id(session))

    def test_a_process_s_number_is_read_from_a_plain_file_and_nothing_waits_for_another(self):
        self.assertEqual(4711, self.process_id(self.tenants(self.data / 'a.pid', '4711\n')))
        self.assertEqual(4711, self.process_id('a.pid'))
        self.assertIsNone(self.process_id(self.pipe(self.data / 'b.pid')))
        self.assertIsNone(self.process_id(self.tenants(self.data / 'c.pid', 'x' * 100)))
        (self.data / 'd.pid').symlink_to('a.pid')
        self.assertIsNone(self.process_id('d.pid'))

    def test_a_redo_log_that_is_no_plain_file_is_not_that_of_a_clean_end(self):
        self.assertTrue(redo_log.is_clean(self.data))
        self.pipe(self.data / 'ib_logfile0')
        self.assertFalse(self.in_time(lambda: redo_log.is_clean(self.data)))
        (self.data / 'ib_logfile0').unlink()
        (self.data / 'ib_logfile0').symlink_to('/dev/zero')
        self.assertFalse(redo_log.is_clean(self.data))

    def test_the_log_of_a_configuration_that_is_tried_is_read_as_carefully(self):
        log = self.data / 'scratch-error.log'
        self.assertEqual('', scratch._logged(log, TENANT))
        log.symlink_to(self.secret)
        self.assertEqual('', scratch._logged(log, TENANT))
        log.unlink()
        self.assertEqual('words', scratch._logged(self.tenants(log, 'words'), TENANT))


class WalkTest(TenantTestCase):
    """A directory that becomes a link while root walks."""

    def setUp(self):
        super().setUp()
        (self.root / 'outside').mkdir()
        for number in range(20):
            (self.root / f'outside/private-{number}').touch()
            self.tenants(self.data / f'db/own-{number}', '')
        (self.root / 'link').symlink_to(self.root / 'outside')
        self.exchanging(self.data / 'db', self.root / 'link')

    def test_the_list_of_data_files_names_no_others(self):
        for _ in range(_ROUNDS):
            self.assertNotIn(b'private', data_files.listing(self.data))

    def test_no_file_elsewhere_changes_its_owner(self):
        for _ in range(_ROUNDS):
            ownership.give(self.data, 'daemon')
        self.assertEqual({0}, {path.stat().st_uid for path in (self.root / 'outside').iterdir()})


class DeepTest(TenantTestCase):
    """Directories nested by the thousand, which the tenant can make anywhere with write access."""

    def nest(self, top, depth, name='d', content=True):
        descriptor = os.open(top, os.O_DIRECTORY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=descriptor)
            os.chown(name, TENANT, TENANT, dir_fd=descriptor)
            inner = os.open(name, os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        if content:
            os.close(os.open('bottom', os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
            os.chown('bottom', TENANT, TENANT, dir_fd=descriptor)
        os.close(descriptor)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.clear)

    def clear(self):
        with untrusted_files.directory(self.root) as opened:
            for name in os.listdir(opened):  # noqa: PTH208 - below the descriptor
                untrusted_files.remove_tree(name, opened)

    def test_all_of_them_are_given_to_the_server_s_user_with_a_few_descriptors(self):
        self.nest(self.data / 'db', 1200)
        used = len(list(pathlib.Path('/proc/self/fd').iterdir()))
        most = 0
        for _ in untrusted_files.walk(self.data):
            most = max(most, len(list(pathlib.Path('/proc/self/fd').iterdir())) - used)
        self.assertLess(most, 30)
        container_ownership.give(self.data, 7, 8)
        owners = {
            os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_uid
            for _, directories, files, descriptor in untrusted_files.walk(self.data)
            for name in ('.', *directories, *files)
        }
        self.assertEqual({7}, owners)

    def test_what_stands_beside_a_deep_branch_is_walked_too(self):
        for name in ('a', 'b', 'c'):
            self.nest(self.data, 40, name)
        (self.data / 'c/c/other').mkdir()
        found = ['/'.join(names) for names, *_ in untrusted_files.walk(self.data)]
        self.assertEqual(len(set(found)), len(found))
        self.assertEqual(3 * 40 + 3, len(found))  # the top, db and other
        self.assertIn('c/c/other', found)

    def test_a_list_of_data_files_has_what_servers_make_and_not_what_is_deeper(self):
        self.nest(self.data / 'db', 1200)
        self.tenants(self.data / 'db/t.ibd', 'x')
        self.assertEqual(['db/t.ibd'], list(json.loads(data_files.listing(self.data))))
        self.assertEqual([], data_files.differences(data_files.listing(self.data), self.data))

    def test_depth_is_seen_without_going_there(self):
        self.nest(self.data, untrusted_files.LEVELS)
        self.assertIsNone(untrusted_files.too_deep(self.data))
        self.nest(self.data, untrusted_files.LEVELS + 1, 'e')
        self.assertEqual(self.data / 'e/e/e', untrusted_files.too_deep(self.data))

    def test_paths_that_are_too_long_are_seen(self):
        self.nest(self.data, 20, 'n' * 200)
        self.assertIsNotNone(untrusted_files.too_deep(self.data))

    def test_what_is_nested_or_named_too_long_does_not_keep_a_stash_from_being_published(self):
        self.nest(self.data, 20, 'n' * 250)
        self.nest(self.data, 1200)
        self.tenants(self.data / 'my.cnf', '[mysqld]')
        found = [seen.path for seen in tree.walk([self.data])]
        self.assertIn(str(self.data / 'my.cnf'), found)
        self.assertLess(len(found), 200)

    def test_a_directory_of_his_where_the_stash_must_go_is_removed_however_deep(self):
        kept = self.root / 'v/.trove-upgrade'
        kept.mkdir()
        (kept / '0').touch()
        (kept / 'two/1').mkdir(parents=True)
        (kept / 'link').symlink_to(self.secret.parent)
        self.nest(kept, 1200)
        os.chown(kept, TENANT, TENANT)
        volume_ownership.anew(kept)
        self.assertFalse(kept.exists())
        self.assertTrue(self.secret.exists())

    def test_what_a_boot_has_given_away_is_taken_back_however_deep(self):
        kept = self.root / 'v/.trove-upgrade'
        kept.mkdir()
        self.nest(kept, 1200)
        volume_ownership.back(kept)
        self.assertEqual(
            {0}, {os.fstat(descriptor).st_uid for *_, descriptor in untrusted_files.walk(kept)}
        )


class WrittenTest(TenantTestCase):
    """Where the tenant owns /etc/mysql or the volume, a directory there may become a link."""

    def setUp(self):
        super().setUp()
        self.mysql = self.root / 'etc/mysql'
        self.mysql.mkdir()
        os.chown(self.mysql, TENANT, TENANT)
        self.victim = self.root / 'victim'
        self.victim.mkdir()

    def keep(self):
        with settings.place(self.mysql) as directory:
            return (
                None
                if directory is None
                else settings.keep(fakes.Session(), {'sql_mode': 'ANSI'}, directory)
            )

    def test_settings_are_kept_in_the_directory_that_is_read_last(self):
        for name in ('conf.d', 'mysql.conf.d', 'mariadb.conf.d'):
            (self.mysql / name).mkdir()
            self.assertEqual(['sql_mode'], self.keep())
            self.assertIn('sql_mode = ANSI', (self.mysql / name / settings.FILE_NAME).read_text())

    def test_nothing_is_written_through_a_link_of_his(self):
        (self.mysql / 'mariadb.conf.d').symlink_to(self.victim)
        self.assertEqual(['sql_mode'], self.keep())
        self.assertTrue((self.mysql / 'conf.d' / settings.FILE_NAME).exists())
        (self.mysql / 'conf.d' / settings.FILE_NAME).unlink()
        (self.mysql / 'conf.d').rmdir()
        (self.mysql / 'conf.d').symlink_to(self.victim)
        self.assertIsNone(self.keep())
        self.assertEqual([], list(self.victim.iterdir()))

    def test_a_link_where_the_file_must_go_is_replaced_and_not_followed(self):
        (self.mysql / 'conf.d').mkdir()
        for name in (settings.FILE_NAME, f'.{settings.FILE_NAME}.new'):
            (self.mysql / 'conf.d' / name).symlink_to(self.secret)
        self.keep()
        self.assertIn(SECRET, self.secret.read_text())

    def test_a_password_is_not_read_in_a_directory_that_is_a_link(self):
        (self.victim / 'root.cnf').write_text('[client]\npassword = S3CRET\n')
        volume = self.root / 'v'
        (volume / 'conf.d').symlink_to(self.victim)
        self.assertIsNone(credentials.password(volume, 'root'))
        (volume / 'conf.d').unlink()
        self.victim.rename(volume / 'conf.d')
        self.assertEqual('S3CRET', credentials.password(volume, 'root'))


class OptionFilesTest(TenantTestCase):
    """/etc/mysql of a container's guest, which is all the tenant's."""

    def setUp(self):
        super().setUp()
        self.mysql = self.root / 'etc/mysql'
        (self.mysql / 'conf.d').mkdir(parents=True)
        for path in (self.mysql, self.mysql / 'conf.d'):
            os.chown(path, TENANT, TENANT)
        self.tenants(self.mysql / 'my.cnf', f'[mysqld]\na = 1\n!includedir {self.mysql}/conf.d/\n')

    def read(self):
        return self.in_time(lambda: option_files.read_all((self.mysql / 'my.cnf',)))

    def test_his_plain_files_and_those_of_root_that_all_may_read_are_read(self):
        self.tenants(self.mysql / 'conf.d/a.cnf', '[mysqld]\nb = 2\n')
        (self.mysql / 'conf.d/b.cnf').write_text('[mysqld]\nb = 3\n')
        found = self.read()
        self.assertEqual(
            (('1', '3'), ()),
            ((found.value('a', ['mysqld']), found.value('b', ['mysqld'])), found.unread),
        )

    def test_a_file_without_end_is_not_read(self):
        with self.tenants(self.mysql / 'conf.d/z.cnf', '').open('r+b') as stream:
            stream.truncate(64 << 30)
        found = self.read()
        self.assertEqual(1, len(found.unread))
        self.assertEqual('1', found.value('a', ['mysqld']))

    def test_files_that_all_include_their_own_directory_are_read_once(self):
        for number in range(12):
            self.tenants(
                self.mysql / f'conf.d/{number}.cnf',
                f'!includedir {self.mysql}/conf.d\n[mysqld]\nn{number} = 1\n',
            )
        found = self.read()
        self.assertEqual((13, 13, ()), (len(found.files), len(found.options), found.unread))

    def test_more_files_lines_or_names_than_a_server_has_come_to_an_end(self):
        self.tenants(self.mysql / 'conf.d/a.cnf', f'!includedir {self.mysql}/conf.d\n' * 5000)
        for number in range(300):
            self.tenants(self.mysql / f'conf.d/{number}.cnf', '[mysqld]\nx = 1\n')
        found = self.read()
        self.assertEqual(256, len(found.files))
        self.assertTrue(found.unread)
        for number in range(5000):
            (self.mysql / f'conf.d/more-{number}').touch()
        self.assertIn('entries', self.read().unread[0])

    def test_links_of_his_are_not_followed_and_pipes_do_not_wait(self):
        for name, target in (('a.cnf', self.secret), ('b.cnf', self.mysql / 'my.cnf')):
            (self.mysql / 'conf.d' / name).symlink_to(target)
            os.lchown(self.mysql / 'conf.d' / name, TENANT, TENANT)
        self.pipe(self.mysql / 'conf.d/p.cnf')
        found = self.read()
        self.assertEqual(1, len(found.files))
        self.assertEqual(2, len(found.unread))

    def test_a_directory_that_is_a_link_of_his_is_not_followed(self):
        (self.mysql / 'conf.d').rmdir()
        (self.mysql / 'conf.d').symlink_to(self.secret.parent)
        os.lchown(self.mysql / 'conf.d', TENANT, TENANT)
        (self.secret.parent / 'x.cnf').write_text('[mysqld]\nsecret = 1\n')
        found = self.read()
        self.assertIsNone(found.value('secret', ['mysqld']))
        self.assertEqual(1, len(found.unread))

    def test_a_file_of_his_brings_in_nothing_that_he_cannot_read(self):
        (self.mysql / 'conf.d/private.cnf').write_text('[mysqld]\nsecret = 1\n')
        (self.mysql / 'conf.d/private.cnf').chmod(0o600)
        self.tenants(
            self.mysql / 'conf.d/a.cnf',
            f'!include {self.secret}\n!include {self.mysql}/../secret\n',
        )
        found = self.read()
        self.assertEqual(3, len(found.unread))
        self.assertEqual(['a'], [option.name for option in found.options])

    def test_links_of_root_to_files_of_root_are_followed_as_debian_makes_them(self):
        (self.root / 'etc/alternatives').mkdir()
        (self.mysql / 'my.cnf').unlink()
        (self.mysql / 'mariadb.cnf').write_text('[mysqld]\nc = 3\n')
        (self.root / 'etc/alternatives/my.cnf').symlink_to(self.mysql / 'mariadb.cnf')
        (self.mysql / 'my.cnf').symlink_to('../alternatives/my.cnf')
        found = self.read()
        self.assertEqual(('3', ()), (found.value('c', ['mysqld']), found.unread))
        os.chown(self.mysql / 'mariadb.cnf', TENANT, TENANT)
        self.assertEqual(1, len(self.read().unread))
        (self.mysql / 'my.cnf').unlink()
        (self.mysql / 'my.cnf').symlink_to('my.cnf')
        self.assertEqual(1, len(self.read().unread))
