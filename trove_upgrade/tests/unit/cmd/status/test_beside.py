# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade import conf as our_conf
from trove_upgrade.cmd import status
from trove_upgrade.cmd.status import beside, cloud
from trove_upgrade.db import engine
from trove_upgrade.tests.unit import base, database

_SUCCESS, _WARNING, _FAILURE = (
    upgradecheck.Code.SUCCESS,
    upgradecheck.Code.WARNING,
    upgradecheck.Code.FAILURE,
)
_OURS = {'guest_topic_prefix': 'trove-upgrade-guest.', 'write_service_status': 'false'}


class BesideTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.guest_config = self.folder / 'trove-guestagent.conf'

    def conf(self, name='trove.conf', *, default=(), connection=None, **ours):
        """As the program reads a file."""
        path = self.folder / name
        lines = [
            '[DEFAULT]',
            f'guest_config = {self.guest_config}',
            *default,
            '[database]',
            *([f'connection = {connection}'] if connection else []),
            '[trove_upgrade]',
            *(
                f'{key} = {value}'
                for key, value in {**_OURS, 'guest_config_file': self.guest_config, **ours}.items()
            ),
        ]
        path.write_text('\n'.join(lines))
        conf = cfg.ConfigOpts()
        our_conf.register_opts(conf)  # what the program registers, and no more
        conf(['--config-file', str(path)], project='trove-upgrade')
        beside.is_beside(conf)
        return conf

    def guests(self, *lines):
        self.guest_config.write_text('\n'.join(['[DEFAULT]', 'transport_url = rabbit://', *lines]))

    def assert_result(self, code, found, *said):
        self.assertEqual(code, found.code, found.details)
        self.assertEqual(
            [], [words for words in said if words not in (found.details or '')], found.details
        )


class TestWayToRun(BesideTestCase):
    def test_troves_file_or_paste_option_means_beside(self):
        self.assertTrue(beside.is_beside(self.conf()))
        self.assertTrue(
            beside.is_beside(
                self.conf('both.conf', default=['api_paste_config = /etc/trove/api-paste.ini'])
            )
        )
        self.assertFalse(beside.is_beside(self.conf('trove-upgrade.conf')))

    def test_a_relative_paste_file_is_found_beside_the_configuration(self):
        (self.folder / 'api-paste.ini').write_text('')
        self.assertEqual(self.folder / 'api-paste.ini', beside.paste_file(self.conf()))

    def way(self, name, *tables):
        url = f'sqlite:///{self.folder}/{name}.db'
        db = engine.Database.from_url(url)
        self.addCleanup(db.dispose)
        with db.write() as connection:
            for table in tables:
                connection.exec_driver_sql(f'CREATE TABLE {table} (id INTEGER)')
        return status.Checks(self.conf(name, connection=url)).check_way()

    def test_configuration_and_database_must_agree(self):
        self.assert_result(
            _SUCCESS, self.way('trove.conf', 'instances', 'alembic_version'), 'beside Trove'
        )
        self.assert_result(
            _SUCCESS,
            self.way('trove-upgrade.conf', 'instances', 'alembic_version_trove_upgrade_standalone'),
            'alone',
        )
        self.assert_result(
            _FAILURE, self.way('one.conf', 'instances', 'alembic_version'), "Trove's trove.conf"
        )
        self.assert_result(
            _FAILURE, self.way('two.conf', 'instances', 'migrate_version'), "Trove's trove.conf"
        )

    def test_a_database_for_running_alone_is_no_troves(self):
        self.assert_result(
            _FAILURE,
            self.way('trove.conf', 'instances', 'alembic_version_trove_upgrade_standalone'),
            'running alone',
        )

    def test_alone_nothing_is_asked_of_troves_files(self):
        checks = status.Checks(
            self.conf(
                'trove-upgrade.conf', guest_topic_prefix='guestagent.', write_service_status='true'
            )
        )
        for name in ('pipeline', 'release', 'topics', 'status_writer', 'limits', 'filter'):
            self.assert_result(_SUCCESS, getattr(checks, f'check_{name}')(), 'alone')


