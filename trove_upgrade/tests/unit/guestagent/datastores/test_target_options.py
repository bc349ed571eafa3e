# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures

from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import configuration_checks, option_files
from trove_upgrade.guestagent.datastores.mysql_family.target_options import TargetOptions, Verdict
from trove_upgrade.tests.unit import base

FACTS = {
    'server_version': '11.8.6',
    'options': ['max_connections', 'log_bin', 'skip_name_resolve', 'innodb_buffer_pool_size'],
    'option_groups': ['mysqld', 'mariadb', 'mariadb-11.8'],
}


def option(name, group='mysqld', value='1'):
    return option_files.Option(
        group=group,
        name=option_files.canonical(name),
        value=value,
        path=pathlib.Path('/etc/mysql/conf.d/x.cnf'),
        line=3,
    )


class TestVerdicts(base.TestCase):
    def judge(self, name, target=FACTS, modules=()):
        return TargetOptions('mariadb', TargetFacts.from_wire(target), modules).judge(option(name))

    def test_known_by_any_spelling(self):
        for name in (
            'max_connections',
            'max-connections',
            'skip-log-bin',
            'skip-name-resolve',
            'loose-max-connections',
            'maximum-max-connections',
        ):
            self.assertIs(Verdict.KNOWN, self.judge(name), name)

    def test_the_beginning_of_one_name_is_that_name(self):
        self.assertIs(Verdict.KNOWN, self.judge('innodb_buffer_pool'))

    def test_unknown_is_refused_but_not_where_it_is_loose(self):
        self.assertIs(Verdict.REFUSED, self.judge('max_tmp_tables'))
        self.assertIs(Verdict.IGNORED, self.judge('loose-max_tmp_tables'))

    def test_an_old_option_that_many_files_have_stops_no_upgrade(self):
        for name in (
            'innodb_buffer_pool_instances',
            'innodb_thread_concurrency',
            'innodb_log_files_in_group',
            'innodb_page_cleaners',
            'innodb_defragment_n_pages',
            'innodb_defragment_fill_factor',
        ):
            self.assertIs(Verdict.IGNORED, self.judge(name), name)

    def test_what_the_server_only_warns_of_is_ignored_although_its_list_lacks_it(self):
        self.assertIs(Verdict.IGNORED, self.judge('innodb_change_buffering'))

    def test_options_of_a_plugin_that_is_loaded_are_the_plugin_s(self):
        self.assertIs(Verdict.REFUSED, self.judge('server_audit_logging'))
        self.assertIs(Verdict.KNOWN, self.judge('server_audit_logging', modules=('server_audit',)))

    def test_options_of_a_library_are_those_that_the_image_has_recorded(self):
        facts = {
            **FACTS,
            'plugin_options': {
                'ha_rocksdb': ['rocksdb_block_cache_size'],
                'auth_pam': ['pam_use_cleartext_plugin'],
            },
        }
        for name, module in (
            ('rocksdb_block_cache_size', 'ha_rocksdb'),
            ('pam-use-cleartext-plugin', 'auth_pam'),
            ('loose-pam-use-cleartext-plugin', 'auth_pam'),
        ):
            self.assertIs(Verdict.KNOWN, self.judge(name, facts, (module,)), name)
        self.assertIs(Verdict.REFUSED, self.judge('rocksdb_block_cache_size', facts, ('auth_pam',)))
        self.assertIs(Verdict.REFUSED, self.judge('rocksdb_gone_since', facts, ('ha_rocksdb',)))

    def test_where_they_are_not_recorded_nothing_is_refused(self):
        self.assertIs(
            Verdict.OF_A_PLUGIN, self.judge('rocksdb_block_cache_size', FACTS, ('ha_rocksdb',))
        )
        found = configuration_checks.check_options(
            [option('rpl_semi_sync_master_enabled')],
            TargetOptions('mariadb', TargetFacts.from_wire(FACTS), ('semisync_master',)),
        )
        self.assertEqual(('warning', 'TARGET_FACTS_MISSING'), (found.outcome, found.code))
        self.assertIn('rpl-semi-sync-master-enabled', found.message)

    def test_without_facts_the_shipped_table_decides(self):
        bare = {'server_version': '11.8.6'}
        self.assertIs(Verdict.REFUSED, self.judge('max_tmp_tables', bare))
        self.assertIs(Verdict.KNOWN, self.judge('anything_else', bare))
        self.assertIs(Verdict.KNOWN, self.judge('max_tmp_tables', {'server_version': '10.11.14'}))


