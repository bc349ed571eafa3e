# SPDX-License-Identifier: Apache-2.0
"""A root disk that judges by itself what comes to it, whatever the former one has listed."""

import hashlib
import os
import pwd

from hypothesis import given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import (
    client_options,
    code_options,
    configuration_checks,
    option_files,
    option_groups,
)
from trove_upgrade.guestagent.datastores.mysql_family.packages import Packages
from trove_upgrade.tests.unit.guestagent.datastores.test_named_files import SERVER, RootDiskTest


class TestNamed(RootDiskTest):
    def path(self, name):
        return f'{self.root}/{name}'

    def test_what_no_restored_option_names_does_not_come_however_it_was_listed(self):
        self.configure('init_file=/srv/named.sql')
        names = ('srv/named.sql', 'srv/other.sql', 'srv/named.sql.bak', 'etc/keys/pw.key')
        self.assertEqual(
            [self.path('srv/named.sql')], self.admitted([self.path(name) for name in names])
        )

    def test_clients_and_options_that_name_no_file_that_is_needed_bring_nothing(self):
        self.write(
            'etc/mysql/conf.d/1.cnf',
            f'[client]\ntee={self.root}/srv/tee\n[mysqld]\ntmpdir={self.root}/srv/tmp\nlog_error={self.root}/srv/error.log\n',
        )
        names = ('srv/tee', 'srv/tmp/x', 'srv/tmp', 'srv/error.log')
        self.assertEqual([], self.admitted([self.path(name) for name in names]))

    def test_a_directory_that_is_named_brings_all_that_is_in_it(self):
        self.configure('ssl_capath=/srv/ca', '!includedir /srv/more/')
        (self.root / 'srv/more').mkdir(parents=True)
        names = ('srv/ca/one.pem', 'srv/ca/deep/two.pem', 'srv/more/a.cnf', 'srv/ca-other/x')
        self.assertEqual(
            [self.path(name) for name in names[:3]],
            self.admitted([self.path(name) for name in names]),
        )

    def test_an_included_file_that_is_not_there_yet_comes_and_names_the_next(self):
        self.write('opt/one.cnf', f'!include {self.root}/opt/two.cnf\n')
        self.write('opt/two.cnf', f'[mysqld]\ninit_file={self.root}/srv/init.sql\n')
        self.write('srv/init.sql', 'SELECT 1;')
        self.configure('!include /opt/one.cnf')
        self.move()
        self.assertTrue((self.root / 'srv/init.sql').exists())

    def test_a_relative_name_that_leads_out_of_the_data_directory_comes(self):
        self.write('var/lib/keys/ca.pem', 'ca', 0o440, SERVER)
        self.configure('ssl_ca=../../keys/ca.pem')
        self.assert_ok()
        self.move()
        self.assertEqual((SERVER, 0o440), self.look('var/lib/keys/ca.pem'))

    def test_a_relative_name_that_leads_to_a_trusted_place_is_refused(self):
        self.write('etc/cron.d/x', 'x')
        self.configure('init_file=../../../../etc/cron.d/x')
        self.assert_refused('/etc/cron.d/x')


class TestLinks(RootDiskTest):
    def test_a_link_to_what_only_some_may_read_does_not_come(self):
        self.write('etc/shadow', 'secret', 0o640)
        self.configure('ssl_ca=/srv/link', 'ssl_cert=/srv/up')
        links = {
            f'{self.root}/srv/link': f'{self.root}/etc/shadow',
            f'{self.root}/srv/up': '../etc/shadow',
        }
        self.assertEqual([], self.admitted(links, links))

    def test_a_link_to_a_trusted_place_that_is_empty_does_not_come(self):
        self.configure('slow_query_log_file=/x', 'ssl_ca=/srv/link')
        link = f'{self.root}/srv/link'
        self.assertEqual([], self.admitted([link], {link: f'{self.root}/etc/cron.d/new'}))

    def test_a_link_of_the_databases_own_directory_comes_under_the_same_rule(self):
        self.write('etc/shadow', 'secret', 0o600)
        link = f'{self.root}/etc/mysql/conf.d/x.cnf'
        self.assertEqual([], self.admitted([link], {link: '../../shadow'}))
        self.assertEqual([link], self.admitted([link], {link: '../my.cnf'}))

    def test_a_link_to_certificates_of_the_system_comes(self):
        self.write('etc/ssl/certs/ca-certificates.crt', 'all of them')
        self.link('etc/mysql/ca.pem', '../ssl/certs/ca-certificates.crt')
        self.configure('ssl_ca=/etc/mysql/ca.pem')
        self.assert_ok()
        self.move(image={'etc/ssl/certs/ca-certificates.crt': 'of the new image'})
        self.assertEqual('of the new image', (self.root / 'etc/mysql/ca.pem').read_text())