class TestTopics(BesideTestCase):
    def test_both_agents_apart_and_guests_told_so_is_right(self):
        self.guests('[trove_upgrade]', 'guest_topic_prefix = trove-upgrade-guest.')
        self.assert_result(_SUCCESS, beside.check_topics(self.conf()), 'trove-upgrade-guest.')

    def test_one_topic_for_both_is_a_failure(self):
        for prefix in ('guestagent.', ''):
            self.assert_result(
                _FAILURE,
                beside.check_topics(self.conf(guest_topic_prefix=prefix)),
                "each other's messages",
            )

    def test_a_queue_of_troves_is_a_failure(self):
        self.assert_result(
            _FAILURE,
            beside.check_topics(self.conf(taskmanager_topic='taskmanager')),
            'taskmanager_topic',
        )

    def test_guests_that_are_told_nothing_are_a_failure(self):
        self.guests()
        self.assert_result(
            _FAILURE,
            beside.check_topics(self.conf()),
            'guest_topic_prefix is "guestagent." there',
            str(self.guest_config),
        )

    def test_guests_of_another_exchange_are_a_failure(self):
        self.guests(
            '[trove_upgrade]', 'guest_topic_prefix = trove-upgrade-guest.', 'rpc_exchange = other'
        )
        self.assert_result(
            _FAILURE, beside.check_topics(self.conf()), 'rpc_exchange is "other" there'
        )

    def test_a_file_for_guests_that_is_not_there_or_none(self):
        self.assert_result(_FAILURE, beside.check_topics(self.conf()), 'no such file')
        self.guest_config.write_text('no file of options')
        self.assert_result(_FAILURE, beside.check_topics(self.conf()), 'cannot be read')

    def test_guests_that_the_broker_would_refuse_our_exchange_are_a_warning(self):
        prefix = (
            '[trove_upgrade]',
            'guest_topic_prefix = trove-upgrade-guest.',
            '[oslo_messaging_rabbit]',
        )
        quorum = ['[oslo_messaging_rabbit]', 'rabbit_quorum_queue = true']
        self.guests(*prefix)
        self.assert_result(
            _WARNING,
            beside.check_topics(self.conf(default=quorum)),
            'durable is False there and True here',
            'rabbit_quorum_queue',
        )
        self.guests(*prefix, 'amqp_auto_delete = true')
        self.assert_result(_WARNING, beside.check_topics(self.conf()), 'auto_delete is True there')
        for same in ('rabbit_quorum_queue = true', 'amqp_durable_queues = true'):
            self.guests(*prefix, same)
            self.assert_result(_SUCCESS, beside.check_topics(self.conf(default=quorum)))

    def test_guests_of_a_virtual_host_without_a_taskmanager_are_a_failure(self):
        told = (
            '[trove_upgrade]',
            'guest_topic_prefix = trove-upgrade-guest.',
            'guest_transport_url = rabbit://g:s3cret@h/guests',
        )
        self.guests(*told)
        services = ['transport_url = rabbit://t:s3cret@h/trove']
        for ours in ({}, {'guest_transport_url': 'rabbit://t:s3cret@h/other'}):
            found = beside.check_topics(self.conf(default=services, **ours))
            self.assert_result(
                _FAILURE,
                found,
                'guest_transport_url names the virtual host "guests" there',
                "'trove'",
            )
            self.assertNotIn('s3cret', found.details)
        for ours in (
            {'guest_transport_url': 'rabbit://t:s3cret@h/guests'},
            {'guest_transport_url': 'rabbit://t:s3cret@h:port/'},
        ):
            self.assert_result(_SUCCESS, beside.check_topics(self.conf(default=services, **ours)))
        self.guests(
            *told[:2]
        )  # the account of each guest stands in a file of its own, or they have not changed over
        self.assert_result(
            _SUCCESS,
            beside.check_topics(
                self.conf(
                    default=services,
                    guest_transport_url='rabbit://t:s3cret@h/guests?rabbit_quorum_queue=true',
                )
            ),
        )

    def test_the_options_in_the_urls_of_the_guests_virtual_host_are_compared(self):
        self.guests(
            '[trove_upgrade]',
            'guest_topic_prefix = trove-upgrade-guest.',
            'guest_transport_url = rabbit://g:s3cret@h/guests',
        )
        found = beside.check_topics(
            self.conf(guest_transport_url='rabbit://t:s3cret@h/guests?rabbit_quorum_queue=true')
        )
        self.assert_result(_WARNING, found, 'durable is False there and True here')

    def test_options_of_the_broker_of_a_wrong_form_are_not_its_matter(self):
        self.guests(
            '[trove_upgrade]',
            'guest_topic_prefix = trove-upgrade-guest.',
            '[oslo_messaging_rabbit]',
            'rabbit_quorum_queue = perhaps',
        )
        self.assert_result(_SUCCESS, beside.check_topics(self.conf()))

    def test_a_rebuilt_guest_must_get_the_same_file(self):
        self.guests('[trove_upgrade]', 'guest_topic_prefix = trove-upgrade-guest.')
        self.assert_result(
            _WARNING,
            beside.check_topics(self.conf(guest_config_file='/etc/other.conf')),
            '/etc/other.conf',
        )