class TestConfigurationChecks(base.TestCase):
    def test_an_unknown_option_is_named_with_its_place(self):
        found = configuration_checks.check_options(
            [option('max_tmp_tables')], TargetOptions('mariadb', TargetFacts.from_wire(FACTS))
        )
        self.assertEqual(('refused', 'UNKNOWN_OPTION'), (found.outcome, found.code))
        self.assertIn('max-tmp-tables (/etc/mysql/conf.d/x.cnf:3)', found.message)

    def test_an_ignored_option_is_a_warning_and_missing_facts_are_one(self):
        self.assertEqual(
            'IGNORED_OPTION',
            configuration_checks.check_options(
                [option('date_format')], TargetOptions('mariadb', TargetFacts.from_wire(FACTS))
            ).code,
        )
        self.assertEqual(
            'TARGET_FACTS_MISSING',
            configuration_checks.check_options([], TargetOptions('mariadb', TargetFacts())).code,
        )
        self.assertEqual(
            'ok',
            configuration_checks.check_options(
                [option('log_bin')], TargetOptions('mariadb', TargetFacts.from_wire(FACTS))
            ).outcome,
        )

    def groups(self, group, comes_back=True):
        configuration = option_files.Configuration(
            options=(option('wait_timeout', group),), files=()
        )
        return configuration_checks.check_groups(
            configuration, lambda _: comes_back, '10.11.14-MariaDB', TargetFacts.from_wire(FACTS)
        )

    def test_options_in_the_old_version_s_group_are_refused(self):
        found = self.groups('mariadb-10.11')
        self.assertEqual('OPTION_GROUP_DROPPED', found.code)
        self.assertIn('[mariadb-10.11]', found.message)

    def test_a_group_that_both_read_or_neither_is_fine(self):
        self.assertEqual('ok', self.groups('mysqld').outcome)
        self.assertEqual('ok', self.groups('mysqldump').outcome)
        self.assertEqual('ok', self.groups('mariadb-10.6').outcome)

    def test_files_that_stay_behind_do_not_matter(self):
        self.assertEqual('ok', self.groups('mariadb-10.11', comes_back=False).outcome)

    def command_line(self, *arguments):
        found = configuration_checks.check_command_line(
            ['mariadbd', *arguments], [pathlib.Path('/etc/mysql/my.cnf')]
        )
        return found.outcome, found.code

    def test_options_of_a_drop_in_are_told(self):
        warning = ('warning', 'COMMAND_LINE_OPTIONS')
        for argument in (
            '--innodb-buffer-pool-size=1G',
            '--port=3307',
            '--event-scheduler=ON',
            '--plugin-dir=/opt/p',
            '--log-error=/srv/x',
            '--basedir=/opt/db',
        ):
            self.assertEqual(warning, self.command_line('--datadir=/x', argument), argument)

    def test_what_distributions_and_our_service_give_is_usual(self):
        self.assertEqual(
            ('ok', None),
            self.command_line(
                '--user=mysql',
                '--basedir=/usr',
                '--plugin-dir=/usr/lib/mysql/plugin',
                '--port=3306',
                '--event-scheduler=OFF',
                '--skip-log-error',
                '--log-error=/var/log/mysql/error.log',
            ),
        )

    def test_another_configuration_than_the_usual_is_refused(self):
        for argument in (
            '--defaults-file=/srv/my.cnf',
            '--defaults-extra-file=/srv/more.cnf',
            '--defaults-group-suffix=_two',
        ):
            self.assertEqual(
                ('refused', 'CONFIGURATION_NOT_READ'), self.command_line(argument), argument
            )
        self.assertEqual(('ok', None), self.command_line('--defaults-file=/etc/mysql/my.cnf'))

    def test_a_tls_file_that_is_not_there_is_told(self):
        configuration = option_files.Configuration(
            options=(option('ssl_ca', value='/nonexistent/ca.pem'),), files=()
        )
        self.assertEqual(
            'TLS_FILE_MISSING',
            configuration_checks.check_key_files(
                configuration, lambda _: True, pathlib.Path('/nonexistent')
            ).code,
        )

    def test_a_relative_tls_file_counts_from_the_data_directory(self):
        data = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        configuration = option_files.Configuration(
            options=(option('ssl_ca', value='ca.pem'),), files=()
        )
        self.assertEqual(
            'TLS_FILE_MISSING',
            configuration_checks.check_key_files(configuration, lambda _: True, data).code,
        )
        (data / 'ca.pem').touch()
        self.assertEqual(
            'ok', configuration_checks.check_key_files(configuration, lambda _: True, data).outcome
        )
