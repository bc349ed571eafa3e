# SPDX-License-Identifier: Apache-2.0
"""Needs of a server that the root disk meets and no option names a file for."""

import dataclasses
import json
import pathlib

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import (
    bind_addresses,
    checks,
    fleeting_places,
    option_files,
    server_process,
    system_accounts,
)
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase

OF_A_SERVICE = server_process.ServerProcess({}, {})
#: For documentation: no machine has it.  Source: RFC 5737.
NOWHERE = '192.0.2.77'


def option(name, value):
    return option_files.Option(
        group='mysqld', name=name, value=value, path=pathlib.Path('x'), line=1
    )


def options(**values):
    given = ((name.replace('_', '-'), value) for name, value in values.items())
    found = (option(name, value) for name, value in given)
    return option_files.Configuration(options=tuple(found), files=())


class RootDiskTestCase(DriverTestCase):
    def look(self, check, *rules, process=OF_A_SERVICE, configuration=None):
        session = fakes.Session(*rules)
        configuration = configuration or options()
        found = check(
            checks.Probe(
                context=self.context,
                session=session,
                configuration=configuration,
                version='10.11.14-MariaDB',
                target=TargetFacts(),
                options=GuestOptions(),
                proc=self.root,
                process=process,
            )
        )
        return found.outcome, found.code, found.message


class TestBindAddresses(RootDiskTestCase):
    def addresses(self, *values, process=OF_A_SERVICE):
        rows = [('bind_address', value) for value in values]
        return self.look(bind_addresses.addresses, ('bind_address', rows), process=process)

    def test_every_address_and_that_of_the_machine_itself_are_on_any_root_disk(self):
        for value in ('', '*', '0.0.0.0', '::', '127.0.0.1', '127.0.0.53,::1', 'localhost', None):
            self.assertEqual('ok', self.addresses(value)[0], value)
        self.assertEqual('ok', self.addresses('10.1.2.3', process=None)[0], 'in a container')

    def test_a_single_address_is_told_of(self):
        for value in ('10.1.2.3', '127.0.0.1, 10.1.2.3', 'db.example.org', '10.1.2.3'):
            outcome, code, message = self.addresses(value)
            self.assertEqual(('warning', 'BIND_ADDRESS'), (outcome, code))
            self.assertIn(value.split()[-1], message)
        self.assertEqual('ok', self.addresses('10.1.2.3/space')[0])

    def test_a_name_that_the_root_disk_alone_knows_is_refused(self):
        self.context.etc.mkdir(exist_ok=True)
        text = '127.0.1.1 guest\n10.9.9.9  DB-internal db # second address\n'
        (self.context.etc / 'hosts').write_text(text)
        for name in ('db-internal', 'DB'):
            outcome, code, message = self.addresses(name)
            self.assertEqual(('refused', 'BIND_ADDRESS'), (outcome, code))
            self.assertIn(name, message)
        self.assertEqual('warning', self.addresses('guest')[0])

    def test_the_new_root_disk_tries_them_before_the_server_is_started_on_the_data(self):
        clock = fakes.Clock()

        def sleep(seconds):
            clock.seconds += seconds

        def refusal(value):
            return bind_addresses.refusal(options(bind_address=value), sleep, clock)

        for value in ('*', '127.0.0.1', '127.0.0.1,::', '', 'localhost'):
            self.assertIsNone(refusal(value), value)
        self.assertEqual(0, clock.seconds)
        for value in (NOWHERE, f'127.0.0.1,{NOWHERE}', 'no-such-name.invalid'):
            found = refusal(value)
            self.assertEqual(('refused', 'BIND_ADDRESS'), (found.outcome, found.code))
        self.assertGreater(clock.seconds, 60)

    def test_an_address_that_comes_a_moment_later_is_waited_for(self):
        clock, asked = fakes.Clock(), []

        def sleep(seconds):
            clock.seconds += seconds

        def can_bind(address):
            asked.append(address)
            return len(asked) > 3

        found = bind_addresses.refusal(options(bind_address='10.1.2.3'), sleep, clock, can_bind)
        self.assertIsNone(found)
        self.assertEqual(['10.1.2.3'] * 4, asked)

    def test_both_kinds_of_servers_are_tried(self):
        clock = iter(range(0, 1000, 20))
        place = self.context.etc / 'mysql/my.cnf'
        place.parent.mkdir(parents=True)
        place.write_text(f'[mysqld]\nbind-address = {NOWHERE}\n')
        context = dataclasses.replace(self.context, monotonic=lambda: next(clock))
        for engine in (MariaDB(), MySQL()):
            ports = HostPorts(sleep=lambda seconds: None)
            driver = factory.as_service(engine, context, fakes.Service(), ports)
            self.assertEqual('BIND_ADDRESS', driver.check_configuration(GuestOptions()).code)


