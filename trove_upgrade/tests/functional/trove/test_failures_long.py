# SPDX-License-Identifier: Apache-2.0
"""Stock Trove's other failures, on real Trove with our filter: broken images, messages that come
late, a server's only NIC.
"""

import dataclasses
import subprocess

from lab import following
from lab.commands import HostCommands
from lab.containers import registry
from lab.containers.builder import ContainerBuilder
from lab.containers.recipes import BROKEN_11_8, MARIADB_11_8, NO_SERVER_11_8
from lab.services import trove
from trove_upgrade.tests.functional.trove import holding

#: A tag of this test's own: it reads as any 11.8.
MOVING_TAG = '11.8'
#: Sends what Trove's taskmanager sends: its own classes, its own keys.
_CAST = """
import sys
from trove.common import cfg
CONF = cfg.CONF
cfg.parse_args(['cast', '--config-file', sys.argv[1]])
from trove import rpc
from trove.common.context import TroveContext
from trove.db.sqlalchemy import session
session.configure_db()
rpc.init(CONF)
from trove.guestagent.api import API
context = TroveContext(is_admin=True, project_id=sys.argv[4])
guest = API(context, sys.argv[2])
guest.rebuild(sys.argv[3], config_contents='[mysqld]\\n')
guest.upgrade({'instance_id': sys.argv[2], 'datastore': 'mariadb', \
'datastore_version': sys.argv[3], 'datastore_version_id': 'x'})
for method, version in (('stop_db', '1.1'), ('restart', '1.0')):
    guest._cast(method, version=version)
print('cast')
"""


class ImageCase(holding.HoldingCase):
    def push(self, recipe):
        """What the moving tag means from now on."""
        settings = self.side.settings
        image = ContainerBuilder(
            settings.layout.images_cache, HostCommands(), lambda _line: None
        ).build(recipe)
        registry.client(settings).push(dataclasses.replace(image, tags=(MOVING_TAG,)))


class TestBrokenImages(ImageCase):
    NAMES = ('broken-image',)

    def test_a_broken_image_is_an_error_at_once_with_its_cause_and_a_retry_with_a_mended_one_completes(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        instance = self.made['broken-image']
        self.fill(instance)
        before = self.container(instance)

        upgrade = self.upgrade(
            instance, self.register(NO_SERVER_11_8.fixed_version)
        )  # its server cannot even be tried
        self.assertEqual(
            ('ABORTED', 'CONFIGURATION_NOT_TRIED'),
            (upgrade['state'], upgrade['error_code']),
            upgrade,
        )
        self.assertEqual(before, self.container(instance))  # it has not been stopped for that

        self.addCleanup(self.push, MARIADB_11_8)
        self.push(BROKEN_11_8)
        upgrade = self.upgrade(instance, self.register(MOVING_TAG))
        self.assertEqual('FAILED', upgrade['state'], upgrade)
        shown = self.instances.show(instance.id)
        self.assertEqual(
            ('ERROR', self.former.name), (shown['status'], shown['datastore']['version'])
        )
        for words in ('ended with code 1', 'broken on purpose'):
            self.assertIn(words, shown['fault']['message'])
        restore = next(run for run in upgrade['steps'] if run['step'] == 'restore')
        self.assertLess(following.seconds(restore), 60)

        self.push(MARIADB_11_8)
        reference = f'{self.side.deployment.registry}/mariadb:{MOVING_TAG}'
        self.guest(instance).exec(
            [
                'sh',
                '-c',
                'docker rm -f trove-upgrade-first-start; docker image rm -f "$1"',
                'sh',
                reference,
            ]
        )
        self.product.manage('upgrade', 'retry', upgrade['id'])
        upgrade = self.ended(instance)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assertTrue(self.sql(instance, 'SELECT VERSION()').startswith('11.8.'))
        self.assertEqual(str(holding.ROWS), self.sql(instance, 'SELECT COUNT(*) FROM app.kept'))
        self.assertEqual('ACTIVE', self.instances.show(instance.id)['status'])
        self.assertNotIn('fault', self.instances.show(instance.id))


class TestStaleCasts(holding.HoldingCase):
    NAMES = ('stale-casts',)

    def test_what_was_sent_to_troves_agent_while_it_was_away_does_not_run_after_the_upgrade(self):
        instance = self.made['stale-casts']
        self.fill(instance)
        guest = self.guest(instance)
        guest.exec(['/etc/init.d/trove-guestagent', 'stop'])
        settings = self.side.settings
        done = subprocess.run(
            [
                settings.venv.program('python'),
                '-c',
                _CAST,
                str(self.side.conf_path),
                instance.id,
                self.former.number,
                self.instances.project_id,
            ],
            env=trove.manage_env(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr[-3000:])
        queue = f'guestagent.{instance.id}'
        upgrade = self.upgrade(instance, self.target)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.wait_until(lambda: trove.consumes(settings, queue), "Trove's agent to listen again")
        self.wait_until(
            lambda: self.instances.show(instance.id).get('operating_status') == 'HEALTHY',
            'Trove to hear of it',
        )
        self.assert_serves(instance, self.target)


class TestTheOnlyNic(holding.HoldingCase):
    def restart_taskmanager(self, sections):
        """It renders what a guest is told."""
        self.side.taskmanager.stop()
        self.side.configure(sections=sections)
        self.side.taskmanager.start()

    def test_with_network_isolation_on_the_only_nic_stays_up(self):
        """Stock: its admin rebuild takes the only NIC for the customers' and its agent shuts it."""
        former = self.side.deployment.sections
        self.addCleanup(self.restart_taskmanager, former)
        self.restart_taskmanager({**former, 'network': {'network_isolation': True}})
        instance = self.create_instance('one-nic')
        self.fill(instance)
        upgrade = self.upgrade(instance, self.target)
        self.assertEqual('COMPLETED', upgrade['state'], upgrade)
        self.assertIn(
            'network_isolation=True',
            self.instances.user_data(instance.server_id)['/etc/trove/conf.d/guest_info.conf'],
        )
        self.wait_until(
            lambda: self.instances.show(instance.id).get('operating_status') == 'HEALTHY',
            "Trove's agent to be heard",
        )
        self.assert_serves(instance, self.target)