class TestWhatTheCheckPromises(RootDiskTest):
    """Where the check refuses nothing, all that it counts arrives."""

    def assert_all_arrives(self):
        self.assert_ok()
        promised = [path for path in self.preserved().comes_back() if path.is_file()]
        contents = {path: path.read_text() for path in promised}
        self.move()
        self.assertEqual(contents, {path: path.read_text() for path in promised if path.is_file()})
        return {str(path.relative_to(self.root)) for path in promised}

    def private(self, name, mode=0o700):
        (self.root / name).mkdir(parents=True, exist_ok=True)
        os.chown(self.root / name, SERVER, SERVER)
        (self.root / name).chmod(mode)

    def test_links_to_directories_that_not_all_may_read(self):
        for name in ('mnt/tmp', 'etc/dbtls', 'opt/keys', 'srv/log'):
            self.private(name)
        self.write('etc/dbtls/key.pem', 'key', 0o400, SERVER)
        self.write('opt/keys/pw.key', 'password', 0o400, SERVER)
        for name, target in (
            ('srv/tmp', '../mnt/tmp'),
            ('etc/mysql/ssl', '../dbtls'),
            ('etc/db-keys', '../opt/keys'),
            ('var/log/db', f'{self.root}/srv/log'),
        ):
            self.link(name, target)
        self.configure(
            'tmpdir=/srv/tmp',
            'ssl_key=/etc/mysql/ssl/key.pem',
            'file_key_management_filekey=FILE:/etc/db-keys/pw.key',
            'log_error=/var/log/db/error.log',
        )
        self.assertIn('opt/keys/pw.key', self.assert_all_arrives())
        for name in ('srv/tmp', 'etc/mysql/ssl', 'etc/db-keys', 'var/log/db'):
            self.assertTrue((self.root / name).is_dir(), name)
        self.assertEqual((SERVER, 0o700), self.look('mnt/tmp'))

    def test_a_restore_that_was_cut_between_a_link_s_target_and_the_link(self):
        link, target = f'{self.root}/etc/mysql/key.pem', f'{self.root}/srv/keys/db.key'
        self.write('srv/keys/db.key', 'key', 0o640)
        self.configure('ssl_key=/etc/mysql/key.pem')
        self.assertEqual([link], self.admitted([link, target], {link: '../../srv/keys/db.key'}))

    def test_directories_of_option_files_that_are_links(self):
        self.write('opt/conf/x.cnf', '[mysqld]\nport=7\n')
        self.link('etc/mysql/own.d', '../../opt/conf')
        self.configure('!includedir /etc/mysql/own.d/')
        self.assertIn('opt/conf/x.cnf', self.assert_all_arrives())
        found = option_files.read(self.root / 'etc/mysql/my.cnf')
        self.assertEqual('7', found.value('port', ['mysqld']))

    def test_a_link_where_each_image_has_a_directory_is_refused(self):
        self.write('var/lib/dpkg/info/db.list', '/etc/mysql/conf.d\n')
        self.configure('port=7')
        (self.root / 'opt').mkdir()
        (self.root / 'etc/mysql/conf.d').rename(self.root / 'opt/conf')
        self.link('etc/mysql/conf.d', '../../opt/conf')
        self.assert_refused('/etc/mysql/conf.d', 'a directory there')

    def test_stores_of_keys_with_directories_of_their_own(self):
        self.write('etc/okv/okvclient.ora', 'client')
        self.write('etc/okv/ssl/key.pem', 'key', 0o400, SERVER)
        self.link('etc/ca', '../opt/ca')
        self.write('opt/ca/one.pem', 'one')
        self.link('opt/ca/0a1b2c3d.0', 'one.pem')
        self.configure('loose-keyring_okv_conf_dir=/etc/okv', 'ssl_capath=/etc/ca')
        self.assertLessEqual(
            {'etc/okv/ssl/key.pem', 'opt/ca/one.pem', 'opt/ca/0a1b2c3d.0'},
            self.assert_all_arrives(),
        )

    def test_names_with_signs_that_part_values(self):
        names = ['srv/k/db:3306.pem', 'srv/k/a,b.pem', 'srv/k/a;b.pem', 'srv/k/a=b.pem']
        for name in names:
            self.write(name, 'x')
        self.configure(*(f'loose-x{number}=/{name}' for number, name in enumerate(names)))
        self.assertLessEqual(set(names), self.assert_all_arrives())

    def test_keys_with_signs_in_their_names_behind_a_prefix(self):
        names = [
            'etc/keys/db=prod.key',
            'etc/keys/k,1.key',
            'etc/keys/a:b;c.key',
            'srv/a=b/c,d/x.key',
        ]
        for name in names:
            self.write(name, 'secret', 0o400, SERVER)
        self.configure(
            f'file_key_management_filekey=FILE:/{names[0]}',
            f'loose-one=file:/{names[1]}',
            f'loose-two=a=1;key=/{names[2]};b=2',
            f'loose-three=/{names[3]}:/srv',
        )
        self.assertLessEqual(set(names), self.assert_all_arrives())

    def test_options_below_groups_in_another_case_and_in_files_with_a_dot(self):
        self.write('srv/one.sql', 'x')
        self.write('srv/two.sql', 'x')
        self.write('opt/tuning.cnf', '[mysqld]\nport=7\n')
        self.write('etc/mysql/conf.d/1.cnf', f'[MySQLd]\ninit_file={self.root}/srv/one.sql\n')
        self.write(
            'etc/mysql/conf.d/.2.cnf',
            f'[MARIADB]\nloose-init-file={self.root}/srv/two.sql\n! include '
            f'{self.root}/opt/tuning.cnf\n',
        )
        self.assertLessEqual(
            {'srv/one.sql', 'srv/two.sql', 'etc/mysql/conf.d/.2.cnf', 'opt/tuning.cnf'},
            self.assert_all_arrives(),
        )

    def test_settings_that_are_no_option_file_are_not_judged_as_one(self):
        self.write(
            'etc/mysql/vault.conf', 'vault_ca = /usr/local/share/ca-certificates/vault.crt\n'
        )
        self.configure('loose-keyring_vault_config=/etc/mysql/vault.conf')
        self.assertIn('etc/mysql/vault.conf', self.assert_all_arrives())

    def test_a_configuration_of_another_program_beside_certificates(self):
        self.write('etc/mysql/ssl/openssl.cnf', '[CA_default]\ndir = /root/ca\nuser = root\n')
        self.configure('port=7')
        self.assertIn('etc/mysql/ssl/openssl.cnf', self.assert_all_arrives())

    def test_certificates_of_clients_and_of_galera(self):
        self.write('etc/mysql/ssl/ca.pem', 'ca')
        self.write('etc/galera/k.pem', 'key')
        self.write('etc/mysql/ssl/root-ca.pem', 'ca of root')
        self.write('root/.my.cnf', f'[client]\nssl-ca={self.root}/etc/mysql/ssl/root-ca.pem\n')
        self.write(
            'etc/mysql/conf.d/1.cnf',
            f'[client]\nssl-ca={self.root}/etc/mysql/ssl/ca.pem\n[mysqld]\n'
            f'wsrep_provider_options="gcache.size=1G;socket.ssl_key={self.root}/etc/galera/k.pem"\n',
        )
        self.assertLessEqual(
            {'etc/mysql/ssl/ca.pem', 'etc/galera/k.pem', 'etc/mysql/ssl/root-ca.pem'},
            self.assert_all_arrives(),
        )

    def test_a_directory_that_an_audit_log_is_written_to(self):
        self.private('srv/audit')
        self.configure('server_audit_file_path=/srv/audit')
        self.assert_all_arrives()
        self.assertEqual((SERVER, 0o700), self.look('srv/audit'))

    def test_directories_of_option_files_have_their_owner(self):
        self.private('etc/mysql/mine')
        self.write('etc/mysql/mine/x.cnf', '[mysqld]\nport=7\n')
        self.configure('!include /etc/mysql/mine/x.cnf')
        self.assert_all_arrives()
        self.assertEqual((SERVER, 0o700), self.look('etc/mysql/mine'))

    def test_devices_are_each_machine_s_own(self):
        self.configure('init_file=/dev/null')
        self.assert_all_arrives()

    @given(
        st.lists(
            st.sampled_from(['plain', 'link', 'directory', 'through']), min_size=1, max_size=4
        ),
        st.sampled_from(['ssl_ca', 'loose-keys', 'init_file']),
        st.sampled_from([0o700, 0o755]),
    )
    def test_whatever_way_leads_to_a_file(self, steps, option, mode):
        self.new_root()
        here, name = 'srv', 'srv'
        for number, step in enumerate(steps):
            self.private(f'{here}/d{number}', mode)
            if step == 'through':
                self.link(f'{name}/l{number}', f'{self.root}/{here}/d{number}')
                name = f'{name}/l{number}'
            else:
                name = f'{name}/d{number}' if step != 'link' else name
            here = f'{here}/d{number}' if step != 'link' else here
        self.write(f'{here}/file', 'content', 0o400, SERVER)
        if steps[-1] == 'link':
            self.link(f'{here}/last', 'file')
        last = 'last' if steps[-1] == 'link' else 'file'
        self.configure(f'{option}=/{name}/{last}')
        self.assertTrue((self.root / name / last).is_file(), (steps, name))
        self.assert_all_arrives()
        self.assertEqual('content', (self.root / name / last).read_text())


