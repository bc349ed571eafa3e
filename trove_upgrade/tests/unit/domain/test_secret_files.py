# SPDX-License-Identifier: Apache-2.0
"""Which files of a guest hold an agent's account."""

from trove_upgrade.domain import secret_files
from trove_upgrade.tests.unit import base

_URL = 'rabbit://trove:s3cret@192.0.2.1:5672/trove'


class TestSecretFiles(base.TestCase):
    def test_an_account_is_found_in_whichever_form_a_file_has_it(self):
        for text in (
            f'transport_url = {_URL}',
            f'[DEFAULT]\ntransport_url =\n    {_URL}',
            f'transport-url: {_URL}',
            f'"transport_url": "{_URL}"',
            f'{{"DEFAULT": {{"transport_url": "{_URL}"}}}}',
            '{"rabbit_password": "s3cret"}',
            f'export OS_DEFAULT__TRANSPORT_URL={_URL}',
            'OS_OSLO_MESSAGING_RABBIT__RABBIT_PASSWORD=s3cret',
            "TRANSPORT_URL='kombu+memory:////'",
            'container_registry_password = s3cret',
            'taskmanager_rpc_encr_key: s3cret',
            'instance-rpc-encr-key = s3cret',
            'url = amqps://telegraf:s3cret@192.0.2.1/',
            'brokers: [kafka+ssl://trove:s3cret@192.0.2.1:9092]',
            'args: --broker rabbit://token@192.0.2.1',
            'a = 1; service_password = x',
        ):
            self.assertTrue(secret_files.holds_account(text), text)

    def test_what_the_server_itself_must_read_is_none(self):
        for text in (
            '[client]\npassword = s3cret\n',
            '[mysqld]\nplugin-load-add = server_audit\nssl-key = /etc/mysql/key.pem\n',
            '# transport_url is in another file',
            'see https://docs.example.org/amqp',
            'rabbit://192.0.2.1:5672/ needs no account',
            'transport_url =\n',
            '',
        ):
            self.assertFalse(secret_files.holds_account(text), text)

    def test_troves_own_files_are_known_by_their_directory(self):
        self.assertTrue(secret_files.is_troves('/etc/trove/conf.d/../conf.d//guest_info.conf'))
        self.assertFalse(secret_files.is_troves('/etc/trove-other/x'))
        self.assertFalse(secret_files.is_troves('/etc/trove/../mysql/my.cnf'))
