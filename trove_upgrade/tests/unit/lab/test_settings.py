# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pathlib
import stat
import tempfile

from lab import handle, identity, layout, settings, venv
from lab.hypervisor import host
from lab.services import neutron, nova, openstack, rabbitmq
from trove_upgrade.tests.unit import base


class SettingsTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        where = layout.Layout(self.root / 'cache', self.root / 'run')
        self.site = settings.Settings(
            layout=where,
            venv=venv.CloudVenv(venvs_dir=where.venvs_dir, log=self.root / 'log', environ={}),
            secrets=settings.Secrets.generate(),
        )

    def test_no_two_services_share_a_port(self):
        ports = list(dataclasses.asdict(self.site.ports).values())
        self.assertEqual(len(ports), len(set(ports)))

    def test_secrets_come_back_and_only_the_owner_may_read_them(self):
        path = self.root / 'secrets.json'
        self.site.secrets.save(path)
        self.assertEqual(self.site.secrets, settings.Secrets.load(path))
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))

    def test_no_service_uses_a_proxy_for_loopback(self):
        self.assertIn('127.0.0.1', self.site.env()['no_proxy'])

    def test_the_internal_compute_endpoint_leads_through_the_proxy(self):
        public, internal = identity.catalog(self.site)['compute']
        self.assertIn(str(self.site.ports.compute), public)
        self.assertIn(str(self.site.ports.compute_proxy), internal)

    def test_guests_broker_user_is_not_the_clouds(self):
        self.assertNotEqual(self.site.cloud_transport_url, self.site.trove_transport_url)
        self.assertTrue(self.site.trove_transport_url.endswith('/trove'))

    def test_service_users_are_administrators_of_the_service_project(self):
        trove = next(person for person in identity.people(self.site) if person.name == 'trove')
        self.assertEqual(('service', ('admin', 'service')), (trove.project, trove.roles))

    def test_an_ini_file_is_the_owners_alone(self):
        path = self.root / 'etc' / 'some.conf'
        openstack.write_ini(path, {'DEFAULT': {'debug': False, 'workers': 1}})
        self.assertEqual('[DEFAULT]\ndebug = false\nworkers = 1\n', path.read_text())
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))

    def test_the_broker_listens_on_loopback_alone(self):
        rabbitmq.configure(self.site)
        self.assertIn(
            'listeners.tcp.default = 127.0.0.1:',
            (self.site.etc('rabbitmq') / 'rabbitmq.conf').read_text(),
        )
        broker = rabbitmq.processes(self.site)[1]
        self.assertIn(
            'inet_dist_use_interface {127,0,0,1}', broker.env['RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS']
        )

    def test_the_handle_travels_through_a_file(self):
        made = handle.make(
            self.site, network_id='n', network_cidr='10.0.0.0/24', flavors={'small': '1'}
        )
        path = self.root / 'cloud.json'
        made.save(path)
        self.assertEqual(made, handle.CloudHandle.load(path))
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual('service', made.service.project_name)
        self.assertTrue(made.database_url('trove_x').startswith('mysql+pymysql://trove:'))
        self.assertNotIn('OS_TOKEN', made.users['demo'].environ())
        self.assertFalse(made.security_groups)

    def test_security_groups_are_off_unless_a_cloud_asks_for_them(self):
        for wanted, drivers in ((False, ''), (True, 'port_security')):
            site = dataclasses.replace(self.site, security_groups=wanted)
            site.layout.prepare()
            neutron.configure(site)
            nova.write_hypervisor_config(site)

            found = (site.etc('neutron') / 'neutron.conf').read_text()
            self.assertIn(f'extension_drivers = {drivers}\n', found)
            facts = host.HypervisorSettings.from_environ(
                {layout.RUN_VARIABLE: str(site.layout.run_dir)}
            )
            self.assertEqual(wanted, facts.security_groups)