class TestCode(RootDiskTest):
    def options(self, text):
        self.write('etc/mysql/conf.d/99-own.cnf', text.replace('@', str(self.root)))

    def assert_not_let_in(self, text, *words):
        """Neither by the first check, nor by the new root disk when an intruder has left the first
        out.
        """
        self.options(text)
        self.assert_refused(*words)
        self.new_root()
        refusal = self.assertRaises(
            exceptions.StepFailed,
            self.admitted,
            [f'{self.root}/etc/mysql/conf.d/99-own.cnf'],
            content=text.replace('@', str(self.root)).encode(),
        )
        self.assertEqual('FILE_NOT_KEPT', refusal.code)
        for word in words:
            self.assertIn(word, refusal.message)

    def test_libraries_and_programs_that_clients_or_start_scripts_of_root_would_load_are_refused(
        self,
    ):
        for text, word in (
            ('[client]\nplugin-dir=@/var/lib/mysql/p\n', 'plugin-dir'),
            ('[mysqldump]\nplugin_dir = @/srv/p\n', 'plugin-dir'),
            ('[mysqld_safe]\nledir=@/srv/p\n', 'ledir'),
            ('[mysqld_safe]\nmalloc-lib=@/srv/p/x.so\n', 'malloc-lib'),
            ('[mysqld_multi]\nmysqld=@/srv/p/x\n', 'mysqld'),
            ('[mysqld]\nwsrep_notify_cmd=@/srv/p/x\n', 'wsrep-notify-cmd'),
            ('[mysql]\npager=sh -c id\n', 'pager'),
            ('[mysql]\npager=less; id\n', 'pager'),
            ('[mysql]\ntee=@/etc/cron.d/x\n', 'tee'),
            ('[mysqldump]\nresult-file=@/root/.profile\n', 'result-file'),
            ('[mysqld_safe]\nlog-error=@/etc/ld.so.preload\n', 'log-error'),
            ('[client]\nplugin-di=@/srv/p\n', 'plugin-di'),
            ('[mysqldump]\nplugin_d=@/srv/p\n', 'plugin-d'),
            ('[mysql]\npage=sh -c id\n', 'page'),
            ('[client]\nplugin-dir=../../srv/p\n', 'plugin-dir'),
            ('[client]\nplugin-dir=none\n', 'plugin-dir'),
            ('[mysqldump]\nplugin-d=0\n', 'plugin-d'),
            ('[client]\nplugin-dir=p\n', 'plugin-dir'),
            ('[mysqld]\nwsrep_provider=../evil.so\n', 'wsrep-provider'),
            ('[mysqld]\nwsrep_notify_cmd=sh @/srv/p/x\n', 'wsrep-notify-cmd'),
            ('[mysqld]\nwsrep_notify_cmd=/usr/bin/sh /srv/p/x\n', 'wsrep-notify-cmd'),
            ('[mariadbd-safe]\ncrash-script=@/srv/p/x\n', 'crash-script'),
            ('[mysqlslap]\npre-system=id\n', 'pre-system'),
        ):
            self.new_root()
            self.write('srv/p/x', 'x')
            self.assert_not_let_in(text, word)

    def test_what_runs_loads_or_writes_in_any_group_is_refused(self):
        for text, word in (
            ('[mysql]\nexecute=system id\n', 'execute'),
            ('[mysql]\nexec=system id\n', 'exec'),
            ('[mysql]\nloose_execute=\\\\! id\n', 'loose-execute'),
            ('[client]\nloose-init-command=source /srv/x\n', 'loose-init-command'),
            ('[mysql]\ninit-command=SET x=1; system id\n', 'init-command'),
            ('[client-server]\nloose-pager=sh -c id\n', 'loose-pager'),
            ('[client-server]\nloose-tee=x\n', 'loose-tee'),
            ('[client-server]\nloose-exec=system id\n', 'loose-exec'),
            ('[mysql]\ntee=etc/profile.d/x.sh\n', 'tee'),
            ('[mysql]\npager=less -kkeys\n', 'pager'),
            ('[mysql]\npager=less -olog\n', 'pager'),
            ('[mysql]\nlocal-infile=1\n[client]\nhost=db.example\n', 'local-infile'),
            ('[mysql]\nlocal-infile\nhost=10.0.0.9\n', 'local-infile'),
            (
                '[client-server]\nloose-host=db.example\n[mysql]\nskip-local-infile=0\n',
                'skip-local-infile',
            ),
            ('[mysql]\ndisable-named-commands=0\n', 'disable-named-commands'),
            ('[mysqld]\nloose-x --ledir=/srv/p\n', 'loose-x'),
            ('[mysqlbinlog]\nlocal=/srv/x\n', 'local'),
            ('[mysql]\nskip_plugin-dir\n', 'skip-plugin-dir'),
            ('[client]\nloose-disable-plugin-dir=1\n', 'loose-disable-plugin-dir'),
            ('[mysqldump]\nenable-plugin-di\n', 'enable-plugin-di'),
            ('[mysqld]\nskip-plugin-dir\n', 'skip-plugin-dir'),
            ('[mysqldump]\nlog-error=profile\n', 'log-error'),
            ('[mysqldump]\ntab=.\n', 'tab'),
            ('[mysqldump]\nresult-file=x\n', 'result-file'),
            ('[client]\ndefault-auth=../x\n', 'default-auth'),
            ('[client_prod]\nexecute=system id\n', 'execute'),
            ('[XtraBackup]\nxtrabackup-plugin-dir=@/srv/p\n', 'xtrabackup-plugin-dir'),
            ('[mariabackup]\ntarget-dir=@/etc/cron.d\n', 'target-dir'),
            ('[mysqld]\nloose-xtrabackup-plugin-dir=@/srv/p\n', 'loose-xtrabackup-plugin-dir'),
            ('[mysqld]\nloose-target-dir=@/etc/cron.d\n', 'loose-target-dir'),
            ('[sst]\nprogress=id\n', 'progress'),
            ('[mysqld_safe]\nmysqld-version=../../srv/p/x\n', 'mysqld-version'),
            ('[mysqld]\nwsrep_sst_method=../../srv/p/x\n', 'wsrep-sst-method'),
            ('[mysqld]\ninit_connect="SET x --ledir=/srv/p"\n', 'init-connect'),
            ('[mysqld]\ninit_connect=x\\n--ledir=/srv/p\n', 'init-connect'),
            ('[mysqld_safe]\npid-file=@/etc/cron.d/x\n', 'pid-file'),
            ('[mysqld_safe]\npid-file=//etc/cron.d/x\n', 'pid-file'),
            ('[client]\nssl-ca=//root/x\n', 'ssl-ca'),
            ('[mysqld_safe]\nlog-error=../../../../etc/cron.d/x\n', 'log-error'),
            ('[mysqld]\nloose-socket=@/etc/systemd/system/x.service.d/x\n', 'loose-socket'),
            ('[mysqld_safe]\nsocket=@/run/systemd/system/x.service.d/x.sock\n', 'socket'),
            ('[mysqld_prod]\nmax_connections=7\n', 'max-connections'),
        ):
            self.new_root()
            self.write('srv/p/x', 'x')
            self.assert_not_let_in(text, word)

    def test_groups_in_any_case_are_judged_as_those_of_servers_and_start_scripts(self):
        for text in (
            '[MYSQLD_SAFE]\nuser=root\n',
            '[MySQLd]\nuser=root\n',
            '[Mariadb-10.11 ]\nuser=0\n',
            '[Client-Server]\nuser=root\n',
        ):
            self.new_root()
            self.assert_not_let_in(text, 'user')

    def test_names_that_begin_with_a_dot_are_option_files(self):
        for name in ('.cnf', '.x.cnf', '..cnf'):
            refusal = self.assertRaises(
                exceptions.StepFailed,
                self.admitted,
                [f'{self.root}/etc/mysql/conf.d/{name}'],
                content=b'[mysql]\npager=sh -c id\n',
            )
            self.assertIn('pager', refusal.message)

    def test_a_link_under_such_a_name_to_the_volume_is_refused_when_all_has_come(self):
        target = self.write('var/lib/mysql/data/evil.cnf', '[client]\nport=1\n', owner=SERVER)
        for name in ('.cnf', '.e.cnf'):
            self.new_root()
            self.write('var/lib/mysql/data/evil.cnf', '[client]\nport=1\n', owner=SERVER)
            self.link(f'etc/mysql/conf.d/{name}', str(target))
            self.assertEqual('refused', self.admission(()).judge(self.configuration()).outcome)

    def test_an_option_file_that_programs_read_in_different_ways_is_not_let_in(self):
        self.write('var/lib/mysql/data/evil.cnf', '[client]\nplugin-dir=/srv\n', owner=SERVER)
        for line, word in (
            ('!include evil.cnf\n', 'working directory'),
            ('! includedir .\n', 'working directory'),
            ('!include ~/evil.cnf\n', 'working directory'),
            ('!include @/etc/mysql/../evil.cnf\n', 'different places'),
            ('!include @/var/lib/mysql/data/evil.cnfX', 'no newline'),
            ('!include @/var/lib/mysql/data/evil.cnf#X\n', 'comment'),
            ('!include @/var/lib/mysql/data/evil.cnfX\0\n', 'NUL'),
            ('x=1\n[mysqld]\n', 'first group'),
            ('[mysqld\n', 'without ]'),
        ):
            text = line.replace('@', str(self.root))
            self.options(text)
            found = configuration_checks.check_read(self.configuration())
            self.assertEqual('CONFIGURATION_NOT_READ', found.code)
            self.assertIn(word, found.message)
            judged = self.admission(()).judge(self.configuration())
            self.assertEqual('CONFIGURATION_NOT_READ', judged.code)
            refusal = self.assertRaises(
                exceptions.StepFailed,
                self.admitted,
                [f'{self.root}/etc/mysql/conf.d/99-own.cnf'],
                content=text.encode(),
            )
            self.assertIn(word, refusal.message)

    def test_a_directive_with_white_space_leads_where_it_leads_the_programs(self):
        evil = self.write('var/lib/mysql/data/evil.cnf', '[client]\nport=1\n', owner=SERVER)
        self.options(f'! \t include  {evil}\n')
        self.assert_refused('evil.cnf', 'on the volume')
        self.assertEqual('FILE_NOT_KEPT', self.admission(()).judge(self.configuration()).code)

    def test_two_slashes_lead_to_the_volume_as_one_does(self):
        evil = self.write('var/lib/mysql/data/evil.cnf', '[client]\nport=1\n', owner=SERVER)
        self.options(f'!include /{evil}\n')
        self.assert_refused('evil.cnf', 'on the volume')

    def test_options_of_the_image_itself_are_not_held_against_the_upgrade(self):
        self.write('etc/mysql/conf.d/image.cnf', '[xtrabackup]\ntarget-dir=/srv/backups\n')
        self.assertEqual('ok', self.admission(()).judge(self.configuration()).outcome)
        came = f'{self.root}/etc/mysql/conf.d/image.cnf'
        self.assertEqual('refused', self.admission([came]).judge(self.configuration()).outcome)
        self.link('etc/mysql/conf.d/way.cnf', 'image.cnf')
        way = f'{self.root}/etc/mysql/conf.d/way.cnf'
        self.assertEqual('ok', self.admission([way]).judge(self.configuration()).outcome)

    def test_a_file_as_its_package_shipped_it_is_not_held_against_the_upgrade(self):
        content = '[xtrabackup]\ntarget-dir=/srv/backups\n'
        path = self.write('etc/mysql/conf.d/xtrabackup.cnf', content)
        self.assert_refused('target-dir')
        checksum = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
        self.write(
            'var/lib/dpkg/status',
            f'Package: x\nConffiles:\n /{path.relative_to(self.root)} {checksum}\n',
        )
        self.assert_ok()

    def test_another_user_for_the_server_is_refused(self):
        for text in (
            '[mysqld]\nuser=root\n',
            '[mysqld_safe]\nuser=0\n',
            '[mariadb]\nuser = daemon\n',
            '[mysqld1]\nuser=root\n',
            '[mysqld_prod]\nuser=root\n',
            '[Mysqld-prod]\nuser=root\n',
            '[server.1]\nuser=root\n',
        ):
            self.new_root()
            self.assert_not_let_in(text, 'user')

    def test_a_client_file_of_root_is_looked_at_too(self):
        self.write('root/.my.cnf', f'[client]\nplugin-dir={self.root}/srv/p\n')
        self.assert_refused('/root/.my.cnf', 'plugin-dir')

    def test_option_files_that_no_judgement_holds_for_are_refused_by_both_sides(self):
        outside = self.write('var/lib/mysql/e.cnf', '[client]\nport=1\n')
        self.options(f'!include {outside}\n')
        self.assert_refused('/e.cnf', 'on the volume')
        self.assertEqual('refused', self.admission(()).judge(self.configuration()).outcome)

    def test_a_client_file_that_is_a_link_or_includes_others_is_refused_by_both_sides(self):
        self.options('[mysqld]\nport=1\n')
        self.write('root/.my.cnf', f'[client]\nuser=root\n!include {self.root}/srv/x.cnf\n')
        self.assert_refused('/root/.my.cnf', 'includes')
        self.assertEqual('refused', self.admission(()).judge(self.configuration()).outcome)
        (self.root / 'root/.my.cnf').unlink()
        self.link('root/.my.cnf', '../var/lib/mysql/e.cnf')
        self.assert_refused('/root/.my.cnf', 'a link')
        client = f'{self.root}/root/.my.cnf'
        self.assertEqual([], self.admitted([client], {client: '../var/lib/mysql/e.cnf'}))

    def test_an_option_file_that_is_too_long_to_be_judged_is_not_let_in(self):
        content = b'#' * (256 << 10) + b'\n[client]\nplugin-dir=/srv/p\n'
        refusal = self.assertRaises(
            exceptions.StepFailed,
            self.admitted,
            [f'{self.root}/etc/mysql/conf.d/99.cnf'],
            content=content,
        )
        self.assertIn('99.cnf', refusal.message)

    def test_passwords_are_not_shown(self):
        self.options('[client]\npassword=/.S3cret\n[mysqldump]\npassword=/etc/cron.d/x\n')
        self.assert_ok()

    def test_the_server_s_user_may_stand_there_by_number(self):
        self.options(f'[mysqld]\nuser={pwd.getpwnam("daemon").pw_uid}\n')
        self.assert_refused('user')
        found = code_options.refused(
            self.configuration().options,
            Packages(self.root),
            self.root,
            'daemon',
            option_groups.MARIADB,
        )
        self.assertEqual([], found)

    def test_usual_settings_of_clients_and_start_scripts_pass(self):
        self.options(
            '[client]\nport=3306\nsocket=/run/mysqld/mysqld.sock\nuser=anna\nssl-ca=/etc/ssl/certs/ca-certificates.crt\n'
            '[mysqld_safe]\npid-file=/run/mysqld/x.pid\nlog-error=/var/run/mysqld/error.log\nnice=0\nmalloc-lib=tcmalloc\nuser=mysql\n'
            '[mysql]\npager=less -SFX\nprompt=\\u@\\h '
            '\\d>\n[mysqld]\nuser=mysql\nbasedir=/usr\nplugin-dir=/usr/lib/mysql/plugin\n'
            '[mysqldump]\nquick\ncharacter-sets-dir=/usr/share/mysql/charsets\n'
            '[client-server]\nsocket=/run/mysqld/mysqld.sock\nport=3306\nssl-ca=/etc/mysql/ca.pem\n'
        )
        self.assert_ok()

    def test_option_files_of_debian_and_of_trove_pass(self):
        self.options(
            '[client]\nport = 3306\nsocket = /var/run/mysqld/mysqld.sock\nhost = '
            'localhost\npassword = x\n'
            '[mysqld_safe]\npid-file = /var/run/mysqld/mysqld.pid\nsocket = '
            '/var/run/mysqld/mysqld.sock\nnice = 0\nskip_log_error\nsyslog\n'
            '[mysqld]\nport = 3306\nbasedir = /usr\ndatadir = /var/lib/mysql/data\ntmpdir = '
            '/var/tmp\npid_file = /var/run/mysqld/mysqld.pid\n'
            'socket = /var/run/mysqld/mysqld.sock\nlog_error = '
            '/var/log/mysql/error.log\nmyisam-recover-options = BACKUP,FORCE\n'
            '[mysqldump]\nquick = 1\nquote-names\nmax_allowed_packet\t= '
            '16M\nsingle-transaction\nroutines\nskip-comments\n'
            '[isamchk]\nkey_buffer = 16M\n[embedded]\n[mariadb-client]\n[mariadb-10.11]\n'
            '[mysql_upgrade]\nhost = localhost\nuser = root\nbasedir = /usr\n'
            '[mysql]\nno-auto-rehash\ndefault-character-set = utf8mb4\nskip-column-names\nprompt '
            '= "\\\\u> "\ninit-command = "SET NAMES utf8mb4"\n'
            '[client-mariadb]\nssl-verify-server-cert\nloose-local-infile = '
            '0\nskip-ssl\nskip-local-infile\n'
            '[mysql]\nlocal-infile = 1\nhost = localhost\n[mysqlimport]\nlocal-infile\n'
            '[mysqld1]\nport = 3307\n[mysqlhotcopy]\ninteractive-timeout\n'
            '[mariadb-client]\nuser = anna\n[server]\nlog_error = /dev/stderr\n[mysqld]\npid-file '
            '= /run/my-sql/x.pid\n'
        )
        self.assert_ok()

    def test_no_beginning_of_a_dangerous_name_is_on_the_list_of_clients(self):
        dangerous = (
            'commands',
            'debug',
            'default-auth',
            'dir',
            'execute',
            'init-command',
            'local-load',
            'log-error',
            'named-commands',
            'oci-config-file',
            'post-query',
            'post-system',
            'pre-query',
            'pre-system',
            'query',
            'result-file',
            'server-arg',
            'system-command',
            'tab',
            'target-dir',
            'tee',
            'telemetry-client',
            'tmpdir',
            'extra-lsndir',
            'load-data-local-dir',
            'raw',
            'crash-script',
        )
        beginnings = {name[:length] for name in dangerous for length in range(1, len(name) + 1)}
        options = [
            option_files.Option(
                group='client', name=f'{prefix}{name}', value='/srv/x', path=self.root, line=1
            )
            for name in beginnings
            for prefix in ('', 'loose-', 'enable-', 'loose-maximum-')
        ]
        refused = client_options.refused(options, option_groups.MARIADB)
        self.assertEqual(len(options), len(refused))


