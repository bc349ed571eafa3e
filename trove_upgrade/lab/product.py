# SPDX-License-Identifier: Apache-2.0
"""Our own control plane beside the cloud's: the API under uWSGI and one taskmanager, as an operator would run them.

It is started from console scripts alone: the lab imports nothing of the product.
"""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

from trove_upgrade.lab import errors
from trove_upgrade.lab.services import openstack
from trove_upgrade.lab.settings import HOST, REGION, Settings
from trove_upgrade.lab.supervisor import Command, Supervisor

API = 'trove-upgrade-api'
TASKMANAGER = 'trove-upgrade-taskmanager'
STAGE = 5  #: above every stage of the cloud: it is stopped first
READY_SECONDS = 60.0
MANAGE_SECONDS = 120.0


class Product:
    """The product's services on one cloud.  `programs_dir` holds its console scripts."""

    def __init__(self, settings: Settings, supervisor: Supervisor, programs_dir: pathlib.Path | None = None) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._programs = programs_dir or pathlib.Path(sys.executable).parent

    @property
    def config_file(self) -> pathlib.Path:
        """One file for both services and the management commands."""
        return self._settings.etc('trove-upgrade') / 'trove-upgrade.conf'

    @property
    def url(self) -> str:
        """The API's address, without version or project."""
        return self._settings.url(self._settings.ports.database)

    def configure(self, options: Mapping[str, object] | None = None) -> None:
        """Write the configuration; `options` go into [trove_upgrade] over our own."""
        source = pathlib.Path(__file__).resolve().parents[2] / 'etc' / 'trove-upgrade'
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        paste = self.config_file.with_name('api-paste.ini')
        shutil.copyfile(source / 'api-paste.ini', paste)
        settings = self._settings
        openstack.write_ini(self.config_file, {
            'DEFAULT': {'transport_url': settings.trove_transport_url, 'use_stderr': True, 'debug': False},
            'database': {'connection': settings.database_url('trove', 'trove')},
            'keystone_authtoken': openstack.authtoken(settings, 'trove'),
            'service_credentials': openstack.credentials(settings, 'trove') | {'interface': 'internal', 'region_name': REGION},
            'oslo_messaging_notifications': {'driver': 'messagingv2'},
            'oslo_messaging_rabbit': openstack.RABBIT,
            'trove_upgrade': {'api_paste_config': paste, **(options or {})}})

    def manage(self, *arguments: str) -> str:
        """Run trove-upgrade-manage to its end and return what it printed.

        :raises CommandFailed: it ended with another code than 0.
        """
        argv = [str(self._programs / 'trove-upgrade-manage'), '--config-file', str(self.config_file), *arguments]
        done = subprocess.run(argv, env=self._env(), capture_output=True, text=True, timeout=MANAGE_SECONDS, check=False)
        if done.returncode != 0:
            raise errors.CommandFailed(f'trove-upgrade-manage {" ".join(arguments)} ended with {done.returncode}:\n'
                                       f'{done.stdout}{done.stderr}')
        return done.stdout

    def sync_database(self) -> None:
        """Create our tables, and the ones of Trove's form that we run on alone."""
        self.manage('db', 'sync', '--standalone')

    def start_api(self) -> None:
        """Start the API and wait until it answers."""
        settings = self._settings
        env = self._env(OS_TROVE_UPGRADE_CONFIG_FILES=str(self.config_file))
        self._supervisor.start(Command(name=API, stage=STAGE, env=env, argv=(
            settings.venv.program('uwsgi'), '--http11-socket', f'{HOST}:{settings.ports.database}',
            '--module', 'trove_upgrade.wsgi.api:application', '--home', sys.prefix, '--processes', '2', '--threads', '8',
            '--enable-threads', '--lazy-apps', '--need-app', '--die-on-term', '--buffer-size', '65535', '--listen', '100',
            '--disable-logging', '--http-timeout', '5', '--procname', 'trove-upgrade-lab-api')))
        self._supervisor.wait_ready(API, lambda: openstack.answers(self.url), READY_SECONDS)

    def start_taskmanager(self, name: str = TASKMANAGER) -> None:
        """Start one taskmanager; several may run under different names."""
        self._supervisor.start(Command(name=name, stage=STAGE, env=self._env(), stop_seconds=10.0, argv=(
            str(self._programs / 'trove-upgrade-taskmanager'), '--config-file', str(self.config_file))))

    def start(self) -> None:
        """Configure, create the tables, start both."""
        self.configure()
        self.sync_database()
        self.start_taskmanager()
        self.start_api()

    def stop(self, *names: str) -> None:
        """End these processes, or both."""
        self._supervisor.stop(names or (API, TASKMANAGER))

    def _env(self, **more: str) -> dict[str, str]:
        env = self._settings.env(**more)
        env['PATH'] = f'{self._programs}:{env["PATH"]}'
        env['PYTHONPATH'] = str(pathlib.Path(__file__).resolve().parents[2])
        return env
