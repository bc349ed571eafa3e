# SPDX-License-Identifier: Apache-2.0
"""The client of the engine's API against a real engine."""

from lab.containers import recipes
from trove_upgrade.clock import SystemClock
from trove_upgrade.guestagent.machine.containers import definitions, errors, http
from trove_upgrade.guestagent.machine.containers.docker_engine import DockerEngine
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host.private_engine import Engine, Images

#: Ends in good order on TERM.
SERVES = ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done']
#: Any two that each machine has.
BINDS = ('/usr/share:/one:ro', '/usr/lib:/two:ro')


def listed(definition, part, key):
    """A list of a definition; some engines tell of an empty one as null, others leave it out."""
    return definition[part].get(key) or []


class EngineClientTest(base.TestCase):
    """One engine for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        images = Images()
        cls.server = Engine(images=[images.archive(recipes.MARIADB_10_11, ['mariadb:10.11'])])
        cls.server.setUp()
        cls.addClassCleanup(cls.server.cleanUp)

    def setUp(self):
        super().setUp()
        self.engine = DockerEngine(http.UnixTransport(self.server.socket), SystemClock())
        for name in ('database', 'other'):
            self.addCleanup(self.engine.remove, name, force=True)

    def definition(self, command=SERVES, binds=()):
        return {
            'Config': {
                'Image': 'mariadb:10.11',
                'Cmd': command,
                'Env': ['A=1', 'B=2'],
                'User': '1001:1001',
            },
            'HostConfig': {
                'RestartPolicy': {'Name': 'unless-stopped'},
                'Binds': list(binds),
            },
        }

    def create(self, command=SERVES, binds=(), **kwargs):
        # The image's own entrypoint would become a database.
        self.engine.create(
            'database',
            self.definition(['sh', '-c', 'exec "$@"', 'sh', *command], binds),
            network='none',
            **kwargs,
        )

    def test_it_answers_and_says_its_version(self):
        self.assertTrue(self.engine.ping())
        self.assertRegex(self.engine.version(), r'^\d+\.\d+')

    def test_it_tells_its_platform_in_the_words_of_images(self):
        self.assertEqual('linux', self.engine.platform().os)

    def test_it_says_where_it_writes_its_images(self):
        self.assertTrue(self.engine.image_directory().is_absolute())
        self.assertIsNone(self.engine.inspect('nobody'))
        self.assertIsNone(self.engine.image('nobody:1'))
        self.assertIn('PATH', self.engine.image('mariadb:10.11').env)

    def test_a_container_lives_as_it_is_told_to(self):
        self.create(env={'B': None, 'C': '3'})
        self.assertEqual(('created', None, 'unless-stopped'), self.facts())
        self.engine.start('database')
        self.engine.start('database')
        self.assertEqual(('running', None, 'unless-stopped'), self.facts())
        self.engine.set_restart_policy('database', 'no')
        finished = self.engine.exec(
            'database',
            ['sh', '-c', 'echo $A$B$C$D; echo err >&2; exit 3'],
            env={'D': 'x y'},
            timeout_seconds=30,
        )
        self.assertEqual(
            (3, {'13x y', 'err'}), (finished.return_code, set(finished.output.split('\n')) - {''})
        )
        self.engine.stop('database', 30)
        self.engine.stop('database', 30)
        self.engine.kill('database')
        self.assertEqual(
            (0, ('exited', 0, 'no')),
            (self.engine.wait('database', 30, lambda *_: None), self.facts()),
        )
        self.assertEqual(['up', 'bye'], self.engine.logs('database', 10).split())
        self.engine.rename('database', 'other')
        self.assertIsNone(self.engine.inspect('database'))

    def facts(self):
        container = self.engine.inspect('database')
        return container.status, container.exit_code, container.restart_policy

    def networks(self):
        settings = self.engine.inspect('database').definition['NetworkSettings']
        return set(settings['Networks']), set(settings['Ports'] or ())

    def test_one_that_is_on_no_network_at_first_is_put_on_its_own_while_it_runs(self):
        definition = self.definition(['sh', '-c', 'exec "$@"', 'sh', *SERVES])
        definition['HostConfig']['PortBindings'] = {'3306/tcp': [{'HostPort': '13306'}]}
        self.engine.create('other', definition, at_first='none')
        self.engine.start('other')
        self.assertRaises(errors.EngineRefused, self.engine.connect, 'other', 'bridge')
        self.engine.rename('other', 'database')
        self.assertEqual(({'none'}, set()), self.networks())
        self.engine.disconnect('database', 'none')
        self.assertEqual((set(), set()), self.networks())
        self.engine.connect('database', 'bridge')
        self.assertEqual(({'bridge'}, {'3306/tcp'}), self.networks())
        for again in (
            lambda: self.engine.connect('database', 'bridge'),
            lambda: self.engine.disconnect('database', 'none'),
            lambda: self.engine.connect('nobody', 'bridge'),
        ):
            self.assertRaises(errors.EngineError, again)
        self.assertEqual(({'bridge'}, {'3306/tcp'}), self.networks())

    def test_a_server_that_does_not_stop_in_time_is_killed_and_its_exit_code_tells(self):
        self.create(['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'])
        self.engine.start('database')
        self.engine.stop('database', 1)
        self.assertEqual(137, self.engine.wait('database', 30, lambda *_: None))

    def test_it_is_made_again_from_what_the_engine_tells_of_it(self):
        self.create(binds=BINDS)
        self.assertCountEqual(BINDS, self.made_again()['HostConfig']['Binds'])

    def test_one_without_binds_is_made_again_without_any(self):
        self.create()
        self.assertEqual([], listed(self.made_again(), 'HostConfig', 'Binds'))

    def made_again(self):
        """Make it again, and return its definition, which is as before."""
        container = self.engine.inspect('database')
        kept = definitions.without_image_defaults(
            container.definition, self.engine.image(container.image_id).config
        )
        self.engine.remove('database')
        self.engine.create('database', kept)
        again = self.engine.inspect('database').definition
        for part, keys in (
            ('Config', ('Cmd', 'User', 'Image', 'Healthcheck')),
            ('HostConfig', ('RestartPolicy', 'NetworkMode')),
        ):
            for key in keys:
                self.assertEqual(container.definition[part].get(key), again[part].get(key), key)
        for part, key in (('Config', 'Env'), ('HostConfig', 'Binds')):  # the engine keeps no order
            self.assertCountEqual(listed(container.definition, part, key), listed(again, part, key))
        return again

    def test_a_throwaway_tries_something_and_is_gone(self):
        finished = self.engine.run_throwaway(
            'mariadb:10.11',
            ['-c', 'id -u; ls -ld /scratch; exit 7'],
            user='1001:1001',
            entrypoint=['sh'],
            tmpfs={'/scratch': 'uid=1001,gid=1001'},
            timeout_seconds=60,
        )
        self.assertEqual((7, '1001'), (finished.return_code, finished.output.split('\n')[0]))
        self.assertRaises(
            TimeoutError,
            self.engine.run_throwaway,
            'mariadb:10.11',
            ['60'],
            user='1001',
            entrypoint=['sleep'],
            timeout_seconds=0.5,
        )
        error = self.assertRaises(
            errors.ContainerFailed,
            self.engine.run_throwaway,
            'mariadb:10.11',
            [],
            user='1001',
            entrypoint=['/no/such'],
            timeout_seconds=5,
        )
        self.assertIn('/no/such', error.message)
        self.assertEqual(
            '', self.server.run(['ps', '--all', '--quiet', '--filter', 'name=trove-upgrade']).stdout
        )

    def test_a_program_that_outlasts_its_time_is_told(self):
        self.create()
        self.engine.start('database')
        self.assertRaises(
            TimeoutError, self.engine.exec, 'database', ['sleep', '60'], timeout_seconds=0.5
        )

    def test_refusals_have_their_codes(self):
        self.create()
        for code, action in (
            ('CONTAINER_NOT_FOUND', lambda: self.engine.start('nobody')),
            ('CONTAINER_NOT_FOUND', lambda: self.engine.stop('nobody', 1)),
            (
                'CONTAINER_IMAGE_NOT_FOUND',
                lambda: self.engine.create('other', {'Config': {'Image': 'nobody:1'}}),
            ),
            ('CONTAINER_FAILED', lambda: self.engine.create('database', self.definition())),
            ('ENGINE_REFUSED', lambda: self.engine.exec('database', ['true'], timeout_seconds=5)),
            (
                'CONTAINER_IMAGE_NOT_PULLED',
                lambda: self.engine.pull('127.0.0.1:9/nobody:1', lambda *_: None),
            ),
        ):
            self.assertEqual(code, self.assertRaises(errors.EngineError, action).code)
