# SPDX-License-Identifier: Apache-2.0
"""An engine without containers: what it was asked is kept in order, and its servers answer as long
as they run.
"""

import contextlib
import dataclasses
import itertools
import pathlib

from trove_upgrade.guestagent.datastores import base, factory
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.container import target_server
from trove_upgrade.guestagent.datastores.mysql_family.engines.mariadb import MariaDB
from trove_upgrade.guestagent.datastores.mysql_family.hosts.container_host import Containers
from trove_upgrade.guestagent.datastores.mysql_family.hosts.host import HostPorts
from trove_upgrade.guestagent.machine.containers import definitions, errors
from trove_upgrade.guestagent.machine.containers.answers import Container, Image
from trove_upgrade.guestagent.machine.finished import Finished
from trove_upgrade.tests.unit.guestagent import archives
from trove_upgrade.tests.unit.guestagent.datastores import fakes as family

OLD, NEW = 'registry/mariadb:10.11', 'registry/mariadb:11.8'
OLD_EXACT, NEW_EXACT = (f'registry/mariadb@sha256:{digit * 64}' for digit in '12')
#: What stands for the digest where an engine has loaded the image.
NEW_LOADED = f'registry/mariadb:sha256-{"2" * 64}'
VERSIONS = {
    **dict.fromkeys((OLD, OLD_EXACT), '10.11.18-MariaDB'),
    **dict.fromkeys((NEW, NEW_EXACT, NEW_LOADED), '11.8.6-MariaDB'),
}
PASSWORD = 'of-the-root'


def image(name, digests=()):
    return Image(
        id=f'sha256:{name}',
        digests=tuple(digests),
        labels={},
        env={'PATH': f'/{name}'},
        created='',
        config={'Env': [f'PATH=/{name}', f'VERSION={name}'], 'Cmd': ['mariadbd']},
    )


IMAGES = {OLD: image('old', [OLD_EXACT]), NEW: image('new', [NEW_EXACT])}


