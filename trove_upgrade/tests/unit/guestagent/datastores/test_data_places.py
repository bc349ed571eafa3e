# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import checks, data_places, option_files
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase


class TestLayout(DriverTestCase):
    def setUp(self):
        super().setUp()
        self.data = self.root / 'v/data'

    def layout(self, *files, **variables):
        """`files`: rows of information_schema.FILES."""
        values = {'datadir': str(self.data), **variables}
        session = fakes.Session(
            ('SHOW GLOBAL VARIABLES', list(values.items())),
            ('information_schema.FILES', list(files)),
        )
        return data_places.layout(
            checks.Probe(
                context=self.context,
                session=session,
                configuration=option_files.Configuration(options=(), files=()),
                version='10.11.14-MariaDB',
                target=TargetFacts(),
                options=GuestOptions(),
                proc=self.root,
            )
        )

    def assert_refused(self, found, *words):
        self.assertEqual(('refused', 'VOLUME_LAYOUT'), (found.outcome, found.code), found)
        for word in words:
            self.assertIn(word, found.message)

    def assert_ok(self, found):
        self.assertEqual('ok', found.outcome, found)

    def test_the_usual_places_are_right(self):
        self.assert_ok(
            self.layout(
                innodb_data_home_dir='',
                innodb_data_file_path='ibdata1:12M:autoextend',
                innodb_temp_data_file_path='ibtmp1:12M:autoextend',
                innodb_log_group_home_dir='./',
                innodb_undo_directory='./',
                aria_log_dir_path=f'{self.data}/',
                log_bin_basename='',
                log_bin_index='',
                relay_log_info_file='relay-log.info',
                innodb_directories='',
                innodb_temp_tablespaces_dir='./#innodb_temp/',
            )
        )

    def test_another_data_directory_is_refused(self):
        self.assert_refused(self.layout(datadir=str(self.root)), str(self.data))

    def test_logs_and_their_indexes_elsewhere_are_refused(self):
        for variable in (
            'log_bin_basename',
            'log_bin_index',
            'relay_log_basename',
            'relay_log_index',
            'innodb_log_group_home_dir',
            'innodb_doublewrite_dir',
            'rocksdb_datadir',
        ):
            self.assert_refused(
                self.layout(**{variable: '/var/log/mysql/binlog'}),
                f'{variable} is /var/log/mysql/binlog',
            )

    def test_logs_on_the_volume_beside_the_data_are_right(self):
        self.assert_ok(
            self.layout(
                log_bin_basename=f'{self.root}/v/binlog/mysql-bin',
                log_bin_index=f'{self.root}/v/binlog/index',
            )
        )

    def test_a_system_tablespace_elsewhere_is_refused_with_or_without_a_home(self):
        self.assert_refused(
            self.layout(
                innodb_data_home_dir='', innodb_data_file_path='/elsewhere/ibdata1:12M:autoextend'
            ),
            '/elsewhere',
        )
        self.assert_refused(
            self.layout(
                innodb_data_file_path='ibdata1:12M;/elsewhere/ibdata2:50M:autoextend:max:1G'
            ),
            'ibdata2',
        )
        self.assert_refused(
            self.layout(
                innodb_data_home_dir='/elsewhere', innodb_data_file_path='ibdata1:12M:autoextend'
            ),
            '/elsewhere',
        )
        self.assert_refused(
            self.layout(innodb_data_home_dir='/', innodb_data_file_path='srv/ibdata1:12M'), 'srv'
        )
        self.assert_refused(
            self.layout(innodb_temp_data_file_path='../../tmp/ibtmp1:12M:autoextend'), 'ibtmp1'
        )

    def test_a_home_and_a_name_are_joined_as_text(self):
        self.assert_ok(
            self.layout(innodb_data_home_dir=str(self.data), innodb_data_file_path='/ibdata1:12M')
        )

    def test_places_that_mysql_may_look_for_tablespaces_in_are_refused_one_by_one(self):
        self.assert_ok(self.layout(innodb_directories=f'{self.data};{self.root}/v/more'))
        self.assert_refused(
            self.layout(innodb_directories=f'{self.data};/srv/tables'), '/srv/tables'
        )

    def test_each_tablespace_of_the_server_is_looked_at(self):
        self.assert_ok(
            self.layout((f'{self.data}/shop/t.ibd', 'shop/t'), (f'{self.root}/v/more/ts.ibd', 'ts'))
        )
        self.assert_refused(
            self.layout(('/elsewhere/shop/t.ibd', 'shop/t')),
            'tablespace shop/t is in /elsewhere/shop/t.ibd',
        )
        self.assert_refused(self.layout(('../../elsewhere/ts.ibd', 'ts')), 'ts.ibd')

    def test_many_are_counted(self):
        found = self.layout(*((f'/elsewhere/{number}.ibd', str(number)) for number in range(104)))
        self.assert_refused(found, '/elsewhere/99.ibd and 4 more')

    def test_a_table_elsewhere_is_refused(self):
        (self.data / 'db').mkdir()
        (self.data / 'db/t.isl').write_text('/srv/t.ibd')
        self.assert_refused(self.layout())

    def test_a_linked_database_is_refused(self):
        (self.data / 'db').symlink_to(self.root)
        self.assert_refused(self.layout())
