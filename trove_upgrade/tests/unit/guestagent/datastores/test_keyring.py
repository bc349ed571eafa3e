# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import checks, keyring, option_files
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase


class TestKeyring(DriverTestCase):
    def check(self, answer):
        session = fakes.Session(('keyring_component_status', answer))
        return keyring.keyring(
            checks.Probe(
                context=self.context,
                session=session,
                configuration=option_files.Configuration(options=(), files=()),
                version='9.7.4',
                target=TargetFacts(),
                options=GuestOptions(),
                proc=self.root,
            )
        )

    def test_an_active_component_is_refused_with_the_place_of_its_keys(self):
        found = self.check(
            [
                ('Component_name', 'component_keyring_file'),
                ('Component_status', 'Active'),
                ('Data_file', '/var/lib/mysql-keyring/keys'),
            ]
        )
        self.assertEqual(('refused', 'KEYRING_COMPONENT'), (found.outcome, found.code))
        for word in ('component_keyring_file', '/var/lib/mysql-keyring/keys', 'Never remove'):
            self.assertIn(word, found.message)

    def test_another_kind_that_names_no_file_is_refused_too(self):
        found = self.check(
            [('Implementation_name', 'component_keyring_oci'), ('Component_status', 'Active')]
        )
        self.assertEqual('refused', found.outcome)
        self.assertIn('component_keyring_oci', found.message)

    def test_none_or_one_that_does_not_work_is_right(self):
        for answer in (
            [],
            [('Component_name', 'component_keyring_file'), ('Component_status', 'Disabled')],
            fakes.refusal(1146),
        ):
            self.assertEqual('ok', self.check(answer).outcome)
