# SPDX-License-Identifier: Apache-2.0
"""One configuration file for Trove and for us: `trove-upgrade-taskmanager --config-file
/etc/trove/trove.conf`.
"""

import pathlib

import fixtures
from oslo_config import cfg
from oslo_log import log

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.domain import states
from trove_upgrade.rpc import transport
from trove_upgrade.sealing import at_rest
from trove_upgrade.taskmanager import composition, service
from trove_upgrade.taskmanager.outside import ports_from_conf
from trove_upgrade.tests.unit import base

#: What a trove.conf of Trove 26 has; groups and options that are none of ours among it.
TROVE_CONF = """
[DEFAULT]
debug = False
log_dir = /var/log/trove
host = 10.0.0.5
transport_url = rabbit://trove:secret@broker:5672/
control_exchange = trove
api_paste_config = /etc/trove/api-paste.ini
admin_roles = admin
guest_config = /etc/trove/trove-guestagent.conf
taskmanager_manager = trove.taskmanager.manager.Manager
max_instances_per_tenant = 10
nova_client_version = 2.57
management_networks = 9c1c
[database]
connection = mysql+pymysql://trove:secret@db/trove
idle_timeout = 3600
[keystone_authtoken]
www_authenticate_uri = http://keystone/identity
[mariadb]
docker_image = mariadb
volume_support = True
[network]
network_isolation = True
[oslo_messaging_notifications]
driver = messagingv2
"""
CREDENTIALS = """
[service_credentials]
auth_url = http://keystone/identity/v3
username = trove
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
"""
FORMER_CREDENTIALS = """
[DEFAULT]
trove_auth_url = http://keystone/identity/v3
nova_proxy_admin_user = trove
nova_proxy_admin_pass = secret
nova_proxy_admin_tenant_name = service
os_region_name = RegionOne
"""
OURS = """
[trove_upgrade]
write_service_status = false
guest_topic_prefix = trove-upgrade-guest.
guest_config_file = /etc/trove/trove-guestagent.conf
"""
KEYS = f'\nguest_key_encryption_keys = {at_rest.generate()}\n'


class TestTrovesFile(base.TestCase):
    def conf(self, *texts):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'trove.conf')
        path.write_text(''.join(texts))
        conf = cfg.ConfigOpts()
        log.register_options(conf)
        our_conf.register_opts(conf)
        conf(args=['--config-file', str(path)], project='trove-upgrade', prog=service.BINARY)
        return conf

    def test_a_taskmanager_is_composed_from_it(self):
        conf = self.conf(TROVE_CONF, CREDENTIALS, OURS, KEYS)
        outside = ports_from_conf(conf)
        files = composition.guest_files_of(conf, outside)
        self.assertEqual(
            ('/etc/trove/trove-guestagent.conf', 'trove-upgrade-guest.'),
            (files.guest_config_file, files.guest_topic_prefix),
        )
        steps = composition.steps(conf, outside, preflight=None, call=None, held=None)
        self.assertEqual(75.0, steps[states.Step.VERIFY].status_seconds)
        self.assertEqual(
            ('trove-upgrade', 'trove-upgrade-taskmanager'),
            (
                transport.taskmanager_target(conf, server='h').exchange,
                transport.taskmanager_target(conf, server='h').topic,
            ),
        )

    def test_alone_nobody_waits_for_an_agent_of_troves(self):
        conf = self.conf(TROVE_CONF, CREDENTIALS, '[trove_upgrade]', KEYS)
        steps = composition.steps(conf, ports_from_conf(conf), preflight=None, call=None, held=None)
        self.assertEqual(0.0, steps[states.Step.VERIFY].status_seconds)

    def test_the_service_user_is_troves_under_either_of_its_names(self):
        for texts in ((TROVE_CONF, CREDENTIALS), (TROVE_CONF, FORMER_CREDENTIALS)):
            made = session.from_conf(self.conf(*texts), timeout_seconds=5).auth
            self.assertEqual(
                ('http://keystone/identity/v3', 'trove', 'service'),
                (made.auth_url, made._username, made._project_name),
            )

    def test_troves_own_file_decides_on_the_files_of_a_new_guest(self):
        troves = (
            '[DEFAULT]\ninjected_config_owner = trove\ncontroller_address = c\n'
            'docker_bridge_network_ip = 172.30.0.1/16\ndocker_insecure_registries = r:5000,s\n'
            'guest_info = /etc/guest_info\n[network]\nnetwork_isolation = false\n'
        )
        conf = self.conf(TROVE_CONF, CREDENTIALS, KEYS, troves)
        outside = ports_from_conf(conf)
        made = composition.new_guests_of(conf, outside)
        self.assertEqual(
            ('/etc/trove/conf.d', 'trove', 'root', '/etc/guest_info', False, '172.30.0.1/16'),
            (
                made.settings.directory,
                made.settings.owner,
                made.settings.group,
                made.settings.guest_info,
                made.settings.network_isolation,
                made.settings.bridge_network,
            ),
        )
        self.assertEqual(('r:5000', 's'), made.settings.insecure_registries)
        self.assertEqual('c', made.settings.controller_address)
        self.assertEqual('/etc/trove/cloudinit', made.cloudinit_directory)
        self.assertIs(outside.repos.troves_keys, made.keys)
        self.assertIs(outside.network, made.nics)