class FakeEngine:
    """`Engine`.  `registry`: what can be pulled; `broken`: ids of images whose server ends at
    once; `refused`: what it is asked for and does not do.
    """

    def __init__(self, here=(OLD,), registry=(OLD, NEW)):
        self.images = {reference: IMAGES[reference] for reference in here}
        self.registry = {reference: IMAGES[reference] for reference in registry}
        self.registry[OLD_EXACT] = IMAGES[OLD]
        self.containers = {}
        self.asked = []
        self.broken = set()
        self.refused = set()
        self.registry_is_down = False
        self.exit_code = 0  # of a server that is shut down
        self.finished = {}  # name of a program -> how it ends
        self.trial = Finished(0, '')
        self.target = Finished(
            0, f'{target_server.VERSION}mariadbd  Ver 11.8.6-MariaDB for Linux on x86_64\n'
        )
        self.answers_after = 0
        self.down = False
        self.loads = dataclasses.replace(IMAGES[NEW], digests=())  # of any archive
        self._numbers = itertools.count(1)

    def _note(self, what, *facts):
        if self.down:
            raise errors.EngineNotAnswering('The container engine cannot be asked.')
        self.asked.append((what, *facts))
        if what in self.refused:
            raise errors.EngineRefused(f'The container engine cannot {what}.')

    def names(self):
        """What was asked for, without looks."""
        return [entry[0] for entry in self.asked]

    def ping(self):
        self.answers_after -= 1
        return not self.down and self.answers_after < 0

    def version(self):
        return '20.10.24'

    def platform(self):
        return archives.PLATFORM

    def inspect(self, name):
        if self.down:
            raise errors.EngineNotAnswering('The container engine cannot be asked.')
        return self.containers.get(name)

    def create(
        self,
        name,
        definition,
        *,
        image=None,
        command=None,
        env=None,
        network=None,
        at_first=None,
        restart=None,
    ):
        body = definitions.creation(
            definition,
            image=image,
            command=command,
            env=env,
            network=network,
            at_first=at_first,
            restart=restart,
        )
        self._note('create', name, body['Image'])
        if body['Image'] not in self.images:
            raise errors.ContainerImageNotFound(f'Container {name} cannot be made.')
        if name in self.containers:
            raise errors.ContainerFailed(f'The name {name} is taken.')
        host = body.pop('HostConfig')
        endpoints = body.pop('NetworkingConfig', {}).get('EndpointsConfig')
        raw = {
            'Id': f'c{next(self._numbers)}',
            'Config': body,
            'HostConfig': host,
            'NetworkSettings': {'Networks': endpoints or {_network(host): {}}, 'Ports': {}},
        }
        merged = {
            **self.images[body['Image']].env,
            **definitions.environment_of(body['Env']),
        }  # as the engine tells it
        body['Env'] = [f'{variable}={value}' for variable, value in merged.items()]
        self.containers[name] = Container(
            id=raw['Id'],
            image=body['Image'],
            image_id=self.images[body['Image']].id,
            running=False,
            status='created',
            exit_code=None,
            restart_policy=host['RestartPolicy']['Name'],
            health=None,
            definition=raw,
        )

    def _change(self, name, **changes):
        if name not in self.containers:
            raise errors.ContainerNotFound(f'Container {name} cannot be found.')
        self.containers[name] = dataclasses.replace(self.containers[name], **changes)

    def _on(self, name, networks):
        """Put it on these networks; of its own ports those of a bridge are published while it
        runs.
        """
        container = self.containers[name]
        host = container.definition['HostConfig']
        ports = host.get('PortBindings') if container.running and 'bridge' in networks else {}
        settings = {'Networks': {network: {} for network in networks}, 'Ports': ports}
        self._change(name, definition={**container.definition, 'NetworkSettings': settings})

    def networks(self, name):
        """Networks that it is on."""
        return set(self.containers[name].definition['NetworkSettings']['Networks'])

    def connect(self, name, network):
        self._note('connect', name, network)
        networks = self.networks(name)
        if network in networks or (networks and 'none' in {network, *networks}):
            raise errors.EngineRefused(f'The engine cannot connect container {name}.')
        self._on(name, {*networks, network})

    def disconnect(self, name, network):
        self._note('disconnect', name, network)
        if network not in self.networks(name):
            raise errors.EngineRefused(f'Container {name} is not connected to {network}.')
        self._on(name, self.networks(name) - {network})

    def rename(self, name, new):
        self._note('rename', name, new)
        if new in self.containers:
            raise errors.EngineRefused(f'The name {new} is taken.')
        self.containers[new] = self.containers.pop(name)

    def start(self, name):
        self._note('start', name)
        if self.containers[name].image_id in self.broken:
            self._change(name, running=False, status='exited', exit_code=1)
        else:
            self._change(name, running=True, status='running', exit_code=None)
            container = self.containers[name]
            state = {'StartedAt': next(self._numbers)}
            self._change(name, definition={**container.definition, 'State': state})
            own = {_network(container.definition['HostConfig'])}
            self._on(name, self.networks(name) or own)

    def end(self, name, code):
        self._change(name, running=False, status='exited', exit_code=code)
        self._on(name, self.networks(name))

    def stop(self, name, seconds):
        self._note('stop', name, seconds)
        self.end(name, 0)

    def kill(self, name):
        self.end(name, 137)

    def remove(self, name, *, force=False):
        if self.containers.pop(name, None) is not None:
            self._note('remove', name)

    def set_restart_policy(self, name, policy):
        self._note('policy', name, policy)
        self._change(name, restart_policy=policy)

    def exec(self, name, argv, *, env=None, timeout_seconds, on_line=None):
        self._note('exec', name, argv[-1] if argv[0] == 'sh' else argv[0], dict(env or {}))
        if not self.containers[name].running:
            raise errors.EngineRefused(f'Container {name} does not run.')
        if argv[0] == 'sh' and 'sh' not in self.finished:
            return Finished(0, '/usr/bin/mariadb-upgrade\n')
        return self.finished.get(argv[0], Finished(0, ''))

    def run_throwaway(
        self,
        image,
        argv,
        *,
        user,
        binds=(),
        tmpfs=None,
        env=None,
        network='none',
        entrypoint=None,
        timeout_seconds,
    ):
        self._note('throwaway', image, user, tuple(binds), network)
        if target_server.VERSION in argv[-1]:
            self.asked_server = argv[-1]
            return self.target
        self.script = argv[-1]
        if isinstance(self.trial, Exception):
            raise self.trial
        return self.trial

    def image(self, reference):
        return next(
            (found for name, found in self.images.items() if reference in {name, found.id}), None
        )

    def is_published(self, reference):
        if self.registry is None:
            raise errors.EngineRefused('The registry cannot be asked.')
        return reference in self.registry

    def pull(self, reference, progress):
        self._note('pull', reference)
        if self.registry_is_down:
            raise errors.ImageNotPulled(
                f'Container image {reference} cannot be pulled: connection refused.'
            )
        if reference not in self.registry:
            raise errors.ContainerImageNotFound(
                f'Container image {reference} cannot be found: manifest unknown.'
            )
        self.images[reference] = self.registry[reference]

    @contextlib.contextmanager
    def saved(self, image_id, seconds):
        self._note('save', image_id)
        yield iter([archives.archive()])

    def load(self, archive, size_bytes):
        self._note('load', len(b''.join(archive)), size_bytes)
        self.images[self.loads.id] = self.loads

    def tag(self, image_id, reference):
        self._note('tag', image_id, reference)
        self.images[reference] = self.image(image_id)

    def remove_image(self, reference):
        self._note('remove_image', reference)
        self.images.pop(reference, None)

    def logs(self, name, lines):
        return 'the last words\n'


def _network(host):
    """Name of the network of a container's own, as an engine has it."""
    mode = host.get('NetworkMode')
    return 'bridge' if mode in {None, '', 'default'} else mode


