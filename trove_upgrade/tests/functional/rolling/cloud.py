# SPDX-License-Identifier: Apache-2.0
"""Servers for the stand-in of Nova: each is a directory, and its agent a process of the code that
its image has.

A rebuild is carried out as Nova does it: the process ends, the root disk is made anew from the
image and the user data, the volume stays, and the server boots.
"""

import base64
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid

import fixtures

from trove_upgrade.domain.cloud_init import documents
from trove_upgrade.tests.functional.rolling import release_code
from trove_upgrade.tests.unit.guestagent import fakes

PROGRAMS = pathlib.Path(__file__).parent
KEY_FILE = '/etc/trove/trove-upgrade-guest.key'
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 90

_CONFIG_DIRECTORY = '/etc/trove/conf.d'
_GUEST_INFO = """[DEFAULT]
guest_id = {instance_id}
datastore_manager = mariadb
datastore_version = 10.11.14
{more}
"""


@dataclasses.dataclass(frozen=True)
class Image:
    """What a server boots."""

    id: str
    code: release_code.Code
    server_version: str


class Process:
    """A program of this folder, run by the code of a release; it ends with ours."""

    def __init__(self, code, program, arguments, log, hostname=None):
        self._log = log
        named = (
            ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', hostname]
            if hostname
            else []
        )
        with log.open('ab') as out:
            self._process = subprocess.Popen(
                [
                    'setpriv',
                    '--pdeathsig',
                    'KILL',
                    *named,
                    sys.executable,
                    str(PROGRAMS / program),
                    *map(str, arguments),
                ],
                cwd='/',
                env=code.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def running(self):
        return self._process.poll() is None

    @property
    def code(self):
        """None while it runs."""
        return self._process.poll()

    def words(self):
        """What it has written."""
        return self._log.read_text(errors='replace')

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """A clean end."""
        self._process.terminate()
        return self._process.wait(_STOP_SECONDS)


class Server:
    """One of Nova's."""

    def __init__(self, cloud, instance_id, clock_hours=0):
        self.clock_hours = clock_hours
        self.id = str(uuid.uuid4())
        self.instance_id = instance_id
        self.directory = cloud.directory / self.id
        self.rebuilds = []  #: user data of each, as path -> text
        self.boots = 0
        self.process = None
        self._cloud = cloud

    def hold(self, step):
        """Let the job of this step wait; `rebuild`: Nova's, `boot`: the new guest's."""
        (self.directory / f'hold-{step}').touch()

    def let_go(self, step):
        (self.directory / f'hold-{step}').unlink(missing_ok=True)

    def has_reached(self, step):
        """Whether its job of this step waits, or has waited."""
        return (self.directory / f'reached-{step}').exists()

    def is_held(self, step):
        return (self.directory / f'hold-{step}').exists()

    @property
    def key_file(self):
        """Of the guest, as root finds it there."""
        return self.directory / 'root' / KEY_FILE.lstrip('/')

    def give_key(self, content):
        """As an operator puts the file of a key there, whole at once."""
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        made = self.key_file.with_suffix('.new')
        made.touch(mode=0o600)
        made.write_bytes(content)
        made.rename(self.key_file)

    def make(self, image, user_data):
        self.directory.mkdir()
        if self.clock_hours:
            (self.directory / 'clock-hours').write_text(str(self.clock_hours))
        with (self._cloud.directory / f'{self.id}.json').open('w', encoding='utf-8') as file:
            state = {'status': 'ACTIVE', 'image_id': image.id, 'metadata': {}}
            json.dump({**state, 'user_data': base64.b64encode(user_data).decode()}, file)
        self._install(user_data)
        self.boot(image)

    def boot(self, image):
        """Its agent starts, in a boot of its own."""
        self.boots += 1
        self.start_agent(image)

    def start_agent(self, image):
        """It starts, again where it had ended, in the boot that there is."""
        log = self._cloud.directory / f'{self.id}-{self.boots}-{image.code.release}.log'
        arguments = (self.directory, image.server_version, f'boot-{self.boots}-{self.id}')
        self.process = Process(image.code, 'guest_program.py', arguments, log)

    def rebuild(self, image, user_data):
        self.process.kill()
        mounted = self.directory / 'root/var/lib/mysql'
        if not (self.directory / 'volume').exists():
            mounted.rename(self.directory / 'volume')
        shutil.rmtree(self.directory / 'root')
        self._install(user_data)
        self.rebuilds.append(
            {path: text.decode() for path, text in documents.files(user_data).items()}
        )

    def _install(self, user_data):
        """What cloud-init does of it."""
        modes = {
            entry['path']: int(str(entry.get('permissions', '0644')), 8)
            for entry in documents.entries_of(documents.load(user_data))
        }
        for path, content in documents.files(user_data).items():
            place = self.directory / 'root' / path.lstrip('/')
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(modes.get(path, 0o644))


class Cloud(fixtures.Fixture):
    """All servers.  `guest_config`: the text of trove-guestagent.conf."""

    def __init__(self, images, guest_config):
        super().__init__()
        self._images = {image.id: image for image in images}
        self._guest_config = guest_config
        self.servers = {}
        self._ending = threading.Event()

    def _setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='tu-rolling-', dir=fakes.scratch()))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self._kill_all)
        nova = threading.Thread(target=self._work, name='nova', daemon=True)
        self.addCleanup(nova.join)
        self.addCleanup(self._ending.set)
        nova.start()

    def create(self, instance_id, image_id, more_guest_info='', clock_hours=0):
        """A server, booted as Trove would have made it; user data as `yaml.dump` writes it.

        `clock_hours`: by so many its time of day is off, after each rebuild too.
        """
        server = Server(self, instance_id, clock_hours)
        self.servers[server.id] = server
        files = {
            'guest_info.conf': _GUEST_INFO.format(instance_id=instance_id, more=more_guest_info),
            'trove-guestagent.conf': self._guest_config,
        }
        entries = [
            {
                'path': f'{_CONFIG_DIRECTORY}/{name}',
                'encoding': 'b64',
                'content': base64.b64encode(text.encode()).decode(),
            }
            for name, text in files.items()
        ]
        server.make(self._images[image_id], documents.dump({'write_files': entries}))
        return server

    def image(self, image_id):
        return self._images[image_id]

    def logs(self):
        """By name of the file."""
        return {
            path.name: path.read_text(errors='replace') for path in self.directory.glob('*.log')
        }

    def _kill_all(self):
        for server in self.servers.values():
            if server.process is not None:
                server.process.kill()

    def _work(self):
        """Nova's thread."""
        waiting = {}
        while not self._ending.wait(_LOOK_SECONDS):
            for server in list(self.servers.values()):
                if server.id not in waiting and not server.is_held('rebuild'):
                    state = self._state(server)
                    if state is not None and state['status'] == 'REBUILD':
                        server.rebuild(
                            self._images[state['image_id']], base64.b64decode(state['user_data'])
                        )
                        self._change(server, status='ACTIVE')
                        waiting[server.id] = self._images[state['image_id']]
                elif server.id in waiting and not server.is_held('boot'):
                    server.boot(waiting.pop(server.id))

    def _state(self, server):
        path = self.directory / f'{server.id}.json'
        if not path.exists():
            return None
        with path.open('r', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            text = file.read()
        return json.loads(text) if text else None

    def _change(self, server, **changes):
        with (self.directory / f'{server.id}.json').open('r+', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = {**json.load(file), **changes}
            file.seek(0)
            file.truncate()
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
