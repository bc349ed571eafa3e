# SPDX-License-Identifier: Apache-2.0
"""Opening of a database in a container with a real engine: its server is started once, no client
reaches it before the comparison, and its container is the one that a start would have made.
"""

import dataclasses

from trove_upgrade.guestagent.datastores.mysql_family.container.names import FIRST_START
from trove_upgrade.guestagent.upgrade import quiesce, restore
from trove_upgrade.tests.functional.host import private_engine, trove_guest
from trove_upgrade.tests.functional.host.container_case import ContainerTestCase
from trove_upgrade.waiting import wait_until

#: The same series: none of these is about the upgrade of the data.
SAME = dataclasses.replace(trove_guest.TARGET, version_number='10.11', server_version='10.11')
ADDRESS = ('127.0.0.1', 3306)
PUBLISHED = (ADDRESS, ('127.0.0.1', 4567))
#: What a container sees of its network.
FILES = ('/etc/hosts', '/etc/resolv.conf', '/proc/net/route', '/proc/net/if_inet6')
#: Facts of the one container, and of its one run.
OWN = {
    'EndpointID',
    'NetworkID',
    'SandboxID',
    'SandboxKey',
}


class Cut(Exception):
    """The agent is ended at a sentence of its progress."""


class OpeningTestCase(ContainerTestCase):
    def stopped(self, **how):
        self.seed(**how)
        self.info = quiesce.quiesce(self.guest.work(target=SAME)).result['upgrade_info']
        self.guest.rebuild('10.11')

    def restores(self, until=None):
        """The work of the guest agent in a call, up to a sentence of its progress."""

        def progress(percent, message):
            if until is not None and message.startswith(until):
                raise Cut

        work = self.guest.work(progress, upgrade_info=self.info, target=SAME)
        if until is None:
            return restore.restore(work).result
        self.assertRaises(Cut, restore.restore, work)
        return None

    def reached(self):
        """Tell if a server greets a client that comes by the published port."""
        try:
            with self.guest.engine.connect(ADDRESS, 2) as connected:
                connected.settimeout(5)
                return bool(connected.recv(5))
        except OSError:
            return False

    def networks(self, name):
        return set(self.container(name).definition['NetworkSettings']['Networks'])

    def started(self, name='database'):
        return self.container(name).definition['State']['StartedAt']

    def assert_closed(self):
        self.assertEqual({'none'}, self.networks(FIRST_START))
        for address in PUBLISHED:
            self.assertRaises(OSError, self.guest.engine.connect, address, 2)

    def answers(self):
        return wait_until(
            lambda: self.guest.driver().server_version() is not None,
            private_engine.DEADLINE_SECONDS,
        )


class TestOneStart(OpeningTestCase):
    def facts(self):
        """The words of the engine and the container, without names of the one container."""
        told = self.container().definition
        config = {
            **told['Config'],
            'Env': sorted(
                item for item in told['Config']['Env'] if 'MARIADB_AUTO_UPGRADE' not in item
            ),
        }
        name = config.pop('Hostname')
        settings = dict(told['NetworkSettings'])
        networks = {
            network: {key: value for key, value in facts.items() if key not in OWN}
            for network, facts in settings.pop('Networks').items()
        }
        return {
            'Config': config,
            'HostConfig': {**told['HostConfig'], 'Binds': sorted(told['HostConfig']['Binds'])},
            'Networks': networks,
            'NetworkSettings': {key: settings[key] for key in settings.keys() - OWN},
            **{
                path: self.guest.engine.run(['exec', 'database', 'cat', path]).stdout.replace(
                    name, 'its name'
                )
                for path in FILES
            },
        }

    def test_is_enough_and_makes_the_container_that_two_would_have_made(self):
        self.stopped()
        self.restores(until='Opening')
        self.assert_closed()
        started = self.started(FIRST_START)
        result = self.restores()
        self.assertEqual([], result['fingerprint']['missing'])
        self.assertEqual(started, self.started(), 'the server was started again')
        self.assertTrue(self.reached())
        opened = self.facts()
        driver = self.guest.driver()
        self.guest.client().stop('database', 60)
        self.guest.client().remove('database')
        driver.open_for_clients()
        self.assertNotEqual(started, self.started())
        self.assertEqual(self.facts(), opened)

    def test_outlives_the_engine(self):
        self.stopped()
        self.restores()
        self.assertEqual('unless-stopped', self.container().restart_policy)
        self.guest.engine.stop()
        self.guest.engine.start()
        self.assertTrue(self.answers())
        self.assertTrue(self.reached())
        self.assertEqual({'bridge'}, self.networks('database'))

    def test_gives_the_server_the_settings_that_a_start_gives_it(self):
        self.stopped(
            extra='max-statement-time=60\nread-only=1\nautocommit=0\nmax-join-size=1000\n'
            'max-user-connections=7\nidle-transaction-timeout=1\nmax-allowed-packet=2097152\n'
        )
        self.restores(until='Opening')
        self.assertEqual(
            [(0, 0, 1)], self.guest.sql('SELECT @@max_statement_time, @@read_only, @@autocommit')
        )
        self.restores()
        opened = dict(self.guest.sql('SHOW GLOBAL VARIABLES'))
        self.guest.engine.run(['restart', 'database'])
        self.assertTrue(self.answers())
        started = dict(self.guest.sql('SHOW GLOBAL VARIABLES'))
        for shown in (opened, started):
            shown.pop(
                'server_uid', None
            )  # of a network card, which is not there at the first start
        self.assertEqual(started, opened)


class TestWhatIsCutShort(OpeningTestCase):
    def setUp(self):
        super().setUp()
        self.stopped()

    def test_between_any_two_steps_of_the_opening_goes_on_without_a_start(self):
        self.restores(until='Opening')
        started = self.started(FIRST_START)
        closed = self.guest.driver().host._first.closed
        self.assertIsNone(closed.name_it(self.container(FIRST_START)))
        self.assertFalse(self.reached())
        self.restores()
        self.assertTrue(self.reached())
        self.guest.client().disconnect('database', 'bridge')  # as before it was connected
        self.assertFalse(self.reached())
        self.guest.driver().open_for_clients()
        self.assertTrue(self.reached())
        self.assertEqual(started, self.started())
        self.assertEqual([(1234,)], self.guest.sql('SELECT @@global.wait_timeout'))

    def test_by_the_end_of_the_engine_stays_closed_and_is_begun_anew(self):
        for sentence in ('Upgrading', 'Opening'):
            self.restores(until=sentence)
            self.assert_closed()
            self.guest.engine.stop(kill=True)
            self.guest.engine.start()
            self.guest.driver().keep_closed()
            self.assertFalse(self.container(FIRST_START).running)
            self.assertFalse(self.reached())
        self.assertEqual([], self.restores()['fingerprint']['missing'])
        self.assertTrue(self.reached())
        self.assertIsNone(self.container(FIRST_START))

    def test_by_others_who_connect_the_container_is_closed_again_and_told(self):
        self.restores(until='Upgrading')
        client = self.guest.client()
        client.disconnect(FIRST_START, 'none')
        client.connect(FIRST_START, 'bridge')
        self.assertTrue(self.reached())
        driver = self.guest.driver()
        self.assertFalse(driver.is_isolated())
        driver.keep_closed()
        self.assertFalse(self.reached())
        self.assertFalse(driver.is_isolated())
        self.assertIn('clients may have read it', '\n'.join(self.restores()['remarks']))
        self.assertTrue(self.reached())