class TroveAgentControl:
    """Trove's agent, in the same list as the engine's."""

    def __init__(self, engine):
        self.engine = engine

    def marker_files(self):
        return ()

    def hold(self):
        self.engine.asked.append(('hold',))

    def release(self):
        self.engine.asked.append(('release',))

    def resume(self):
        self.engine.asked.append(('resume',))


class Socket:
    """A published port where the server greets."""

    def __init__(self, greeting=b'\x4a\0\0\0\x0a5.5'):
        self.left = greeting

    def recv(self, size):
        head, self.left = self.left[:size], self.left[size:]
        return head

    def settimeout(self, seconds):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


class Guest:
    """A guest's directories, its engine with Trove's container, and drivers of successive
    agents.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.volume = root / 'var/lib/mysql'
        (self.volume / 'data').mkdir(parents=True)
        (self.volume / 'conf.d').mkdir()
        (self.volume / 'conf.d/root.cnf').write_text(
            f'[client]\nuser = root\npassword = {PASSWORD}\n'
        )
        (root / 'etc/mysql').mkdir(parents=True)
        (root / 'etc/mysql/my.cnf').write_text('[mysqld]\nsocket = /var/run/mysqld/other.sock\n')
        self.clock = family.Clock()
        self.engine = FakeEngine()
        self.credentials = []
        self.greeting = b'\x4a\0\0\0\x0a5.5'
        self.session_rules = []
        self.trove_creates()

    def trove_creates(self, **config):
        """As Trove's agent does, and as the engine tells it with what the image brings."""
        definition = {
            'Config': {
                'Env': [
                    *IMAGES[OLD].config['Env'],
                    f'MYSQL_ROOT_PASSWORD={PASSWORD}',
                    'MARIADB_AUTO_UPGRADE=1',
                ],
                'User': '1001:1001',
                'Cmd': [
                    '--defaults-file=/etc/mysql/my.cnf',
                    '--ignore-db-dir=conf.d',
                    '--datadir=/var/lib/mysql/data',
                ],
                'Healthcheck': {'Test': ['CMD', 'healthcheck.sh']},
                **config,
            },
            'HostConfig': {
                'Binds': [
                    f'{self.root}/etc/mysql:/etc/mysql:rw',
                    f'{self.volume}:{self.volume}:rw',
                ],
                'NetworkMode': 'bridge',
                'Privileged': True,
                'IpcMode': 'host',
                'PortBindings': {'3306/tcp': [{'HostIp': '', 'HostPort': '13306'}]},
            },
        }
        self.engine.containers.pop('database', None)
        self.engine.create('database', definition, image=OLD, restart='unless-stopped')
        self.engine.start('database')
        self.engine.asked.clear()

    def new_root(self, here=()):
        """Nova's rebuild: the record comes back by the stash, the engine has nothing but what is
        preloaded.
        """
        asked = self.engine.asked
        self.engine = FakeEngine(here=here)
        self.engine.asked = asked
        asked.clear()

    def connect(self, credentials, timeout_seconds):
        self.credentials.append(credentials)
        running = [container for container in self.engine.containers.values() if container.running]
        if not running or credentials.password != PASSWORD:
            raise connection.NoAnswer(socket=credentials.socket, found='refused')
        name = next(
            name for name, container in self.engine.containers.items() if container is running[0]
        )

        def shut_down():
            self.engine.asked.append(('SHUTDOWN',))
            if self.engine.exit_code is not None:
                self.engine.end(name, self.engine.exit_code)
            return []

        return family.Session(
            *self.session_rules,
            ('^SHUTDOWN', shut_down),
            ('innodb_fast_shutdown', [(1, 0, 'OFF')]),
            ('SELECT VERSION', [(VERSIONS[running[0].image],)]),
            ('skip_networking', [(0, 3306)]),
            ('SELECT (COUNT|COALESCE.MAX)', [(0,)]),
        )

    def sleep(self, seconds):
        self.clock.seconds += seconds

    def driver(self, database=None, proc=pathlib.Path('/proc'), **changes):
        context = base.DriverContext(
            volume=self.volume,
            data_directory=self.volume / 'data',
            etc=self.root / 'etc',
            run=self.root / 'run/trove-upgrade',
            image_facts=ImageFacts(),
            now=_Now(),
            monotonic=self.clock,
        )
        containers = Containers(
            engine=self.engine,
            repository='registry/mariadb',
            trove_agent=TroveAgentControl(self.engine),
            store=self.root,
            reach=lambda address, seconds: Socket(self.greeting),
        )
        return factory.in_container(
            database or MariaDB(),
            context,
            family.Service(known=(), enabled=(), running=None),
            dataclasses.replace(containers, **changes),
            HostPorts(connect=self.connect, sleep=self.sleep, start_seconds=60, proc=proc),
        )


class _Now:
    def __call__(self):
        return self

    def isoformat(self):
        return '2026-11-21T12:00:00+00:00'