class TestLeftAlone(RootDiskTest):
    def test_a_file_of_the_image_with_another_content_is_told(self):
        self.write('srv/init.sql', 'of the old one')
        self.write('srv/same.sql', 'the same')
        self.configure('init_file=/srv/init.sql', 'loose-init-two=/srv/same.sql')
        remarks = self.move(image={'srv/init.sql': 'of the new one', 'srv/same.sql': 'the same'})
        self.assertEqual(1, len(remarks), remarks)
        self.assertIn('/srv/init.sql', remarks[0])
        self.assertEqual('of the new one', (self.root / 'srv/init.sql').read_text())


class TestMadeAnew(RootDiskTest):
    def test_a_log_whose_directory_is_root_s_is_made_anew_empty_with_its_owner(self):
        self.write('var/log/own.err', 'words', 0o640, SERVER)
        self.configure('log_error=/var/log/own.err', 'slow_query_log_file=/var/log/none.log')
        self.assert_ok()
        self.move()
        self.assertEqual((SERVER, 0o640), self.look('var/log/own.err'))
        self.assertEqual('', (self.root / 'var/log/own.err').read_text())
        self.assertFalse((self.root / 'var/log/none.log').exists())

    def test_a_log_in_a_trusted_place_is_refused_and_not_made(self):
        self.write('etc/cron.d/own', 'words', 0o640, SERVER)
        self.configure('log_error=/etc/cron.d/own')
        self.assert_refused('/etc/cron.d/own')
        copy = self.context.run / 'to-make' / self.root.relative_to('/') / 'etc/cron.d/job'
        copy.parent.mkdir(parents=True)
        copy.write_text('* * * * * root id')
        self.make()
        self.assertFalse((self.root / 'etc/cron.d/job').exists())

    def test_a_directory_of_a_moment_below_tmp_is_made_anew(self):
        for name in ('tmp/db', 'var/tmp/db'):
            (self.root / name).mkdir(parents=True)
            os.chown(self.root / name, SERVER, SERVER)
        self.configure('tmpdir=/tmp/db:/var/tmp/db')
        self.assert_ok()
        self.move()
        self.assertEqual([SERVER] * 2, [self.look(name)[0] for name in ('tmp/db', 'var/tmp/db')])

    def test_what_no_option_names_is_not_made_however_it_was_listed(self):
        copies = self.context.run / 'to-make' / self.root.relative_to('/')
        for name in ('etc/db-new', 'srv/fine', 'srv/other'):
            (copies / name).mkdir(parents=True)
        (copies / 'etc/rsyncd.conf').touch()
        self.configure('tmpdir=/srv/fine')
        self.admission(()).make(self.configuration(), ())
        self.assertTrue((self.root / 'srv/fine').is_dir())
        for name in ('etc/db-new', 'srv/other', 'etc/rsyncd.conf'):
            self.assertFalse((self.root / name).exists(), name)

    def test_a_directory_that_all_may_write_to_is_sticky(self):
        copy = self.context.run / 'to-make' / str(self.root / 'srv/tmp').lstrip('/')
        copy.mkdir(parents=True)
        copy.chmod(0o2777)
        (self.root / 'srv').mkdir()
        self.make()
        self.assertEqual((0, 0o1777), self.look('srv/tmp'))

    def test_what_a_cut_has_left_is_made_whole(self):
        copy = self.context.run / 'to-make' / self.root.relative_to('/') / 'srv/tmp'
        copy.mkdir(parents=True)
        os.chown(copy, SERVER, SERVER)
        (self.root / 'srv/.trove-upgrade-made').mkdir(parents=True)
        self.configure('tmpdir=/srv/tmp')
        self.admission(()).make(self.configuration(), ())
        self.assertEqual(SERVER, self.look('srv/tmp')[0])
        self.assertEqual(['tmp'], [path.name for path in (self.root / 'srv').iterdir()])