class TestOthers(BesideTestCase):
    def test_two_writers_of_the_same_status_are_a_failure(self):
        self.assert_result(_SUCCESS, beside.check_status_writer(self.conf()))
        self.assert_result(
            _FAILURE,
            beside.check_status_writer(self.conf(write_service_status='true')),
            'Set it to false',
        )

    def test_limits_that_are_too_low_are_named(self):
        self.assert_result(_SUCCESS, beside.check_limits(self.conf()))
        self.assert_result(
            _WARNING,
            beside.check_limits(self.conf(default=['http_get_rate = 10'], max_body_bytes=1024)),
            'http_get_rate',
            'max_body_bytes',
        )

    def test_a_trove_that_was_not_tried_is_a_warning(self):
        site = self.folder / 'site' / 'trove-24.1.0.dist-info'
        site.mkdir(parents=True)
        self.useFixture(fixtures.PythonPathEntry(str(site.parent)))
        for version, code in (('24.1.0', _WARNING), ('26.0.3', _SUCCESS)):
            (site / 'METADATA').write_text(
                f'Metadata-Version: 2.1\nName: trove\nVersion: {version}\n'
            )
            self.assert_result(code, beside.check_release(), version)

    def test_an_api_without_the_filter_is_a_warning(self):
        url = f'sqlite:///{self.folder}/x.db'
        db = self.useFixture(database.SampleDatabase(url, sample=False))
        checks = status.Checks(self.conf(connection=url))
        self.assert_result(_WARNING, checks.check_filter(), "Restart Trove's API")
        db.repositories.services.register('host-1', 'trove-upgrade-filter', '1.0')
        self.assert_result(_SUCCESS, checks.check_filter())


class FakeNova:
    """As much of python-novaclient as the check asks."""

    def __init__(self, version='2.96', error=None):
        self.version = version
        self.error = error
        self.asked = []
        self.versions = self.servers = self

    def get_current(self):
        return self

    def list(self, **options):
        self.asked.append(options)
        if self.error:
            raise self.error
        return []


class TestNova(base.TestCase):
    def check(self, nova, wanted=(2, 93)):
        return cloud.check(lambda _version: nova, wanted)

    def test_servers_of_all_projects_are_asked_for(self):
        nova = FakeNova()
        found = self.check(nova)
        self.assertEqual(
            (
                _SUCCESS,
                'Nova shows the servers of all projects and is asked with microversion 2.93.',
            ),
            (found.code, found.details),
        )
        self.assertEqual([{'search_opts': {'all_tenants': True}, 'limit': 1}], nova.asked)

    def test_a_user_who_may_see_only_his_own_project_is_a_failure(self):
        found = self.check(
            FakeNova(error=nova_exceptions.Forbidden(403, 'Policy does not allow it'))
        )
        self.assertEqual(_FAILURE, found.code)
        self.assertIn('role admin', found.details)

    def test_no_answer_is_a_failure(self):
        found = self.check(FakeNova(error=nova_exceptions.ClientException(503)))
        self.assertEqual(_FAILURE, found.code)
        self.assertIn('auth_url', found.details)

    def test_an_old_nova(self):
        self.assertEqual(_WARNING, self.check(FakeNova('2.53')).code)
        self.assertIn('boot from a volume', self.check(FakeNova('2.60')).details)