class TestFleetingPlaces(RootDiskTestCase):
    def places(self, *rows, process=OF_A_SERVICE):
        return self.look(fleeting_places.fleeting_places, ('tmpdir', rows), process=process)

    def test_directories_that_a_boot_removes_are_told_of(self):
        for variable, value in (
            ('tmpdir', '/tmp/db'),
            ('tmpdir', '/var/lib/mysql/tmp:/var/tmp/x'),
            ('innodb_tmpdir', '/dev/shm/a/b'),
            ('secure_file_priv', '/run/export/'),
            ('socket', '/run/other/mysqld.sock'),
            ('log_error', '/tmp/logs/error.log'),
        ):
            outcome, code, message = self.places((variable, value))
            self.assertEqual(('warning', 'FLEETING_DIRECTORY'), (outcome, code), value)
            self.assertIn(f'({variable})', message)

    def test_those_that_are_always_there_and_those_elsewhere_are_not(self):
        for variable, value in (
            ('tmpdir', '/tmp'),
            ('tmpdir', ''),
            ('tmpdir', '/var/lib/mysql/tmp'),
            ('tmpdir', '/tmpfiles/x'),
            ('socket', '/run/mysqld/mysqld.sock'),
            ('socket', '/tmp/mysql.sock'),
            ('log_error', 'stderr'),
            ('secure_file_priv', None),
        ):
            self.assertEqual('ok', self.places((variable, value))[0], value)
        self.assertEqual('ok', self.places(('tmpdir', '/tmp/db'), process=None)[0])


class TestSystemAccounts(RootDiskTestCase):
    def accounts(self, *entries, **given):
        rows = [(user, '%', json.dumps(entry)) for user, entry in entries]
        rules = (("TABLE_NAME = 'global_priv'", [(1,)]), ('mysql.global_priv', rows))
        configuration = options(**given)
        return self.look(system_accounts.system_accounts, *rules, configuration=configuration)

    def test_accounts_that_the_database_lets_in_by_itself_need_nothing(self):
        password = {'plugin': 'mysql_native_password', 'authentication_string': '*1'}
        either = {**password, 'auth_or': [{}, {'plugin': 'unix_socket'}]}
        found = self.accounts(('u', password), ('root', either), ('mysql', either), ('r', {}))
        self.assertEqual('ok', found[0])

    def test_what_accounts_need_of_the_operating_system_is_told_with_their_names(self):
        for entry, need in (
            ({'plugin': 'pam'}, '/etc/pam.d/mysql'),
            ({'plugin': 'pam', 'authentication_string': 'mariadb-ldap'}, '/etc/pam.d/mariadb-ldap'),
            ({'plugin': 'auth_pam', 'authentication_string': 'svc, dba=x'}, '/etc/pam.d/svc'),
            ({'plugin': 'gssapi'}, '/etc/krb5.keytab'),
            ({'plugin': 'unix_socket'}, 'user u'),
            ({'plugin': 'unix_socket', 'authentication_string': 'alice'}, 'user alice'),
            ({'plugin': 'x', 'auth_or': [{}, {'plugin': 'pam'}]}, '/etc/pam.d/mysql'),
        ):
            outcome, code, message = self.accounts(('u', entry))
            self.assertEqual(('warning', 'ACCOUNTS_OF_SYSTEM'), (outcome, code), entry)
            self.assertIn(f'{need} (u@%)', message)

    def test_a_table_of_keys_that_an_option_names_comes_along(self):
        self.assertEqual(
            'ok', self.accounts(('u', {'plugin': 'gssapi'}), gssapi_keytab_path='/k')[0]
        )

    def test_mysql_answers_from_its_user_table(self):
        rows = [('u', '%', 'authentication_pam', b'svc'), ('root', 'localhost', 'auth_socket', '')]
        rules = (("TABLE_NAME = 'global_priv'", [(0,)]), ('mysql.user', rows))
        outcome, _, message = self.look(system_accounts.system_accounts, *rules)
        self.assertEqual('warning', outcome)
        self.assertIn('/etc/pam.d/svc (u@%)', message)