class TestPlacesOfPrograms(RootDiskTest):
    def test_files_of_programs_that_are_there_or_come_later_are_refused(self):
        self.write('var/lib/dpkg/info/app.list', '/etc/app\n/var/lib/app\n')
        for name in (
            'etc/rsyncd.conf',
            'etc/tmux.conf',
            'etc/hgrc',
            'etc/app/x.conf',
            'var/lib/app/x',
            'etc/fail2ban/x',
            'root/x',
            'home/anna/bin/x',
            'var/backups/x',
        ):
            self.new_root()
            self.write('var/lib/dpkg/info/app.list', '/etc/app\n/var/lib/app\n')
            self.write(name, 'x')
            self.configure(f'init_file=/{name}')
            self.assert_refused(f'/{name} ')
            (self.root / name).unlink()
            self.assertEqual([], self.admitted([f'{self.root}/{name}']))

    def test_directories_of_customers_are_open(self):
        for name in (
            'etc/keys/x',
            'etc/custom/x',
            'etc/letsencrypt/live/x',
            'etc/mysql-tls/x',
            'var/lib/db-keys/x',
            'srv/x',
            'opt/x/y',
            'home/anna/x',
        ):
            self.write(name, 'x')
            self.configure(f'init_file=/{name}')
            self.assert_ok()


