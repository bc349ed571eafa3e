# SPDX-License-Identifier: Apache-2.0
import pathlib
import zoneinfo

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    checks,
    option_files,
    server_environment,
    server_process,
    time_zones,
)
from trove_upgrade.tests.unit.guestagent.datastores import fakes, test_root_disk
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase

LIMITS = (
    'Limit                     Soft Limit           Hard Limit           Units     \n'
    'Max open files            {}                {}               files     \n'
    'Max locked memory         {}              8388608              bytes     \n'
)


class EnvironmentTestCase(DriverTestCase):
    def process(self, files='32768', locked='8388608', **environment):
        place = self.root / 'proc/7'
        place.mkdir(parents=True, exist_ok=True)
        text = ''.join(f'{name}={value}\0' for name, value in environment.items())
        (place / 'environ').write_text(text)
        (place / 'limits').write_text(LIMITS.format(files, files, locked))
        return server_process.read(self.root / 'proc', 7)

    def look(self, check, process, rules=(), configuration=None):
        found = check(
            checks.Probe(
                context=self.context,
                session=fakes.Session(*rules),
                configuration=configuration or option_files.Configuration(options=(), files=()),
                version='10.11.14-MariaDB',
                target=TargetFacts(),
                options=GuestOptions(),
                proc=self.root,
                process=process,
            )
        )
        return found.outcome, found.code, found.message

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


