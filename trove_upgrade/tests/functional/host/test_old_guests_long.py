# SPDX-License-Identifier: Apache-2.0
"""Guests from before the upgrade feature, by themselves: an agent of old under Python 2.7, MariaDB
10.5, files that are injected and no user data.
"""

import subprocess
import threading
import uuid

import oslo_messaging

from lab.bridge import old_guests
from lab.hypervisor.host import LabHost
from lab.images import oldest, provision
from trove_upgrade.tests.functional.host import broker_case, private_broker, test_lab_guests

CONDUCTOR = 'trove-conductor'
CALL_SECONDS = 20
PASSWORD = 'an-old-password'


class Conductor:
    """What trove-conductor takes of a heartbeat."""

    target = oslo_messaging.Target(version='1.0')

    def __init__(self):
        self.heard = []
        self.woken = threading.Event()

    def heartbeat(self, _context, instance_id, payload, sent=None):
        self.heard.append((instance_id, payload, sent))
        self.woken.set()


class OldGuestCase(test_lab_guests.GuestTestCase):
    """Both old images, and a key that opens their guests."""

    @classmethod
    def setUpClass(cls):
        super(test_lab_guests.GuestTestCase, cls).setUpClass()
        cls.builder = test_lab_guests.builder()
        cls.images = oldest.build(cls.builder, print)
        cls.former, cls.systemd = cls.images.sysv, cls.images.systemd

    def setUp(self):
        super().setUp()
        self.key = self.host.directory / 'key'
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', self.key], check=True)
        self.instance_id = str(uuid.uuid4())

    def files(self, transport_url='rabbit://trove:x@10.0.0.1:5672/trove'):
        return old_guests.injected_files(
            old_guests.OldGuest(
                instance_id=self.instance_id,
                project_id='project-1',
                transport_url=transport_url,
                authorized_key=self.key.with_suffix('.pub').read_text().strip(),
                heartbeat_seconds=2,
                password=PASSWORD,
            )
        )

    def old_guest(self, image=None, **more):
        image = image or self.former
        return self.guest(
            image,
            user_data=b'',
            init=image.init,
            injected_files=self.files(**more),
        )

    def ssh_options(self):
        return [
            *('-i', str(self.key)),
            *('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'),
            *('-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-o', 'LogLevel=ERROR'),
        ]

    def ssh(self, command, user='root'):
        target = f'{user}@{test_lab_guests.ADDRESS}'
        argv = ['ssh', *self.ssh_options(), target, command]
        return self.host.fabric.run_in('net-1', argv).output.strip()