class TestCertificatesOfTheSystem(RootDiskTest):
    def setUp(self):
        super().setUp()
        self.write('var/lib/dpkg/info/ca.list', '/etc/ssl/certs\n')
        self.write('usr/share/ca-certificates/one.crt', 'one')
        self.write('etc/ssl/certs/ca-certificates.crt', 'all')
        self.link('etc/ssl/certs/one.pem', f'{self.root}/usr/share/ca-certificates/one.crt')
        self.link('etc/ssl/certs/0a1b2c3d.0', 'one.pem')

    def test_those_that_each_image_has_are_the_image_s(self):
        self.configure('ssl_capath=/etc/ssl/certs', 'ssl_ca=/etc/ssl/certs/ca-certificates.crt')
        self.assert_ok()

    def test_one_that_was_added_by_hand_is_refused_by_name(self):
        self.write('etc/ssl/certs/own.pem', 'own')
        self.link('etc/ssl/certs/11111111.0', 'own.pem')
        self.configure('ssl_capath=/etc/ssl/certs')
        self.assert_refused('/etc/ssl/certs/own.pem')

    def test_one_that_was_added_for_all_programs_is_refused_by_name(self):
        self.write('usr/local/share/ca-certificates/own.crt', 'own')
        self.link('etc/ssl/certs/own.pem', f'{self.root}/usr/local/share/ca-certificates/own.crt')
        self.configure('ssl_capath=/etc/ssl/certs')
        self.assert_refused('/usr/local/share/ca-certificates/own.crt')


