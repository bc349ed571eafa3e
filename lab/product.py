# SPDX-License-Identifier: Apache-2.0
"""Our own control plane beside the cloud's: the API under uWSGI and one taskmanager, as an operator
would run them.

It is started from console scripts alone: the lab imports nothing of the product.
"""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

from lab import errors, guest_keys
from lab.handle import CloudHandle
from lab.layout import Layout
from lab.services import openstack
from lab.settings import HOST
from lab.supervisor import Command, Supervisor

API = 'trove-upgrade-api'
TASKMANAGER = 'trove-upgrade-taskmanager'
STAGE = 5  #: above every stage of the cloud: it is stopped first
READY_SECONDS = 60.0
MANAGE_SECONDS = 120.0


class Product:
    """The product's services on one cloud.  `programs_dir` holds its console scripts."""

    def __init__(
        self,
        layout: Layout,
        handle: CloudHandle,
        supervisor: Supervisor,
        *,
        programs_dir: pathlib.Path | None = None,
        name: str = 'trove-upgrade',
        config_file: pathlib.Path | None = None,
    ) -> None:
        """`config_file` is Trove's own where we run beside it; it is not written here then, and
        `configure` is not for it.
        """
        self._layout = layout
        self._handle = handle
        self._supervisor = supervisor
        self._programs = programs_dir or pathlib.Path(sys.executable).parent
        self._config_file = config_file or layout.etc_dir / name / 'trove-upgrade.conf'

    @property
    def config_file(self) -> pathlib.Path:
        """One file for both services and the management commands."""
        return self._config_file

    @property
    def url(self) -> str:
        """The API's address, without version or project."""
        return f'http://{HOST}:{self._handle.database_api_port}'

    def configure(self, options: Mapping[str, object] | None = None) -> None:
        """Write the configuration; `options` go into [trove_upgrade] over our own."""
        source = pathlib.Path(__file__).resolve().parents[1] / 'etc' / 'trove-upgrade'
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        paste = self.config_file.with_name('api-paste.ini')
        shutil.copyfile(source / 'api-paste.ini', paste)
        credentials = self._credentials()
        openstack.write_ini(
            self.config_file,
            {
                'DEFAULT': {
                    'transport_url': self._handle.transport_url,
                    'use_stderr': True,
                    'debug': False,
                    'injected_config_owner': 'root',
                },
                'database': {
                    'connection': self._handle.database_url(),
                    'max_pool_size': 10,
                    'max_overflow': 20,
                },
                'keystone_authtoken': credentials
                | {
                    'www_authenticate_uri': self._handle.auth_url,
                    'service_token_roles': 'service',  # nosec B105 # names of options, no password
                    'service_token_roles_required': True,
                },  # nosec B105 # names of options, no password
                'service_credentials': credentials | {'interface': 'internal'},
                'oslo_messaging_notifications': {'driver': 'messagingv2'},
                'oslo_messaging_rabbit': openstack.RABBIT,
                'trove_upgrade': {
                    'api_paste_config': paste,
                    guest_keys.OPTION: guest_keys.encryption_key(self._layout),
                    **(options or {}),
                },
            },
        )

    def manage(self, *arguments: str) -> str:
        """Run trove-upgrade-manage to its end and return what it printed.

        :raises CommandFailed: it ended with another code than 0.
        """
        argv = [
            str(self._programs / 'trove-upgrade-manage'),
            '--config-file',
            str(self.config_file),
            *arguments,
        ]
        done = subprocess.run(
            argv,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=MANAGE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise errors.CommandFailed(
                f'trove-upgrade-manage {" ".join(arguments)} ended with {done.returncode}:\n'
                f'{done.stdout}{done.stderr}'
            )
        return done.stdout

    def sync_database(self) -> None:
        """Create our tables, and the ones of Trove's form that we run on alone."""
        self.manage('db', 'sync', '--standalone')

    def start_api(self) -> None:
        """Start the API and wait until it answers."""
        env = self._env(OS_TROVE_UPGRADE_CONFIG_FILES=str(self.config_file))
        self._supervisor.start(
            Command(
                name=API,
                stage=STAGE,
                env=env,
                argv=(
                    f'{self._handle.programs_dir}/uwsgi',
                    '--http11-socket',
                    f'{HOST}:{self._handle.database_api_port}',
                    '--module',
                    'trove_upgrade.wsgi.api:application',
                    '--home',
                    sys.prefix,
                    '--processes',
                    '2',
                    '--threads',
                    '8',
                    '--enable-threads',
                    '--lazy-apps',
                    '--need-app',
                    '--die-on-term',
                    '--buffer-size',
                    '65535',
                    '--listen',
                    '100',
                    '--disable-logging',
                    '--http-timeout',
                    '5',
                    '--procname',
                    'trove-upgrade-lab-api',
                ),
            )
        )
        self._supervisor.wait_ready(API, lambda: openstack.answers(self.url), READY_SECONDS)

    def start_taskmanager(self, name: str = TASKMANAGER, host: str | None = None) -> None:
        """Start one taskmanager; several may run under different names, and on a `host` of that
        name.
        """
        named = ('unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', host) if host else ()
        self._supervisor.start(
            Command(
                name=name,
                stage=STAGE,
                env=self._env(),
                stop_seconds=10.0,
                argv=(
                    *named,
                    str(self._programs / 'trove-upgrade-taskmanager'),
                    '--config-file',
                    str(self.config_file),
                ),
            )
        )

    def start(self, options: Mapping[str, object] | None = None) -> None:
        """Configure, create the tables, start both."""
        self.configure(options)
        self.sync_database()
        self.start_taskmanager()
        self.start_api()

    def stop(self, *names: str) -> None:
        """End these processes, or both."""
        self._supervisor.stop(names or (API, TASKMANAGER))

    def kill_taskmanager(self, name: str = TASKMANAGER) -> None:
        """SIGKILL, as when its machine dies: nothing is said goodbye to."""
        self._supervisor.kill(name)

    def _credentials(self) -> dict[str, object]:
        service = self._handle.service
        return {
            'auth_type': 'password',
            'auth_url': service.auth_url,
            'username': service.username,
            'password': service.password,
            'project_name': service.project_name,
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
            'region_name': service.region_name,
        }

    def _env(self, **more: str) -> dict[str, str]:
        """Small and the same everywhere; the checkout on the path, so that a test may run services
        from its own entry points.
        """
        return {
            'PATH': (
                f'{self._programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
            ),
            'HOME': '/root',
            'LANG': 'C.UTF-8',
            'no_proxy': '127.0.0.1,localhost',
            'NO_PROXY': '127.0.0.1,localhost',
            'PYTHONUNBUFFERED': '1',
            'PYTHONPATH': str(pathlib.Path(__file__).resolve().parents[1]),
            **more,
        }