class OldGuestTest(OldGuestCase):
    def test_it_is_old(self):
        self.old_guest()

        facts = self.images.sysv.facts
        if self.images.stands_in:
            self.skipTest('bullseye could not be fetched; the old agent runs on a newer Debian')
        self.assertEqual('debian 11', facts['os'])
        self.assertTrue(facts['server_version'].startswith('10.5.'))
        self.assertIsNone(facts['agent_version'])
        self.assertIn(
            'Python 2.7', self.ssh('$(head -1 /usr/bin/trove-guestagent | cut -c3-) -V 2>&1')
        )
        self.assertIn('OpenSSH_8.4', self.ssh('ssh -V 2>&1'))

    def test_operators_log_in_as_root_and_with_sudo(self):
        self.old_guest()

        self.assertEqual('root', self.ssh('id -un'))
        self.assertEqual('trove root', self.ssh('echo $(id -un) $(sudo id -un)', user='trove'))

    def test_an_account_may_have_a_password_and_root_has_none(self):
        guest = self.old_guest()
        ask = self.host.directory / 'ask'
        ask.write_text(f'#!/bin/sh\necho {PASSWORD}\n')
        ask.chmod(0o700)

        def logs_in(user):
            options = ('-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1')
            done = subprocess.run(
                [
                    *self.host.fabric.entry('net-1'),
                    'ssh',
                    *options,
                    *('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'),
                    f'{user}@{test_lab_guests.ADDRESS}',
                    'id -un',
                ],
                env={'SSH_ASKPASS': str(ask), 'SSH_ASKPASS_REQUIRE': 'force'},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            return done.stdout.strip() == user

        self.assertTrue(logs_in('trove'))
        self.assertFalse(logs_in('root'))
        self.assertEqual('', self.shell(guest, f'ls {old_guests.PASSWORDS} 2> /dev/null || true'))

    def test_nothing_of_ours_and_no_user_data_is_in_it(self):
        guest = self.old_guest()

        self.assertEqual(
            '',
            self.shell(guest, 'find / -xdev -path /proc -prune -o -name "*trove-upgrade*" -print'),
        )
        self.assertEqual(
            '', self.shell(guest, 'grep -v "^#" /var/lib/cloud/seed/nocloud/user-data || true')
        )
        self.assertIn(
            f'guest_id={self.instance_id}',
            self.shell(guest, 'cat /etc/trove/conf.d/guest_info.conf'),
        )

    def test_its_database_runs_under_the_package_s_service_and_comes_back(self):
        guest = self.old_guest()
        old_guests.provision(guest)
        provision.seed_rows(guest, 1000)

        guest.reboot()

        self.assertIn(b'MariaDB', self.greeting())
        self.assertEqual('1000', provision.sql(guest, 'SELECT COUNT(*) FROM shop.orders;').strip())
        self.assertEqual('157', provision.sql(guest, 'SELECT @@max_connections;').strip())
        self.assertEqual(
            '/bin/sh',
            self.shell(guest, 'tr "\\0" "\\n" < /proc/$(pgrep -o mysqld_safe)/cmdline | head -1'),
        )
        self.assertIn('running', self.ssh('service trove-guestagent status'))
        self.assertEqual('', self.shell(guest, 'ls /run/systemd/system 2> /dev/null || true'))

    def test_the_other_one_runs_under_systemd(self):
        guest = self.old_guest(self.systemd)
        old_guests.provision(guest)

        self.assertEqual('active', self.ssh('systemctl is-active trove-guestagent'))
        self.assertEqual('active', self.ssh('systemctl is-active mariadb'))
        guest.reboot()

        self.wait_until(
            lambda: guest.exec(['mysqladmin', 'ping'], check=False).returncode == 0,
            'the database after the reboot',
        )
        self.assertIn('/usr/bin/trove-guestagent', self.ssh('systemctl cat trove-guestagent'))


class OldAgentTest(OldGuestCase):
    """At a real broker, against the oslo.messaging of today."""

    def setUp(self):
        super().setUp()
        self.broker = self.useFixture(private_broker.Broker())
        self.host = LabHost.open(
            self.host.directory, broker=('127.0.0.1', self.broker.settings.ports.broker)
        )
        self.transport = oslo_messaging.get_rpc_transport(
            broker_case.configured(self.broker.url, 'trove')
        )
        self.addCleanup(self.transport.cleanup)
        self.conductor = Conductor()
        server = oslo_messaging.get_rpc_server(
            self.transport,
            oslo_messaging.Target(topic=CONDUCTOR, server='here', exchange='trove'),
            [self.conductor],
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)

    def guest_url(self):
        user, _, place = self.broker.url.partition('@')
        return f'{user}@10.0.0.1:5672/{place.partition("/")[2]}'

    def test_its_heartbeat_is_one_that_the_conductor_takes(self):
        guest = self.old_guest(transport_url=self.guest_url())
        self.wait_until(lambda: self.conductor.heard, 'a heartbeat')
        self.assertEqual(
            (self.instance_id, {'service_status': 'shutdown'}), self.conductor.heard[0][:2]
        )

        old_guests.provision(guest)

        self.wait_until(
            lambda: self.conductor.heard[-1][1] == {'service_status': 'running'}, 'a running one'
        )
        sent = [one[2] for one in self.conductor.heard]
        self.assertEqual(sorted(sent), sent)

    def test_it_does_not_know_pre_upgrade_and_lives_on(self):
        self.old_guest(transport_url=self.guest_url())
        self.wait_until(lambda: self.conductor.heard, 'a heartbeat')
        client = oslo_messaging.get_rpc_client(
            self.transport,
            oslo_messaging.Target(
                topic=f'guestagent.{self.instance_id}', exchange='trove', version='1.0'
            ),
            timeout=CALL_SECONDS,
        )

        refusal = self.assertRaises(
            oslo_messaging.RemoteError, client.call, {}, 'pre_upgrade', marker='m'
        )
        self.assertEqual('NoSuchMethod', refusal.exc_type)
        refusal = self.assertRaises(
            oslo_messaging.RemoteError, client.prepare(version='1.7').call, {}, 'pre_upgrade'
        )
        self.assertEqual('UnsupportedVersion', refusal.exc_type)

        seen = len(self.conductor.heard)
        self.wait_until(lambda: len(self.conductor.heard) > seen, 'the next heartbeat')
