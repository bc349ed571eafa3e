# SPDX-License-Identifier: Apache-2.0
"""A root disk that judges by itself what comes to it, whatever the former one has listed."""

import os

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import admitted
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
            f'[client]\nssl-ca={self.root}/srv/ca.pem\n[mysqld]\ntmpdir={self.root}/srv/tmp\nlog_error={self.root}/srv/error.log\n',
        )
        names = ('srv/ca.pem', 'srv/tmp/x', 'srv/tmp', 'srv/error.log')
        self.assertEqual([], self.admitted([self.path(name) for name in names]))

    def test_a_directory_that_is_named_brings_what_is_in_it_and_no_deeper(self):
        self.configure('ssl_capath=/srv/ca', '!includedir /srv/more/')
        (self.root / 'srv/more').mkdir(parents=True)
        names = ('srv/ca/one.pem', 'srv/ca/deep/two.pem', 'srv/more/a.cnf', 'srv/ca-other/x')
        self.assertEqual(
            [self.path('srv/ca/one.pem'), self.path('srv/more/a.cnf')],
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


class TestCode(RootDiskTest):
    def options(self, text):
        self.write('etc/mysql/conf.d/99-own.cnf', text.replace('@', str(self.root)))

    def assert_not_let_in(self, text, *words):
        """Neither by the first check, nor by the new root disk when an intruder has left the first out."""
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
        ):
            self.new_root()
            self.write('srv/p/x', 'x')
            self.assert_not_let_in(text, word)

    def test_another_user_for_the_server_is_refused(self):
        for text in (
            '[mysqld]\nuser=root\n',
            '[mysqld_safe]\nuser=0\n',
            '[mariadb]\nuser = daemon\n',
        ):
            self.new_root()
            self.assert_not_let_in(text, 'user')

    def test_a_client_file_of_root_is_looked_at_too(self):
        self.write('root/.my.cnf', f'[client]\nplugin-dir={self.root}/srv/p\n')
        self.assert_refused('/root/.my.cnf', 'plugin-dir')

    def test_usual_settings_of_clients_and_start_scripts_pass(self):
        self.options(
            '[client]\nport=3306\nsocket=/run/mysqld/mysqld.sock\nuser=anna\nssl-ca=/etc/ssl/certs/ca-certificates.crt\n'
            '[mysqld_safe]\npid-file=/run/mysqld/x.pid\nlog-error=/var/run/mysqld/error.log\nnice=0\nmalloc-lib=tcmalloc\nuser=mysql\n'
            '[mysql]\npager=less -SFX\nprompt=\\u@\\h \\d>\n[mysqld]\nuser=mysql\nbasedir=/usr\nplugin-dir=/usr/lib/mysql/plugin\n'
            '[mysqldump]\nquick\ncharacter-sets-dir=/usr/share/mysql/charsets\n'
        )
        self.assert_ok()


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
        admitted.make(self.context)
        self.assertFalse((self.root / 'etc/cron.d/job').exists())

    def test_a_directory_of_a_moment_below_tmp_is_made_anew(self):
        for name in ('tmp/db', 'var/tmp/db'):
            (self.root / name).mkdir(parents=True)
            os.chown(self.root / name, SERVER, SERVER)
        self.configure('tmpdir=/tmp/db:/var/tmp/db')
        self.assert_ok()
        self.move()
        self.assertEqual([SERVER] * 2, [self.look(name)[0] for name in ('tmp/db', 'var/tmp/db')])


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
