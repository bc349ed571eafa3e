# SPDX-License-Identifier: Apache-2.0
import configparser
import dataclasses
import importlib.metadata
import pathlib
import stat
import tempfile

from cryptography import fernet

from lab import layout, settings, venv
from lab.services import trove, trove_conf, trove_deployment
from trove_upgrade.tests.unit import base

_PASTE = """[composite:trove]
/v1.0: troveapi

[pipeline:troveapi]
pipeline = cors authtoken extensions troveapp
#pipeline = debug extensions troveapp

[app:troveapp]
paste.app_factory = trove.common.api:app_factory
"""


class TroveTest(base.TestCase):
    def setUp(self):
        super().setUp()
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        where = layout.Layout(root / 'cache', root / 'run')
        where.prepare()
        self.site = settings.Settings(
            layout=where,
            venv=venv.CloudVenv(venvs_dir=where.venvs_dir, log=root / 'log', environ={}),
            secrets=settings.Secrets.generate(),
        )
        shipped = self.site.venv.path / 'etc' / 'trove' / 'api-paste.ini'
        shipped.parent.mkdir(parents=True)
        shipped.write_text(_PASTE)
        self.deployment = trove_deployment.Deployment(
            broker='10.30.0.1:5672', registry='10.30.0.1:5000'
        )

    def configured(self, **changes):
        deployment = dataclasses.replace(self.deployment, **changes)
        trove.configure(self.site, deployment)
        return self.read(trove_conf.config_file(self.site))

    def read(self, path):
        parser = configparser.RawConfigParser()
        parser.read(path)
        return parser

    def plugins(self):
        return self.site.layout.run_dir / 'trove-plugins'

    def test_a_cloud_that_was_not_asked_for_trove_has_no_process_of_it(self):
        self.assertEqual([], trove.processes(self.site))

    def test_how_trove_is_installed_is_remembered_for_other_processes(self):
        wanted = dataclasses.replace(
            self.deployment, server='gunicorn', with_filter=True, options={'lease_seconds': 5}
        )
        wanted.save(self.site)
        self.assertEqual(wanted, trove_deployment.load(self.site))
        self.assertEqual(
            [trove.API, trove.CONDUCTOR, trove.TASKMANAGER],
            [process.name for process in trove.processes(self.site)],
        )

    def test_an_unknown_server_is_refused_at_once(self):
        self.assertRaises(ValueError, trove_deployment.Deployment, server='apache')

    def test_the_filter_stands_just_before_troves_extensions_and_application(self):
        changed = trove_conf.with_filter(_PASTE)
        self.assertIn('\npipeline = cors authtoken trove_upgrade extensions troveapp\n', changed)
        self.assertIn('[filter:trove_upgrade]\nuse = egg:trove-upgrade#upgrade\n', changed)
        self.assertIn('\n#pipeline = debug extensions troveapp\n', changed)

    def test_a_pipeline_that_is_none_of_troves_is_not_guessed_at(self):
        self.assertRaises(ValueError, trove_conf.with_filter, '[pipeline:x]\npipeline = cors\n')

    def test_stock_trove_has_nothing_of_ours(self):
        conf = self.configured()
        self.assertFalse(conf.has_section('trove_upgrade'))
        self.assertEqual(_PASTE, trove_conf.paste_file(self.site).read_text())
        self.assertFalse((self.plugins() / 'trove_upgrade').exists())
        self.assertFalse(
            self.read(trove_conf.guest_config_file(self.site)).has_section('trove_upgrade')
        )

    def test_with_the_filter_our_package_and_our_options_are_found(self):
        conf = self.configured(with_filter=True, options={'lease_seconds': 5})
        self.assertEqual('5', conf['trove_upgrade']['lease_seconds'])
        found = importlib.metadata.PathDistribution(self.plugins() / 'trove_upgrade-1.0.dist-info')
        self.assertEqual(
            ['upgrade'],
            [point.name for point in found.entry_points.select(group='paste.filter_factory')],
        )
        self.assertTrue((self.plugins() / 'trove_upgrade' / 'api' / 'app.py').exists())

    def test_our_options_are_there_before_the_filter_is(self):
        self.assertEqual(
            '5', self.configured(options={'lease_seconds': 5})['trove_upgrade']['lease_seconds']
        )

    def test_the_taskmanager_gets_one_key_for_guests_keys_that_stays_the_same(self):
        first, again = (
            self.configured(options={'lease_seconds': number})['trove_upgrade'][
                'guest_key_encryption_keys'
            ]
            for number in (5, 6)
        )
        self.assertEqual(first, again)
        fernet.Fernet(first)
        self.assertEqual(
            '',
            self.configured(options={'guest_key_encryption_keys': ''})['trove_upgrade'][
                'guest_key_encryption_keys'
            ],
        )

    def test_the_filter_taken_out_again_leaves_nothing(self):
        self.configured(with_filter=True)
        self.configured()
        self.assertFalse((self.plugins() / 'trove_upgrade').exists())

    def test_troves_host_is_an_address(self):
        self.assertEqual('127.0.0.1', self.configured()['DEFAULT']['host'])

    def test_data_goes_to_a_second_disk_without_cinder(self):
        conf = self.configured()
        for datastore in trove_conf.DATASTORES:
            self.assertEqual(
                ('false', '/dev/vdb'),
                (conf[datastore]['volume_support'], conf[datastore]['device_path']),
            )

    def test_a_test_may_change_any_option(self):
        conf = self.configured(
            sections={
                'network': {'network_isolation': True},
                'DEFAULT': {'agent_call_low_timeout': 2},
            }
        )
        self.assertEqual('true', conf['network']['network_isolation'])
        self.assertEqual('2', conf['DEFAULT']['agent_call_low_timeout'])
        self.assertEqual('127.0.0.1', conf['DEFAULT']['host'])

    def test_guests_reach_broker_and_registry_by_their_networks_gateway(self):
        conf = self.configured()
        guest = self.read(trove_conf.guest_config_file(self.site))
        self.assertTrue(guest['DEFAULT']['transport_url'].endswith('@10.30.0.1:5672/trove'))
        self.assertEqual('10.30.0.1:5000/mariadb', guest['mariadb']['docker_image'])
        self.assertEqual('10.30.0.1:5000', conf['DEFAULT']['docker_insecure_registries'])

    def test_passwords_are_the_owners_alone(self):
        self.configured()
        for path in (trove_conf.config_file(self.site), trove_conf.guest_config_file(self.site)):
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))

    def test_every_server_listens_where_the_catalog_says_and_on_loopback_alone(self):
        for server in ('uwsgi', 'gunicorn'):
            argv = trove.api_process(
                self.site, dataclasses.replace(self.deployment, server=server)
            ).argv
            self.assertIn('127.0.0.1:18779', argv)
        conf = self.configured(server='eventlet')
        self.assertEqual(
            ('127.0.0.1', '18779'), (conf['DEFAULT']['bind_host'], conf['DEFAULT']['bind_port'])
        )

    def test_servers_with_native_threads_are_not_patched_by_eventlet(self):
        for server, patched in (('uwsgi', False), ('gunicorn', False), ('eventlet', True)):
            env = trove.api_process(
                self.site, dataclasses.replace(self.deployment, server=server)
            ).env
            self.assertEqual(not patched, 'NO_EVENTLET_MONKEYPATCH' in env)
