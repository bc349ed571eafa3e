# SPDX-License-Identifier: Apache-2.0
"""A container that is the final one from its first start on: no client reaches it before the
comparison, and opening is no start.
"""

import pathlib
import re

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family.container import closed_network
from trove_upgrade.guestagent.datastores.mysql_family.container.health_account import FILE
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.tests.unit.guestagent.datastores.container import fakes, test_driver
from trove_upgrade.tests.unit.guestagent.datastores.container.fakes import NEW
from trove_upgrade.tests.unit.guestagent.datastores.container.test_driver import FIRST

_SET = re.compile(r'SET GLOBAL `?(\w+)`? = (.+)')
_CHANGES = frozenset(
    {
        'connect',
        'create',
        'disconnect',
        'remove',
        'rename',
        'set_restart_policy',
        'start',
        'stop',
    }
)


class Variables:
    """A session of a server whose variables are what its last start made of them."""

    def __init__(self, session, variables, replicas):
        self._session, self._variables, self._replicas = session, variables, replicas

    def rows(self, statement, arguments=()):
        changed = _SET.fullmatch(statement)
        if changed:
            self._variables[changed[1]] = arguments[0] if arguments else changed[2]
            return []
        if statement == 'SHOW GLOBAL VARIABLES':
            return list(self._variables.items())
        if statement == 'SHOW ALL SLAVES STATUS':
            return self._replicas
        return self._session.rows(statement, arguments)

    def close(self):
        self._session.close()


class Guest(fakes.Guest):
    """A guest of Trove's: its data has the accounts of the health check."""

    def __init__(self, root):
        self.configured = {'max_statement_time': '0.01', 'event_scheduler': 'OFF', 'init_file': ''}
        self.replicas = []
        self.starts = []  # what each server was told on its command line
        self._variables = {}
        super().__init__(root)
        (self.volume / 'data' / FILE).touch()

    def new_root(self, here=()):
        super().new_root(here)
        self.starts, self._variables = [], {}

    def connect(self, credentials, timeout_seconds):
        session = super().connect(credentials, timeout_seconds)
        return Variables(session, self.variables(), self.replicas)

    def running(self):
        return next(container for container in self.engine.containers.values() if container.running)

    def variables(self):
        definition = self.running().definition
        started = definition['State']['StartedAt']
        if started not in self._variables:
            command = definition['Config']['Cmd']
            is_isolated = '--skip-networking' in command
            self.starts.append('isolated' if is_isolated else 'as clients meet it')
            limit = {'max_statement_time': '0'} if is_isolated else {}
            self._variables[started] = {**self.configured, **limit}
        return self._variables[started]

    def reached(self):
        """Tell if a client that comes over the network meets a server."""
        return any(
            container.running
            and container.definition['NetworkSettings']['Ports']
            and '--skip-networking' not in container.definition['Config']['Cmd']
            for container in self.engine.containers.values()
        )

    def ends(self, *, boots):
        """The engine ends and comes back, alone or with the guest."""
        for name, container in list(self.engine.containers.items()):
            if container.running:
                self.engine.end(name, 137)
                if container.restart_policy == 'unless-stopped':
                    self.engine.start(name)
        if boots:
            for path in (self.root / 'run/trove-upgrade').glob('*'):
                path.unlink()


class ClosedTestCase(test_driver.ContainerTestCase):
    def setUp(self):
        super().setUp()
        self.guest = self.another_guest()

    def another_guest(self):
        return Guest(pathlib.Path(self.useFixture(fixtures.TempDir()).path))

    def closed(self, **changes):
        """A server on a new root disk, before the comparison."""
        driver = self.restored()
        driver = self.guest.driver(**changes)
        driver.start_isolated()
        return driver

    def assert_serves(self, *starts):
        self.assertTrue(self.guest.reached())
        self.assertEqual(['database'], list(self.engine.containers))
        self.assertEqual({'bridge'}, self.engine.networks('database'))
        self.assertEqual('unless-stopped', self.database.restart_policy)
        self.assertEqual(self.guest.configured, self.guest.variables())
        if starts:
            self.assertEqual(list(starts), self.guest.starts[-len(starts) :])
        self.assertFalse((self.guest.root / 'run/trove-upgrade' / closed_network._NAME).exists())


