# SPDX-License-Identifier: Apache-2.0
import pathlib

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import authentication, checks, option_files
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase


class TestAuthentication(DriverTestCase):
    def check(
        self, *accounts, target='9.7.4', running='8.0.40', options=(), agent='root@localhost'
    ):
        rows = [(*account.split('@'), agent) for account in accounts]
        configuration = option_files.Configuration(
            options=tuple(
                option_files.Option(
                    group='mysqld', name=name, value=value, path=pathlib.Path('x'), line=1
                )
                for name, value in options
            ),
            files=(),
        )
        found = authentication.authentication(
            checks.Probe(
                context=self.context,
                session=fakes.Session(('mysql.user', rows)),
                configuration=configuration,
                version=running,
                target=TargetFacts(server_version=target),
                options=GuestOptions(),
                proc=self.root,
            )
        )
        return found.outcome, found.code, found.message

    def test_the_agents_own_account_refuses(self):
        outcome, code, message = self.check('app@%', 'root@localhost')
        self.assertEqual(('refused', 'ACCOUNT_SHUT_OUT'), (outcome, code))
        self.assertIn('root@localhost', message)

    def test_a_target_without_a_version_is_not_taken_for_an_old_one(self):
        outcome, code, message = self.check('app@%', 'root@localhost', target='')
        self.assertEqual(('warning', 'ACCOUNT_SHUT_OUT'), (outcome, code))
        self.assertIn('app@%, root@localhost', message)
        self.assertEqual('ok', self.check(target='')[0])

    def test_accounts_of_the_customer_are_named(self):
        outcome, code, message = self.check(*(f'app{number}@%' for number in range(7)))
        self.assertEqual(('warning', 'ACCOUNT_SHUT_OUT'), (outcome, code))
        self.assertIn('app4@% and 2 more', message)

    def test_where_the_plugin_is_there_nothing_is_told(self):
        for changes in (
            {'target': '8.0.41'},
            {'running': '10.11.14-MariaDB', 'target': '11.8.6'},
            {'target': '8.4.7', 'options': [('mysql-native-password', 'ON')]},
            {'target': '8.4.7', 'options': [('loose-mysql-native-password', 'ON')]},
            {'target': '8.4.7', 'options': [('mysql-native-password', None)]},
        ):
            self.assertEqual('ok', self.check('root@localhost', **changes)[0], changes)

    def test_a_switch_that_8_4_has_is_none_of_9(self):
        self.assertEqual(
            'refused',
            self.check('root@localhost', target='9.7.4', options=[('mysql-native-password', 'ON')])[
                0
            ],
        )
        self.assertEqual(
            'refused',
            self.check(
                'root@localhost', target='8.4.7', options=[('mysql-native-password', 'OFF')]
            )[0],
        )
