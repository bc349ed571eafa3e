# SPDX-License-Identifier: Apache-2.0
import os

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import checks, option_files, volume_top
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase
from trove_upgrade.tests.unit.guestagent.datastores.test_root_disk import OF_A_SERVICE

SERVER = 1001


class TestVolumeTop(DriverTestCase):
    def setUp(self):
        super().setUp()
        self.volume = self.root / 'v'
        os.chown(self.volume, SERVER, SERVER)

    def look(self, process=OF_A_SERVICE, **variables):
        found = volume_top.volume_top(
            checks.Probe(
                context=self.context,
                session=fakes.Session(('SHOW GLOBAL VARIABLES', list(variables.items()))),
                configuration=option_files.Configuration(options=(), files=()),
                version='10.5.29-MariaDB',
                target=TargetFacts(),
                options=GuestOptions(),
                proc=self.root,
                process=process,
            )
        )
        return found.outcome, found.message

    def test_files_that_the_server_makes_in_the_top_are_refused_by_name(self):
        for variable, value in (
            ('log_bin_basename', f'{self.volume}/mysql-bin'),
            ('log_bin_index', '../mysql-bin.index'),
            ('socket', f'{self.volume}/mysql.sock'),
            ('pid_file', '../mysqld.pid'),
            ('general_log_file', f'{self.volume}/general.log'),
            ('tmpdir', f'/tmp:{self.volume}/'),
            ('innodb_log_group_home_dir', f'{self.volume}'),
        ):
            outcome, message = self.look(**{variable: value})
            self.assertEqual((variable, 'refused'), (variable, outcome))
            self.assertIn(f'{variable} is {value}', message)

    def test_a_directory_of_its_own_and_what_is_elsewhere_are_right(self):
        (self.volume / 'binlog').mkdir()
        (self.volume / 'tmp').mkdir()
        outcome, message = self.look(
            datadir=f'{self.volume}/data/',
            log_bin_basename=f'{self.volume}/binlog/mysql-bin',
            innodb_undo_directory=f'{self.volume}/binlog',
            tmpdir=f'{self.volume}/tmp',
            innodb_data_home_dir=f'{self.volume}/data',
            innodb_data_file_path='ibdata1:12M:autoextend',
            socket='/run/mysqld/mysqld.sock',
            pid_file='host.pid',
            log_error='stderr',
        )
        self.assertEqual('ok', outcome, message)

    def test_where_the_top_is_roots_already_and_in_a_container_nothing_is_asked(self):
        self.assertEqual('ok', self.look(None, socket=f'{self.volume}/mysql.sock')[0])
        os.chown(self.volume, 0, 0)
        self.assertEqual('ok', self.look(socket=f'{self.volume}/mysql.sock')[0])
