# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures

from trove_upgrade.guestagent.datastores.mysql_family.container import acceptance
from trove_upgrade.tests.unit import base


class TestAcceptance(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.places = [
            self.root / name for name in ('var/lib/mysql', 'etc/mysql', 'var/lib/mysqld')
        ]
        for place in self.places:
            place.mkdir(parents=True)

    def check(
        self, *binds, user='1001:1001', command=('--defaults-file=/etc/mysql/my.cnf',), **host
    ):
        defined = {
            'Config': {'User': user, 'Cmd': list(command)},
            'HostConfig': {'Privileged': True, 'Binds': list(binds), **host},
        }
        return acceptance.check(defined, self.places)

    def test_trove_s_own_is_accepted(self):
        binds = [f'{place}:/inside:rw' for place in self.places]
        self.assertEqual('ok', self.check(*binds).outcome)
        self.assertEqual('ok', self.check(*binds, command=()).outcome)
        self.assertEqual('ok', self.check(*binds, command=['/usr/sbin/mysqld', '--user=x']).outcome)
        self.assertEqual('ok', self.check(*binds, user='', Privileged=False).outcome)

    def assert_refused(self, found, word):
        self.assertEqual(('refused', 'CONTAINER_DEFINITION'), (found.outcome, found.code), found)
        self.assertIn(word, found.message)

    def test_other_directories_of_the_host_are_refused(self):
        (self.root / 'var/lib/mysql/link').symlink_to('/etc')
        for source in (
            '/',
            '/etc',
            '/etc/trove',
            '/etc/trove/trove-upgrade-guest.key',
            '/var/run/docker.sock',
            f'{self.root}/var/lib/mysql/../../../etc',
            f'{self.root}/var/lib/mysql/link',
            f'{self.root}/var/lib/mysql-other',
            f'{self.root}/var/lib/mysql/data',
        ):
            self.assert_refused(self.check(f'{source}:/host'), source)

    def test_a_volume_of_the_engine_would_be_gone_and_is_refused(self):
        self.assert_refused(self.check('data:/var/lib/mysql'), 'data')
        mount = {'Type': 'bind', 'Source': f'{self.root}/var/lib/mysql', 'Target': '/var/lib/mysql'}
        self.assert_refused(self.check(Mounts=[mount]), '/var/lib/mysql')

    def test_rights_of_root_are_refused(self):
        for user in ('', '0', '0:1001', 'root', 'mysql'):
            self.assert_refused(self.check(user=user), 'user is root')
        for user in ('0', 'root', 'mysql'):
            self.assert_refused(self.check(user=user, Privileged=False), 'user is root')
        self.assert_refused(self.check(CapAdd=['SYS_ADMIN']), 'SYS_ADMIN')

    def test_ports_of_root_s_services_are_refused(self):
        for port in ('22', '1023', '20-30', '\uff1022', '-1'):
            self.assert_refused(self.check(PortBindings={'3306/tcp': [{'HostPort': port}]}), port)
        for port in ('3306', '13306', '1024', ''):
            self.assertEqual(
                'ok',
                self.check(
                    PortBindings={'3306/tcp': [{'HostPort': port}], '4444/tcp': None}
                ).outcome,
            )

    def test_another_program_is_refused(self):
        for words in (['sh', '-c', 'id'], ['/bin/mysqldump'], ['/var/lib/mysql/mysqld'], ['']):
            self.assert_refused(self.check(command=words), repr(words[0]))

    def test_all_reasons_are_told_at_once(self):
        found = self.check('/etc:/x', user='0', command=['sh'])
        for word in ('/etc', 'user is root', "'sh'"):
            self.assert_refused(found, word)