class TestHandMade(RootDiskTest):
    """An intruder has written the list, the contents and the configuration that names each of
    them.
    """

    HOSTILE = (
        'etc/cron.d/evil',
        'etc/cron.d/db-keys/evil',
        'etc/cron.daily/mysql',
        'etc/crontab',
        'etc/systemd/system/mysql.service',
        'etc/systemd/system/mariadb.service.d/keys.conf',
        'etc/ld.so.preload',
        'etc/ld.so.conf.d/mysql.conf',
        'etc/profile.d/mysql.sh',
        'etc/sudoers.d/mysql',
        'etc/pam.d/mysql',
        'etc/udev/rules.d/1.rules',
        'etc/init.d/mysql',
        'etc/default/mysql',
        'etc/logrotate.d/mysql-server',
        'etc/apparmor.d/local/usr.sbin.mysqld',
        'etc/trove/conf.d/trove-guestagent.conf',
        'etc/trove-upgrade/volume-uuid',
        'etc/ssh/sshd_config.d/mysql.conf',
        'etc/percona-toolkit/percona-toolkit.conf',
        'etc/incron.d/mysql',
        'etc/chef/client.rb',
        'etc/fluent-bit/db.conf',
        'etc/mysql/debian-start',
        'etc/mysql/debian-start.d/x',
        'etc/mysql/debian.cnf',
        'etc/mysql/mysqlsh/mysqlshrc.py',
        'etc/mysql/keys/mysqlshrc.js',
        'etc/mysql/auth_evil.so',
        'etc/mysql/auth_evil.so.1',
        'root/.ssh/authorized_keys',
        'root/.bashrc',
        'home/db/.ssh/authorized_keys',
        'usr/local/bin/mysql',
        'usr/lib/mysql/plugin/x.so',
        'var/spool/cron/crontabs/root',
        'var/lib/cloud/scripts/per-boot/mysql.sh',
        'var/lib/trove-upgrade/restored',
        'opt/puppetlabs/puppet/mysql.conf',
        'run/trove-upgrade/database-args',
        'vmlinuz',
        'initrd.img-6.1',
    )

    def list_and_name(self, *paths):
        for number, path in enumerate(paths):
            self.write(
                f'etc/mysql/conf.d/{number:03}.cnf',
                f'[mysqld]\ninit_file={path}\nssl_capath={path}\n!include {path}\n',
            )
        return self.admitted(paths)

    def test_no_place_that_the_system_reads_or_runs_gets_a_file(self):
        for name in self.HOSTILE:
            with self.subTest(name=name):
                self.assertEqual([], self.list_and_name(f'{self.root}/{name}'))

    def test_neither_does_one_that_is_written_in_another_way(self):
        for name in (
            '/etc/mysql/../cron.d/x',
            '//etc/cron.d/x',
            '/etc//cron.d/x',
            '/./etc/cron.d/x',
            '/etc/mysql/conf.d/../../cron.d/x.cnf',
            '/etc/cron.d/x\n',
            '/etc/cron.d/\nx.cnf',
            '/etc/cron.d/mysql\t',
            '/etc/cron.d/\x1b[2Jmysql',
            '/etc/cron.d/\u202emysql',
            '/etc/cron.d/.cnf',
        ):
            with self.subTest(name=repr(name)):
                self.assertEqual([], self.list_and_name(f'{self.root}{name}'))

    def test_neither_does_one_behind_a_link_that_the_new_disk_has(self):
        self.write('etc/cron.d/there')
        self.link('etc/mysql/linked', '../cron.d')
        self.link('srv/keys', f'{self.root}/etc/cron.d')
        self.link('etc/mysql/around', '../../srv/keys')
        names = (
            'etc/mysql/linked/x.cnf',
            'etc/mysql/around/x.cnf',
            'srv/keys/mysql.key',
            'srv/keys/x',
        )
        self.assertEqual([], self.list_and_name(*(f'{self.root}/{name}' for name in names)))

    def test_below_the_database_s_directory_comes_what_the_server_reads_or_names_alone(self):
        names = [
            f'{self.root}/etc/mysql/{name}'
            for name in ('a.cnf', 'run.sh', 'deep/run.py', 'init.sql', 'named.sql')
        ]
        self.configure('init_file=/etc/mysql/named.sql')
        self.assertEqual([names[0], names[-1]], self.admitted(names))

    @settings(max_examples=40, deadline=None)
    @given(
        place=st.sampled_from(
            (
                'etc/cron.d',
                'etc/systemd/system',
                'etc/profile.d',
                'usr/bin',
                'root',
                'var/spool/cron',
                'lib/systemd',
            )
        ),
        name=st.text(
            st.characters(blacklist_characters='/\0', blacklist_categories=('Cs',)),
            min_size=1,
            max_size=20,
        ).filter(lambda text: text not in {'.', '..'}),
        ending=st.sampled_from(('', '.cnf', '.pem', '\n', '.mysql')),
    )
    def test_no_name_in_such_a_place_is_let_in(self, place, name, ending):
        self.assertEqual([], self.list_and_name(f'{self.root}/{place}/{name}{ending}'))