class TestOpening(ClosedTestCase):
    def test_is_no_start_and_the_container_is_the_one_that_a_start_would_have_made(self):
        driver = self.closed()
        self.assertEqual({'none'}, self.engine.networks(FIRST))
        self.assertEqual('0', self.guest.variables()['max_statement_time'])
        self.assertTrue(driver.is_isolated())
        self.assertFalse(self.guest.reached())
        self.engine.asked.clear()
        driver.set_autostart(enabled=True)
        driver.open_for_clients()
        self.assertEqual(['rename', 'policy', 'disconnect', 'connect'], self.engine.names())
        self.assert_serves('as clients meet it')
        opened = self.database.definition
        driver.host._creation.create('another', driver.host.records.require(), command=None)
        made = self.engine.containers['another'].definition
        self.assertEqual(made['HostConfig'], opened['HostConfig'])
        self.assertEqual(
            {*made['Config']['Env'], 'MARIADB_AUTO_UPGRADE='} - {'MARIADB_AUTO_UPGRADE=1'},
            set(opened['Config']['Env']),
        )
        for config in (made['Config'], opened['Config']):
            del config['Env']
        self.assertEqual(made['Config'], opened['Config'])

    def test_may_be_repeated_from_the_first_start_on(self):
        driver = self.closed()
        driver.start_isolated()
        for _ in range(2):
            driver.open_for_clients()
        self.assert_serves('as clients meet it')
        self.assertEqual(1, self.engine.names().count('start'))

    def test_outlives_the_engine_and_the_guest(self):
        self.closed().open_for_clients()
        for boots in (False, True):
            self.guest.ends(boots=boots)
            self.guest.driver().keep_closed()
            self.assert_serves()

    def test_by_the_agent_of_the_release_before_is_a_start(self):
        driver = self.closed()
        (self.guest.root / 'run/trove-upgrade' / closed_network._NAME).unlink()
        driver.open_for_clients()
        self.assert_serves('as clients meet it', 'as clients meet it')

    def test_goes_on_with_a_first_start_of_the_release_before(self):
        driver = self.restored()
        driver.host._creation.create(
            FIRST, driver.host.records.require(), command=['--skip-networking'], network='none'
        )
        self.engine.start(FIRST)
        driver.start_isolated()
        self.assertEqual(['create', 'start'], self.engine.names())
        driver.open_for_clients()
        self.assert_serves('isolated', 'as clients meet it')


