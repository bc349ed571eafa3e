# SPDX-License-Identifier: Apache-2.0
"""What was tried while the old database served is not tried again while none serves; what is
another one since, is.
"""

import dataclasses

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.tests.unit.guestagent.datastores.container import fakes
from trove_upgrade.tests.unit.guestagent.datastores.container.test_driver import (
    NEW,
    TARGET,
    ContainerTestCase,
    quiet,
)


class TestTheTrialDuringTheOutage(ContainerTestCase):
    def setUp(self):
        super().setUp()
        self.mysql = self.guest.root / 'etc/mysql'
        (self.mysql / 'conf.d').mkdir(exist_ok=True)
        (self.mysql / 'conf.d/own.cnf').write_text('[mysqld]\nmax_connections = 7\n')
        self.guest.driver().prepare_target(TARGET, GuestOptions(), quiet)

    def asked(self, *, rollback=False):
        """Names of what the engine of a new root disk is asked for."""
        self.guest.new_root((NEW, fakes.OLD))
        self.guest.driver().check_configuration(GuestOptions(rollback=rollback))
        return self.engine.names()

    def test_is_left_out_where_image_options_and_files_are_those_that_were_tried(self):
        self.assertEqual([], self.asked())

    def test_is_made_where_a_file_changes_comes_or_goes_after_the_first_one(self):
        own = self.mysql / 'conf.d/own.cnf'
        for change in (
            lambda: own.write_text('[mysqld]\nmax_connections = 8\n'),
            lambda: own.rename(own.with_name('other.cnf')),
            lambda: (self.mysql / 'more.cnf').write_text(''),
            lambda: (self.mysql / 'conf.d/link.cnf').symlink_to('/var/lib/mysql/x.cnf'),
        ):
            change()
            self.assertEqual(['throwaway'], self.asked())
            host = self.guest.driver().host
            record = host.records.require()
            host.tried.remember(host.tried.digest(record.target, record))

    def test_is_made_each_time_where_an_option_file_lies_elsewhere(self):
        elsewhere = self.guest.volume / 'x.cnf'
        elsewhere.write_text('[mysqld]\nmax_connections = 9\n')
        my = self.mysql / 'my.cnf'
        my.write_text(f'{my.read_text()}!include {elsewhere}\n')
        host = self.guest.driver().host
        record = host.records.require()
        host.tried.remember(host.tried.digest(record.target, record))
        self.assertEqual(['throwaway'], self.asked())

    def test_is_made_where_the_options_of_the_container_are_others(self):
        records = self.guest.driver().host.records
        record = records.require()
        config = record.definition['Config']
        changed = {**config, 'Cmd': [*config['Cmd'], '--max-connections=9']}
        records.write(
            dataclasses.replace(record, definition={**record.definition, 'Config': changed})
        )
        self.assertEqual(['throwaway'], self.asked())

    def test_is_made_where_its_digest_is_broken(self):
        self.guest.driver().host.tried.path.write_text('{')
        self.assertEqual(['throwaway'], self.asked())

    def test_is_left_out_by_the_image_alone_where_an_agent_of_an_earlier_release_has_stopped(self):
        self.guest.driver().host.tried.path.unlink()
        self.assertEqual([], self.asked())

    def test_is_not_made_for_the_former_image_which_has_run_with_them(self):
        (self.mysql / 'conf.d/own.cnf').write_text('')
        self.assertEqual([], self.asked(rollback=True))
