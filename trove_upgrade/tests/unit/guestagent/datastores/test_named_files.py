# SPDX-License-Identifier: Apache-2.0
"""From one root disk over a stash to another, with what a configuration names outside of the
volume.
"""

import os
import pathlib
import shutil

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    admitted,
    option_files,
    option_paths,
    preserved,
    trusted_places,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.storage.stash.accounts import SystemAccounts
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.guestagent.upgrade import files
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

SERVER = 4242
ROOT = pathlib.Path(__file__).parents[5]


class RootDiskTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'root'
        self.stash = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.context = datastore.DriverContext(
            volume=self.root / 'var/lib/mysql',
            data_directory=self.root / 'var/lib/mysql/data',
            etc=self.root / 'etc',
            run=self.root / 'run/trove-upgrade',
            image_facts=ImageFacts(),
            now=None,
            monotonic=None,
        )
        self.new_root()

    def new_root(self):
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ('var/lib/mysql/data', 'etc/mysql/conf.d', 'var/lib/dpkg/info', 'tmp'):
            (self.root / name).mkdir(parents=True)
        self.write(
            'etc/mysql/my.cnf',
            '[mysqld]\n!includedir /etc/mysql/conf.d/\n'.replace('/etc', f'{self.root}/etc'),
        )
        self.write(
            'var/lib/dpkg/info/base.list',
            '/etc\n/etc/mysql\n/etc/mysql/my.cnf\n/var/lib\n/usr/share/db\n/etc/ssl\n',
        )

    def write(self, name, text='', mode=0o644, owner=0):
        path = self.root / name.lstrip('/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chown(path, owner, owner)
        path.chmod(mode)
        return path

    def link(self, name, target):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def configure(self, *options):
        """`options` with paths as the system calls them."""
        lines = [
            option.replace('=/', f'={self.root}/')
            .replace(':/', f':{self.root}/')
            .replace(' /', f' {self.root}/')
            for option in options
        ]
        self.write('etc/mysql/conf.d/99-own.cnf', '\n'.join(['[mysqld]', *lines]) + '\n')

    def preserved(self):
        return preserved.Preserved(
            self.context, self.configuration(), self.root / 'root/.my.cnf', 'mysql'
        )

    def configuration(self):
        return option_files.read_all([self.root / 'etc/my.cnf', self.root / 'etc/mysql/my.cnf'])

    def admission(self, names, links=(), content=b''):
        """Of this root disk, for a stash that has `names` and lists all of them."""
        stashed = [f'{self.context.run}/to-restore{name}' for name in names] + list(names)
        copies = [str(path) for path in (self.context.run / 'to-make').rglob('*')]
        return admitted.Admission(
            self.context,
            datastore.Stashed(
                paths=[*stashed, *copies],
                files=stashed,
                links=dict(links),
                content=lambda _name: content,
            ),
            self.root / 'root/.my.cnf',
            'mysql',
        )

    def admitted(self, names, links=(), content=b''):
        """Those of `names` that this root disk lets in."""
        return list(self.admission(names, links, content).admitted(self.configuration()))

    def make(self):
        """Make what an intruder has listed, with an option that names each."""
        top = self.context.run / 'to-make'
        for number, path in enumerate(sorted(top.rglob('*'))):
            inside = '/' / path.relative_to(top)
            self.write(
                f'etc/mysql/conf.d/{number:03}.cnf',
                f'[mysqld]\ntmpdir={inside}\nlog_error={inside}\n',
            )
        self.admission(()).make(self.configuration(), ())

    def move(self, image=()):
        """To a new root disk, whose image has these files: name -> text."""
        published = publish.publish(
            self.preserved().roots(), self.stash, 'u', 1, {}, SystemAccounts()
        )
        self.new_root()
        for name, text in dict(image).items():
            self.write(name, text)
        driver = factory.as_service(MariaDB(), self.context, fakes.Service())
        remarks = []
        for _ in range(2):  # a retry brings nothing else
            with Stash.open(self.stash, published.name, published.digest) as stash:
                remarks = files.restore(driver, SystemAccounts(), stash)
        return remarks

    def look(self, name):
        """(owner, mode) of what is there."""
        status = (self.root / name).lstat()
        return status.st_uid, status.st_mode & 0o7777

    def assert_refused(self, *words):
        found = self.preserved().check()
        self.assertEqual(('refused', 'FILE_NOT_KEPT'), (found.outcome, found.code), found)
        for word in words:
            self.assertIn(word, found.message)

    def assert_ok(self):
        found = self.preserved().check()
        self.assertEqual('ok', found.outcome, found)


class TestWhatComes(RootDiskTest):
    def test_key_files_come_with_owner_and_mode_and_their_directory_too(self):
        self.write('etc/keys/pw.key', 'secret', 0o400, SERVER)
        self.write('etc/keys/keyfile.enc', 'encrypted', 0o440, SERVER)
        os.chown(self.root / 'etc/keys', SERVER, SERVER)
        (self.root / 'etc/keys').chmod(0o700)
        self.configure(
            'file_key_management_filename=/etc/keys/keyfile.enc',
            'file_key_management_filekey=FILE:/etc/keys/pw.key',
        )
        self.assert_ok()
        self.move()
        self.assertEqual(
            ('secret', (SERVER, 0o400), (SERVER, 0o440), (SERVER, 0o700)),
            (
                (self.root / 'etc/keys/pw.key').read_text(),
                self.look('etc/keys/pw.key'),
                self.look('etc/keys/keyfile.enc'),
                self.look('etc/keys'),
            ),
        )

    def test_a_keyring_of_mysql_comes_whatever_the_option_is_called(self):
        self.write('var/lib/mysql-keyring/keyring', 'keys', 0o640, SERVER)
        os.chown(self.root / 'var/lib/mysql-keyring', SERVER, SERVER)
        (self.root / 'var/lib/mysql-keyring').chmod(0o750)
        self.configure(
            'loose-keyring_file_data=/var/lib/mysql-keyring/keyring',
            'some-future-store=/var/lib/mysql-keyring/keyring',
        )
        self.assert_ok()
        self.move()
        self.assertEqual(
            ('keys', (SERVER, 0o750)),
            (
                (self.root / 'var/lib/mysql-keyring/keyring').read_text(),
                self.look('var/lib/mysql-keyring'),
            ),
        )

    def test_an_init_file_comes(self):
        self.write('etc/mysql/init.sql', 'SELECT 1;')
        self.write('srv/sql/init-two.sql', 'SELECT 2;')
        self.configure(
            'init_file=/etc/mysql/init.sql', 'loose-other-init-file=/srv/sql/init-two.sql'
        )
        self.assert_ok()
        self.move()
        self.assertTrue((self.root / 'etc/mysql/init.sql').exists())
        self.assertTrue((self.root / 'srv/sql/init-two.sql').exists())

    def test_a_certificate_link_comes_with_its_target_where_that_is(self):
        self.write('etc/letsencrypt/archive/db/fullchain3.pem', 'chain')
        self.link('etc/letsencrypt/live/db/fullchain.pem', '../../archive/db/fullchain3.pem')
        self.link('etc/tls-of-db', 'letsencrypt/live/db')
        self.configure(
            'ssl_cert=/etc/letsencrypt/live/db/fullchain.pem', 'ssl_ca=/etc/tls-of-db/fullchain.pem'
        )
        self.assert_ok()
        self.move()
        self.assertEqual(
            '../../archive/db/fullchain3.pem',
            str((self.root / 'etc/letsencrypt/live/db/fullchain.pem').readlink()),
        )
        self.assertEqual(
            ['chain'] * 2,
            [
                (self.root / name).read_text()
                for name in ('etc/letsencrypt/live/db/fullchain.pem', 'etc/tls-of-db/fullchain.pem')
            ],
        )

    def test_hash_links_of_a_directory_of_certificates_come(self):
        self.write('etc/mysql/ca/one.pem', 'one')
        self.link('etc/mysql/ca/5ed36f99.0', 'one.pem')
        self.configure('ssl_capath=/etc/mysql/ca')
        self.assert_ok()
        self.move()
        self.assertEqual('one', (self.root / 'etc/mysql/ca/5ed36f99.0').read_text())

    def test_directories_of_a_moment_are_made_anew_and_their_files_stay_behind(self):
        names = ('srv/tmp', 'srv/inno', 'srv/load', 'srv/in/files')
        for name in names:
            self.write(f'{name}/left', 'over')
            os.chown(self.root / name, SERVER, SERVER)
            (self.root / name).chmod(0o750)
        self.configure(
            'tmpdir=/srv/tmp:/tmp',
            'innodb_tmpdir=/srv/inno',
            'slave_load_tmpdir=/srv/load',
            'secure_file_priv=/srv/in/files/',
        )
        self.assert_ok()
        self.move()
        for name in names:
            self.assertEqual(
                ((SERVER, 0o750), []), (self.look(name), list((self.root / name).iterdir())), name
            )

    def test_a_directory_that_a_link_leads_to_comes_with_the_link(self):
        (self.root / 'mnt/big/tmp').mkdir(parents=True)
        self.link('data', 'mnt/big')
        self.configure('tmpdir=/data/tmp')
        self.assert_ok()
        self.move()
        self.assertTrue((self.root / 'data/tmp').is_dir())

    def test_a_link_to_the_volume_comes(self):
        self.write('var/lib/mysql/certs/a.pem', 'ca')
        self.link('etc/db', f'{self.root}/var/lib/mysql/certs')
        self.configure('ssl_ca=/etc/db/a.pem')
        self.assert_ok()
        self.move()
        self.assertTrue((self.root / 'etc/db').is_symlink())

    def test_a_directory_for_logs_is_made_anew(self):
        self.write('var/log/own/slow.log', 'x' * 100, owner=SERVER)
        os.chown(self.root / 'var/log/own', SERVER, SERVER)
        self.configure(
            'slow_query_log_file=/var/log/own/slow.log', 'log_error=/var/log/own/error.log'
        )
        self.assert_ok()
        self.move()
        self.assertEqual(
            (SERVER, []), (self.look('var/log/own')[0], list((self.root / 'var/log/own').iterdir()))
        )

    def test_option_files_come_from_wherever_they_are_read(self):
        self.write('opt/tuning.cnf', '[mysqld]\nmax_connections=7\n')
        self.write('opt/app.cnf', '[mysqld]\nport=7\n')
        self.link('etc/mysql/conf.d/app.cnf', f'{self.root}/opt/app.cnf')
        (self.root / 'etc/mysql/custom.d').mkdir()
        self.configure('!include /opt/tuning.cnf', '!includedir /etc/mysql/custom.d/')
        self.assert_ok()
        self.move()
        found = option_files.read(self.root / 'etc/mysql/my.cnf')
        self.assertEqual(
            ('7', '7'),
            (found.value('max-connections', ['mysqld']), found.value('port', ['mysqld'])),
        )
        self.assertTrue((self.root / 'etc/mysql/custom.d').is_dir())

    def test_a_my_cnf_that_is_a_link_comes_with_what_it_leads_to(self):
        self.write('etc/mysql/my.cnf.cluster', '[mysqld]\nport=9\n')
        (self.root / 'etc/mysql/my.cnf').unlink()
        self.link('etc/mysql/my.cnf', 'my.cnf.cluster')
        self.move()
        self.assertEqual(
            '9', option_files.read(self.root / 'etc/mysql/my.cnf').value('port', ['mysqld'])
        )

    def test_what_is_on_the_volume_or_of_a_package_stays_as_it_is(self):
        self.write('var/lib/mysql/data/ca.pem', 'on the volume')
        self.write('usr/share/db', 'of a package')
        self.configure(
            'ssl_ca=/var/lib/mysql/data/ca.pem',
            'init_file=/usr/share/db',
            'ssl_cert=relative.pem',
            'datadir=/var/lib/mysql/data',
        )
        self.assert_ok()
        self.move()
        self.assertFalse((self.root / 'usr/share/db').exists())


class TestWhatDoesNotCome(RootDiskTest):
    def test_places_that_the_system_trusts_are_refused_by_name(self):
        for name in (
            'etc/cron.d/job',
            'etc/systemd/system/x.service',
            'etc/profile.d/x.sh',
            'etc/pam.d/common-auth',
            'etc/sudoers.d/x',
            'etc/ld.so.preload',
            'root/.ssh/authorized_keys',
            'usr/local/lib/x.so',
            'home/anna/.bashrc',
            'etc/init.d/x',
            'opt/guest-agent-venv/x',
            'var/spool/cron/root',
            'etc/letsencrypt/renewal/x.conf',
            'etc/letsencrypt/renewal-hooks/deploy/x',
            'etc/trove/trove-upgrade-guest.key',
            'var/lib/trove-upgrade/proven-key.json',
            'var/lib/extensions/x/usr/lib/systemd/system/x.service',
            'etc/confexts/x/etc/cron.d/x',
            'var/lib/portables/x.raw',
            'etc/pki/nssdb/pkcs11.txt',
        ):
            self.new_root()
            self.write(name, 'x')
            self.configure(f'init_file=/{name}')
            self.assert_refused(f'/{name} ', 'init-file')

    def test_names_of_options_that_are_cut_short_and_logs_of_plugins_mean_the_same(self):
        for name, meant in (
            ('slow_query_log_f', option_paths.Purpose.MADE_BY_THE_SERVER),
            ('mroonga_log_file', option_paths.Purpose.MADE_BY_THE_SERVER),
            ('loose_audit_log_filter.file', option_paths.Purpose.MADE_BY_THE_SERVER),
            ('server_audit_file_pa', option_paths.Purpose.MADE_BY_THE_SERVER),
            ('tmpdi', option_paths.Purpose.A_MOMENT),
            ('loose-secure-file-pr', option_paths.Purpose.A_MOMENT),
            ('init-f', option_paths.Purpose.A_FILE),
            ('ssl-c', option_paths.Purpose.A_FILE),
            ('loose-file-key-management-filename', option_paths.Purpose.A_FILE),
            ('innodb-log-file-size', option_paths.Purpose.A_FILE),
        ):
            option = option_files.Option(
                group='mysqld',
                name=option_files.canonical(name),
                value='/x',
                path=self.root,
                line=1,
            )
            self.assertIs(meant, option_paths.purpose(option), name)

    def test_of_a_directory_that_is_named_comes_what_a_server_reads_there(self):
        read = ('5ed36f99.0', 'ca.pem', 'revoked.crl', 'README', 'inner/5ed36f99.r0')
        for name in read:
            self.write(f'etc/company/{name}', name)
        self.configure('ssl_capath=/etc/company')
        self.move()
        for name in read:
            self.assertEqual(name, (self.root / 'etc/company' / name).read_text())

    def test_what_another_program_would_read_there_is_refused_by_name(self):
        for name in (
            'evil.conf',
            'vault.hcl',
            'x.service',
            'x',
            'x.timer',
            'pkcs11.txt.d',
            '.pem',
            'x.sh',
        ):
            self.new_root()
            self.write('etc/company/ca.pem', 'x')
            self.write(f'etc/company/{name}', 'x')
            self.configure('ssl_capath=/etc/company')
            self.assert_refused(f'/etc/company/{name} ', 'ssl-capath')
            self.configure('ssl_capath=/etc/company')
            stashed = [f'{self.root}/etc/company/{one}' for one in ('ca.pem', name)]
            shutil.rmtree(self.root / 'etc/company')
            self.assertEqual(stashed[:1], self.admitted(stashed))

    def test_a_directory_of_another_package_is_closed_whatever_its_name(self):
        for name in ('vault.d', 'percona-toolkit', 'db-tools'):
            self.new_root()
            self.write('var/lib/dpkg/info/other.list', f'/etc/{name}\n')
            self.write(f'etc/{name}/ca.pem', 'x')
            self.configure(f'ssl_ca=/etc/{name}/ca.pem')
            self.assert_refused(f'/etc/{name}/ca.pem ', 'ssl-ca')

    def test_certificates_that_a_package_s_program_has_got_come(self):
        self.write('var/lib/dpkg/info/certbot.list', '/etc/letsencrypt\n')
        self.write('etc/letsencrypt/archive/db/ca.pem', 'x')
        self.configure('ssl_ca=/etc/letsencrypt/archive/db/ca.pem')
        self.move()
        self.assertEqual('x', (self.root / 'etc/letsencrypt/archive/db/ca.pem').read_text())

    def test_what_can_be_executed_or_lends_rights_is_refused(self):
        for mode in (0o755, 0o4644, 0o2640, 0o640 | 0o1):
            self.new_root()
            self.write('srv/tool', 'x', mode)
            self.configure('init_file=/srv/tool')
            self.assert_refused('/srv/tool', f'{mode:04o}')

    def test_what_is_no_plain_file_is_refused(self):
        os.mkfifo(self.root / 'etc/mysql/pipe')
        self.configure('init_file=/etc/mysql/pipe')
        self.assert_refused('/etc/mysql/pipe', 'no plain file')

    def test_a_link_to_a_trusted_place_is_refused(self):
        self.write('etc/cron.d/job', 'x')
        self.link('etc/mysql/key.pem', '../cron.d/job')
        self.configure('ssl_key=/etc/mysql/key.pem')
        self.assert_refused('/etc/cron.d/job')

    def test_links_without_an_end_are_refused_or_not_there(self):
        self.link('etc/mysql/a', 'b')
        self.link('etc/mysql/b', 'a')
        self.configure('ssl_key=/etc/mysql/a')
        self.assert_refused('links')

    def test_more_files_than_any_store_of_keys_has_are_refused(self):
        for shape in (('srv/many', 1100), ('srv/many/deep', 600)):
            self.new_root()
            for number in range(shape[1]):
                self.write(f'{shape[0]}/{number}')
                self.write(f'srv/many/{number}.pem')
            self.configure('loose-keys=/srv/many')
            self.assert_refused('/srv/many', '1024 entries')

    def test_all_of_them_are_named_at_once_up_to_a_number(self):
        for number in range(104):
            self.write(f'srv/tool-{number:03}', 'x', 0o755)
        self.configure(*(f'loose-x{number:03}=/srv/tool-{number:03}' for number in range(104)))
        self.assert_refused('/srv/tool-000', '/srv/tool-099', 'and 4 more')

    def test_an_included_file_in_a_trusted_place_is_refused(self):
        self.write('etc/cron.d/own.cnf', '[mysqld]\nport=1\n')
        self.configure('!include /etc/cron.d/own.cnf')
        self.assert_refused('/etc/cron.d/own.cnf', 'an option file')

    def test_a_file_of_the_new_image_is_not_replaced(self):
        self.write('etc/ssl/private/ca.crt', 'of the old one')
        self.configure('ssl_ca=/etc/ssl/private/ca.crt')
        self.assert_ok()
        self.move(image={'etc/ssl/private/ca.crt': 'of the new one'})
        self.assertEqual('of the new one', (self.root / 'etc/ssl/private/ca.crt').read_text())

    def test_the_key_of_the_former_guest_is_not_kept_by_whichever_name(self):
        key = self.write('etc/trove/trove-upgrade-guest.key', 'of the old one')
        self.link('srv/tls.key', key)
        self.link('srv/trove', key.parent)
        for option in (
            'ssl_key=/etc/trove/trove-upgrade-guest.key',
            'ssl_key=/srv/tls.key',
            'loose-x=/srv/trove/trove-upgrade-guest.key',
        ):
            self.configure(option)
            self.assertEqual('refused', self.preserved().check().outcome, option)

    def test_a_list_that_an_intruder_has_written_brings_nothing_into_trusted_places(self):
        names = (
            'etc/trove/trove-upgrade-guest.key',
            'etc/cron.d/evil',
            'usr/bin/ls',
            'root/.ssh/authorized_keys',
            'etc/ld.so.preload',
            'srv/fine',
        )
        self.link('srv2', 'etc/cron.d')
        self.configure(
            *(f'loose-x{number}=/{name}' for number, name in enumerate(names)), 'loose-y=/srv2/x'
        )
        stashed = [
            *(f'{self.root}/{name}' for name in (*names, 'srv/../etc/cron.d/x', 'srv2/x')),
            '/etc/passwd',
        ]
        self.assertEqual([f'{self.root}/srv/fine'], self.admitted(stashed))

    def test_a_directory_that_an_intruder_has_listed_is_not_made_in_a_trusted_place(self):
        for name in ('etc/cron.d/x', 'srv/fine'):
            (self.context.run / 'to-make' / self.root.relative_to('/') / name).mkdir(parents=True)
        self.make()
        self.assertFalse((self.root / 'etc/cron.d').exists())
        self.assertTrue((self.root / 'srv/fine').is_dir())

    def test_a_directory_is_not_made_through_a_link(self):
        self.link('srv/d', '../etc')
        for name in ('srv/d/cron.d', 'srv/d', 'srv/fine'):
            (self.context.run / 'to-make' / self.root.relative_to('/') / name).mkdir(
                parents=True, exist_ok=True
            )
        self.make()
        self.assertFalse((self.root / 'etc/cron.d').exists())
        self.assertTrue((self.root / 'srv/fine').is_dir())

    def test_a_directory_that_the_image_has_keeps_its_owner_and_mode(self):
        for place in (
            self.root / 'opt/venv/bin',
            self.context.run / 'to-make' / self.root.relative_to('/') / 'opt/venv/bin',
        ):
            place.mkdir(parents=True)
        copy = self.context.run / 'to-make' / self.root.relative_to('/') / 'opt'
        os.chown(copy, SERVER, SERVER)
        copy.chmod(0o777)
        self.make()
        self.assertEqual((0, 0o755), self.look('opt'))

    def test_what_would_be_loaded_or_run_does_not_come_into_the_databases_directory(self):
        names = (
            'etc/mysql/p/evil.so',
            'etc/mysql/p/evil.so.1',
            'etc/mysql/debian-start',
            'etc/mysql/debian.cnf',
            'etc/mysql',
            'etc/mysql/conf.d/fine.cnf',
        )
        self.assertEqual(
            [f'{self.root}/etc/mysql/conf.d/fine.cnf'],
            self.admitted([f'{self.root}/{name}' for name in names]),
        )

    def test_a_link_in_the_databases_directory_leads_nothing_elsewhere(self):
        self.link('etc/mysql/out', '../cron.d')
        self.assertEqual([], self.admitted([f'{self.root}/etc/mysql/out/evil.cnf']))

    def test_programs_and_libraries_of_the_customers_are_refused(self):
        self.write('opt/plugins/my.so', 'ELF')
        self.configure('plugin-dir=/opt/plugins')
        self.assert_refused('/opt/plugins', 'plugin-dir')
        self.configure('wsrep_provider=/opt/plugins/my.so')
        self.assert_refused('/opt/plugins/my.so')


class TestNamesInDoubt(RootDiskTest):
    def test_a_value_that_may_mean_either_of_two_is_refused_by_both_names(self):
        for name in ('etc/keys/k,1.key', 'etc/keys/k', 'srv/a=b/c', 'srv/a'):
            self.write(name, 'x')
        self.configure('loose-key=FILE:/etc/keys/k,1.key')
        self.assert_refused('/etc/keys/k or /etc/keys/k,1.key', 'loose-key')
        self.configure('loose-key=/srv/a=b/c')
        self.assert_refused('/srv/a or /srv/a=b/c')

    def test_two_that_stand_beside_each_other_are_both_meant(self):
        for name in ('srv/one', 'srv/two'):
            self.write(name, 'x')
        self.configure('loose-keys=/srv/one:/srv/two')
        self.assert_ok()


class TestPaths(base.TestCase):
    def test_what_is_there_counts_of_what_a_value_may_mean(self):
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (root / 'k=1,2').touch()
        for value in (f'FILE:{root}/k=1,2', f'{root}/k=1,2', f'a;b={root}/k=1,2;c'):
            self.assertEqual([root / 'k=1,2'], list(option_paths.paths_in(value)), value)
            self.assertIn(root / 'k=1,2', option_paths.paths_in(value, comes=True))

    def test_a_value_of_signs_alone_comes_to_an_end(self):
        self.assertGreater(10000, sum(1 for _ in option_paths.paths_in(':/' * 2000, comes=True)))

    def test_parts_of_values_are_found(self):
        for value, expected in (
            ('/a/b', ['/a/b']),
            ('FILE:/etc/keys/pw.key', ['/etc/keys/pw.key']),
            ('file:/x', ['/x']),
            ('/a:/b', ['/a', '/b']),
            ('/a;/b', ['/a', '/b']),
            ('ibdata1:10M', []),
            ('', []),
            ('ON', []),
            ('a/b', []),
            ('/with space/x', ['/with space/x']),
            ('FILE://srv//x', ['/srv/x']),
            ('//srv/x:///y', ['/srv/x', '/y']),
        ):
            self.assertEqual(expected, [str(path) for path in option_paths.paths_in(value)], value)

    @given(st.text())
    def test_any_value_gives_absolute_paths_or_none(self, value):
        self.assertTrue(all(path.is_absolute() for path in option_paths.paths_in(value)))

    def test_the_page_has_the_same_list(self):
        page = (ROOT / 'doc/source/admin/what-is-kept.rst').read_text()
        self.assertEqual(
            [], [place for place in trusted_places.PLACES if f'``{place}``' not in page]
        )

    @given(
        st.sampled_from(['/usr', '/etc/cron.d', '/etc/systemd', '/root/.ssh', '/lib']),
        st.lists(st.from_regex(r'[a-z]{1,5}', fullmatch=True), max_size=4),
    )
    def test_all_below_a_trusted_place_is_one(self, place, names):
        self.assertTrue(trusted_places.is_trusted(pathlib.Path(place, *names)))

    def test_usual_places_of_customers_are_not_trusted(self):
        for place in (
            '/etc/keys/a',
            '/etc/mysql/x',
            '/etc/letsencrypt/live/db/x.pem',
            '/srv/tmp',
            '/opt/tuning.cnf',
            '/etc/db-init.sql',
            '/data/keys',
            '/etc/ssl/private/x.key',
            '/var/lib/mysql-keyring/keyring',
            '/etc/pki/tls/x.pem',
            '/home/anna/keys/x',
            '/etc/initial/db.sql',
            '/keys',
        ):
            self.assertFalse(trusted_places.is_trusted(pathlib.Path(place)), place)