class TestEnvironment(EnvironmentTestCase):
    def environment(self, **variables):
        return self.look(server_environment.environment, self.process(**variables))

    def test_what_an_init_gives_to_any_service_is_nothing(self):
        usual = {
            'PATH': '/usr/bin',
            'LANG': 'C.UTF-8',
            'HOME': '/nonexistent',
            'INVOCATION_ID': 'x',
        }
        outcome, _, _ = self.environment(**usual, NOTIFY_SOCKET='/run/n', _WSREP_NEW_CLUSTER='')
        self.assertEqual('ok', outcome)
        self.assertEqual('ok', self.look(server_environment.environment, None)[0])
        self.assertIsNone(server_process.read(self.root / 'proc', 4711))

    def test_options_that_come_from_it_are_refused(self):
        for name in ('MYSQL_GROUP_SUFFIX', 'MYSQL_TCP_PORT', 'MARIADB_UNIX_PORT'):
            outcome, code, message = self.environment(**{name: '_prod', 'PATH': '/bin'})
            self.assertEqual(('refused', 'SERVER_ENVIRONMENT'), (outcome, code))
            self.assertIn(name, message)
        self.assertEqual('ok', self.environment(MYSQL_GROUP_SUFFIX='')[0])

    def test_a_file_of_options_that_it_leads_to_is_refused_if_a_server_reads_some_of_it(self):
        for name, file_name in (
            ('MYSQL_HOME', 'my.cnf'),
            ('MARIADB_HOME', 'my.cnf'),
            ('HOME', '.my.cnf'),
        ):
            path = self.write(f'h/{name}/{file_name}', '[client]\nuser = root\n')
            home = {name: str(path.parent)}
            self.assertEqual('ok', self.environment(**home)[0])
            path.write_text('[mysqld]\nsort_buffer_size = 1M\n')
            outcome, code, message = self.environment(**home)
            self.assertEqual(('refused', 'SERVER_ENVIRONMENT'), (outcome, code))
            self.assertIn(str(path), message)
            found = self.look(
                server_environment.environment,
                self.process(**home),
                configuration=option_files.Configuration(options=(), files=(path,)),
            )
            self.assertEqual('ok', found[0], 'it is one of the files that are read')

    def test_keys_are_refused_by_name_and_their_values_are_not_shown(self):
        for name in ('VAULT_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'KRB5_KTNAME', 'AZURE_CLIENT_SECRET'):
            outcome, code, message = self.environment(**{name: 'hidden-value'})
            self.assertEqual(('refused', 'SERVER_ENVIRONMENT'), (outcome, code))
            self.assertIn(name, message)
            self.assertNotIn('hidden-value', message)

    def test_any_other_variable_is_told_of(self):
        outcome, code, message = self.environment(
            LD_PRELOAD='/x.so', MALLOC_CONF='a', **{'a b': '1'}
        )
        self.assertEqual(('warning', 'SERVER_ENVIRONMENT'), (outcome, code))
        self.assertIn('LD_PRELOAD, MALLOC_CONF.', message)
        many = {f'V{number}': '' for number in range(20)}
        self.assertIn('and 12 more', self.environment(**many)[2])


class TestLimitsAndUnits(EnvironmentTestCase):
    def test_limits_that_a_new_image_does_not_give_are_told_of(self):
        for changes, words in (
            ({}, None),
            ({'files': '1024'}, None),
            ({'files': '1048576'}, 'LimitNOFILE is 1048576'),
            ({'locked': 'unlimited'}, 'LimitMEMLOCK is unlimited'),
        ):
            outcome, code, message = self.look(server_environment.limits, self.process(**changes))
            self.assertEqual(
                ('warning', 'SERVER_LIMITS') if words else ('ok', None), (outcome, code)
            )
            self.assertIn(words or '', message)

    def test_units_and_drop_ins_of_an_administrator_are_told_of(self):
        def unit():
            return self.look(server_environment.unit, self.process())

        self.write('etc/systemd/system/trove-upgrade-database.service', '[Service]\nExecStart=/x\n')
        self.write('etc/systemd/system/nginx.service.d/x.conf', '[Service]\nExecStart=/x\n')
        (self.root / 'etc/systemd/system/mysql.service').symlink_to(
            '/lib/systemd/system/mariadb.service'
        )
        self.assertEqual('ok', unit()[0])
        for name, text, words in (
            ('mariadb.service.d/limits.conf', '[Service]\nLimitCORE = 1\n', '(LimitCORE)'),
            (
                'trove-upgrade-database.service.d/a.conf',
                '[Service]\nEnvironmentFile=-/x\n',
                '(EnvironmentFile)',
            ),
            (
                'mysqld.service',
                '[Service]\nExecStart=\nExecStart=/x\nNice=1\n',
                '(ExecStart, Nice)',
            ),
        ):
            path = self.write(f'etc/systemd/system/{name}', text)
            outcome, code, message = unit()
            self.assertEqual(('warning', 'SERVER_UNIT'), (outcome, code))
            self.assertIn(f'{path} {words}', message)
            path.unlink()


class TestTimeZone(EnvironmentTestCase):
    def zone(self, process=None, zone='SYSTEM', of_system='UTC', options=()):
        values = [('time_zone', zone), ('system_time_zone', of_system)]
        kept = option_files.Configuration(
            options=tuple(test_root_disk.option(*each) for each in options), files=()
        )
        return self.look(time_zones.time_zone, process, [('time_zone', values)], kept)

    def localtime(self, name):
        place = self.context.etc / 'localtime'
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(self.zone_file(name))

    def zone_file(self, name):
        """A zone of this machine, below the root of the test."""
        places = (pathlib.Path(top) / name for top in zoneinfo.TZPATH)
        source = next(place for place in places if place.is_file())
        path = self.root / 'usr/share/zoneinfo' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        return path

    def test_what_counts_is_the_whole_year_and_not_the_offset_of_today(self):
        for name, outcome in (
            ('Etc/UTC', 'ok'),
            ('Africa/Abidjan', 'ok'),
            ('Europe/London', 'warning'),
            ('Europe/Lisbon', 'warning'),
            ('America/New_York', 'warning'),
        ):
            self.localtime(name)
            found = self.zone(self.process(), of_system='GMT')
            self.assertEqual(outcome, found[0], name)
            if outcome == 'warning':
                self.assertEqual('TIME_ZONE_OF_SYSTEM', found[1])
                self.assertIn(name, found[2])

    def test_the_zone_of_its_environment_comes_before_that_of_the_system(self):
        self.localtime('Etc/UTC')
        self.zone_file('Europe/London')
        path = self.zone_file('America/New_York')
        for text, outcome in (
            ('Europe/London', 'warning'),
            (':Europe/London', 'warning'),
            (str(path), 'warning'),
            ('CET-1CEST', 'warning'),
            ('UTC', 'ok'),
            ('UTC0', 'ok'),
            ('<+00>0', 'ok'),
            ('No/Such_Zone', 'ok'),
            ('', 'ok'),
            ('A' * 5000, 'ok'),
        ):
            self.assertEqual(outcome, self.zone(self.process(TZ=text), of_system='GMT')[0], text)
        self.localtime('Europe/London')
        self.assertEqual('ok', self.zone(self.process(TZ='UTC'))[0])

    def test_a_zone_that_was_set_while_the_server_runs_is_gone_after_any_restart(self):
        self.localtime('Europe/London')
        for option in ('default-time-zone', 'loose-time-zone'):
            found = self.zone(self.process(), zone='+02:00', options=[(option, '+02:00')])
            self.assertEqual('ok', found[0], option)
        self.assertEqual('warning', self.zone(self.process(), zone='+02:00')[0])
        found = self.zone(self.process(), options=[('default-time-zone', 'SYSTEM')])
        self.assertEqual('warning', found[0])

    def test_a_server_that_started_with_another_zone_than_the_files_have_now_is_told_of(self):
        self.localtime('Etc/UTC')
        self.assertEqual('warning', self.zone(self.process(), of_system='CEST')[0])

    def test_a_system_without_a_zone_has_the_universal_one(self):
        self.assertEqual('ok', self.zone(self.process())[0])
        self.write('etc/localtime', 'no zone at all')
        self.assertEqual('ok', self.zone(self.process())[0])

    def test_in_a_container_the_server_itself_tells(self):
        for zone, of_system, outcome in (
            ('SYSTEM', 'UTC', 'ok'),
            ('SYSTEM', 'EST', 'warning'),
            ('Europe/Berlin', 'EST', 'ok'),
            ('+02:00', 'CET', 'ok'),
            ('SYSTEM', 'GMT', 'ok'),
        ):
            self.assertEqual(outcome, self.zone(None, zone, of_system)[0], (zone, of_system))