class TestWhereAStartMustStay(ClosedTestCase):
    def assert_another_start(self, reason, driver, *, starts=('isolated',)):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        driver.start_isolated()
        self.assertEqual({'none'}, self.engine.networks(FIRST))
        self.assertFalse(self.guest.reached())
        self.guest.variables()
        driver.open_for_clients()
        self.assertIn(str(reason), log.output)
        self.assert_serves(*starts, 'as clients meet it')

    def configure(self, text):
        my = self.guest.root / 'etc/mysql/my.cnf'
        my.write_text(f'{my.read_text()}{text}\n')

    def test_what_the_configuration_runs_by_itself(self):
        for option, reason in (
            ('init-file = /x', Restart.INIT_FILE),
            ('event_scheduler = ON', Restart.EVENTS_ON),
            ('event_scheduler = DISABLED', Restart.EVENTS),
            ('wsrep_on = ON', Restart.CLUSTER),
            ('master-info-file = /x', Restart.REPLICATION),
        ):
            self.guest = self.another_guest()
            self.configure(option)
            self.assert_another_start(reason, self.restored())

    def test_what_the_command_or_the_environment_says_of_it(self):
        for word, variable, reason in (
            ('--init-file=/x', 'TZ=UTC', Restart.INIT_FILE),
            ('--event-scheduler', 'TZ=UTC', Restart.EVENTS_ON),
            ('--defaults-extra-file=/x', 'TZ=UTC', Restart.COMMAND),
            ('--defaults-file=/x', 'TZ=UTC', Restart.COMMAND),
            ('--defaults-group-suffix=x', 'TZ=UTC', Restart.COMMAND),
            ('--port=3306', 'MYSQL_HOME=/x', Restart.COMMAND),
            ('--port=3306', 'MYSQL_GROUP_SUFFIX=x', Restart.COMMAND),
        ):
            self.guest = self.another_guest()
            env = [*fakes.IMAGES[fakes.OLD].config['Env'], variable, 'MARIADB_AUTO_UPGRADE=1']
            self.guest.trove_creates(Cmd=[word], Env=env)
            self.assert_another_start(reason, self.restored())

    def test_a_server_that_replicates_by_its_files_or_by_its_own_word(self):
        (self.guest.volume / 'data/master-far.info').touch()
        self.assert_another_start(Restart.REPLICATION, self.restored())
        self.guest = self.another_guest()
        self.guest.replicas = [('far',)]
        self.assert_another_start(
            Restart.REPLICATION, self.restored(), starts=('as clients meet it', 'isolated')
        )

    def test_accounts_that_the_entrypoint_has_to_make(self):
        (self.guest.volume / 'data' / FILE).unlink()
        self.assert_another_start(Restart.ENTRYPOINT, self.restored())

    def test_the_network_of_the_guest(self):
        host = {**self.database.definition['HostConfig'], 'NetworkMode': 'host'}
        self.engine._change('database', definition={**self.database.definition, 'HostConfig': host})
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        driver = self.restored()
        driver.start_isolated()
        for _ in range(2):
            driver.open_for_clients()
        self.assertIn(str(Restart.NETWORK_OF_GUEST), log.output)
        self.assertEqual({'host'}, self.engine.networks('database'))
        self.assertEqual(2, self.engine.names().count('start'))

    def test_mysql(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        self.restored()
        self.guest.driver(MySQL()).start_isolated()
        self.assertIn(str(Restart.ENGINE), log.output)
        self.assertIn('--skip-networking', self.guest.running().definition['Config']['Cmd'])

    def test_a_setting_that_was_changed_meanwhile(self):
        driver = self.closed()
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        self.guest.variables()['sql_mode'] = 'ANSI'
        driver.open_for_clients()
        self.assertIn(str(Restart.SETTINGS), log.output)
        self.assert_serves('as clients meet it', 'as clients meet it')

    def test_an_engine_that_refuses_a_part_of_it(self):
        for part in ('rename', 'disconnect', 'connect'):
            self.guest = self.another_guest()
            driver = self.closed()
            self.engine.refused.add(part)
            driver.open_for_clients()
            self.assert_serves('as clients meet it', 'as clients meet it')

    def test_an_engine_that_leaves_the_container_on_its_own_network(self):
        driver = self.restored()
        creates = self.engine.create

        def create(*given, at_first=None, **others):
            creates(*given, **others)

        self.engine.create = create
        driver.start_isolated()
        self.assertFalse(self.guest.reached())
        self.guest.variables()
        driver.open_for_clients()
        self.assert_serves('isolated', 'as clients meet it')

    def test_an_engine_that_publishes_no_port(self):
        driver = self.closed()
        puts = self.engine._on

        def on(name, networks):
            puts(name, networks)
            if 'connect' in self.engine.names() and self.engine.names()[-1] == 'connect':
                self.engine.containers[name].definition['NetworkSettings']['Ports'] = {}

        self.engine._on = on
        driver.open_for_clients()
        self.assert_serves('as clients meet it', 'as clients meet it')

    def test_a_server_that_does_not_start_so(self):
        driver = self.restored()
        starts = self.engine.start

        def start(name):
            starts(name)
            if '--skip-networking' not in self.engine.containers[name].definition['Config']['Cmd']:
                self.engine.end(name, 1)
                self.engine.start = starts

        self.engine.start = start
        self.assert_another_start(Restart.START, driver)


class TestAContainerThatOthersConnect(ClosedTestCase):
    def test_is_taken_off_again_and_all_is_done_anew(self):
        driver = self.closed()
        for network in (None, 'bridge'):
            self.engine.disconnect(FIRST, 'none')
            if network:
                self.engine.connect(FIRST, network)
            self.assertFalse(driver.is_isolated())
            driver = self.guest.driver()
            driver.keep_closed()
            self.assertFalse(self.guest.reached())
            self.assertFalse(driver.is_isolated())
            driver.start_isolated()
            self.assertTrue(driver.is_isolated())
        driver.open_for_clients()
        self.assert_serves('as clients meet it')

    def test_or_start_again_is_made_anew_as_its_limits_are_in_force_again(self):
        driver = self.closed()
        for _ in range(2):
            self.engine.stop(FIRST, 1)
            self.engine.start(FIRST)
            self.assertEqual('0.01', self.guest.variables()['max_statement_time'])
            driver.start_isolated()
            self.assertEqual('0', self.guest.variables()['max_statement_time'])
        self.engine.stop(FIRST, 1)
        self.engine.start(FIRST)
        driver.open_for_clients()
        self.assert_serves('as clients meet it', 'as clients meet it')

    def test_after_the_comparison_is_opened_by_a_start(self):
        driver = self.closed()
        self.engine.disconnect(FIRST, 'none')
        self.engine.connect(FIRST, 'bridge')
        driver.open_for_clients()
        self.assert_serves('as clients meet it', 'as clients meet it')

    def test_while_its_server_starts_is_found_before_the_data_is_looked_at(self):
        driver = self.restored()
        starts = self.engine.start

        def start(name):
            starts(name)
            self.engine.disconnect(name, 'none')
            self.engine.connect(name, 'bridge')
            self.engine.start = starts

        self.engine.start = start
        driver.start_isolated()
        self.assertFalse(driver.is_isolated())
        driver.keep_closed()
        driver.start_isolated()
        self.assertTrue(driver.is_isolated())

    def test_is_no_matter_of_an_agent_in_whose_guest_no_first_start_is(self):
        driver = self.guest.driver()
        self.engine.down = True
        driver.keep_closed()


class Died(BaseException):
    """The agent has been killed."""


class Dying:
    """An engine that does as another one, and whose so manieth change ends the agent: before it is
    made, or after.
    """

    def __init__(self, engine, left, *, after, look):
        self._engine, self._left, self._after, self._look = engine, left, after, look

    def __getattr__(self, name):
        found = getattr(self._engine, name)
        if name not in _CHANGES:
            return found

        def changed(*given, **others):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Died
            result = found(*given, **others)
            self._look()
            if self._left == 0:
                raise Died
            return result

        return changed


_DEATHS = st.lists(
    st.tuples(st.integers(1, 8), st.booleans(), st.sampled_from(('agent', 'engine', 'guest'))),
    max_size=4,
)


class TestInWhateverOrderThingsDie(ClosedTestCase):
    def restores(self, guest):
        """The steps of the restore with the database: no client may come before the comparison."""
        driver = guest.driver()
        driver.keep_closed()
        if not self.compared:
            driver.start_isolated()
            self.assertTrue(driver.is_isolated())
            self.assertEqual('0', guest.variables()['max_statement_time'])
            self.compared = True
        driver.set_autostart(enabled=True)
        driver.open_for_clients()

    @given(_DEATHS)
    def test_no_client_comes_before_the_comparison_and_all_do_in_the_end(self, deaths):
        guest = self.guest = self.another_guest()
        self.restored()
        engine, self.compared = guest.engine, False

        def look():
            self.assertFalse(guest.reached() and not self.compared)

        for left, after, dies in deaths:
            guest.engine = Dying(engine, left, after=after, look=look)
            try:
                self.restores(guest)
            except Died:
                look()
            guest.engine = engine
            if dies != 'agent':
                guest.ends(boots=dies == 'guest')
                look()
        self.restores(guest)
        self.assert_serves()
        self.assertEqual(NEW, self.database.image)
