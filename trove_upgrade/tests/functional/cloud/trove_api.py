# SPDX-License-Identifier: Apache-2.0
"""Trove 26's own API as tests start it: with our filter in its pipeline or without, by each of the
servers that Trove is served with.

The installation is made as doc/source/admin/beside-trove.rst says, only that the package is not
copied into Trove's environment: a directory on PYTHONPATH holds a link to it and what pip would
have written of its entry points.
"""

import configparser
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from lab import rest
from lab.services import openstack, trove_conf
from trove_upgrade.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[4]
HOST = '127.0.0.1'
READY_SECONDS = 90.0
WORKERS = 2
UWSGI, GUNICORN, EVENTLET = 'uwsgi', 'gunicorn', 'trove-api'
SERVERS = (UWSGI, GUNICORN, EVENTLET)

#: gunicorn has no switch for what a module finds in sys.argv, and Trove's reads its own options
#: there.
_SHIM = """import sys
sys.argv = ['trove-api', '--config-file', {config!r}]
from trove.cmd.app_wsgi import application  # noqa: E402, F401
"""


class Installation:
    """Trove's configuration on the running cloud, in a database of its own, and our filter beside
    it.
    """

    def __init__(self, directory, cloud, handle, database='trove_filter'):
        self.directory = directory
        self._handle = handle
        self.programs = pathlib.Path(handle.programs_dir)
        self.database = database
        self.database_url = cloud.create_database(database)
        self.write_config()
        self.write_paste('plain.ini', filtered=False)
        self.write_paste('filtered.ini', filtered=True)
        self.install_package()
        self.run('trove-manage', '--config-file', str(self.config('trove')), 'db_sync')

    def config(self, name):
        return self.directory / f'{name}.conf'

    def install_package(self):
        plugins = self.directory / 'plugins'
        info = plugins / 'trove_upgrade-0.dist-info'
        info.mkdir(parents=True)
        (plugins / 'trove_upgrade').symlink_to(ROOT / 'trove_upgrade')
        (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: trove-upgrade\nVersion: 0\n')
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        (info / 'entry_points.txt').write_text(
            f'[paste.filter_factory]\n{setup["entry_points"]["paste.filter_factory"].strip()}\n'
        )

    def write_config(self):
        service = self._handle.service
        credentials = {
            'auth_type': 'password',
            'auth_url': service.auth_url,
            'username': service.username,
            'password': service.password,
            'project_name': service.project_name,
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
            'region_name': service.region_name,
        }
        rates = {
            f'http_{method}_rate': 1000000
            for method in ('get', 'post', 'put', 'delete', 'mgmt_post')
        }
        (self.directory / 'locks').mkdir()
        openstack.write_ini(
            self.config('trove'),
            {
                'DEFAULT': {
                    'transport_url': self._handle.transport_url,
                    'host': HOST,
                    'bind_host': HOST,
                    'use_stderr': True,
                    'debug': False,
                    'admin_roles': 'admin',
                    'agent_call_low_timeout': 1,
                    'agent_call_high_timeout': 1,
                    'trove_api_workers': WORKERS,
                    **rates,
                },
                'database': {
                    'connection': self.database_url,
                    'max_pool_size': 10,
                    'max_overflow': 20,
                },
                'keystone_authtoken': credentials | {'www_authenticate_uri': self._handle.auth_url},
                'service_credentials': credentials,
                'mysql': {'volume_support': False},
                'mariadb': {'volume_support': False},
                'oslo_messaging_notifications': {'driver': 'noop'},
                'oslo_messaging_rabbit': openstack.RABBIT,
                'oslo_concurrency': {'lock_path': str(self.directory / 'locks')},
            },
        )

    def write_paste(self, name, *, filtered):
        """Trove's own file; with the filter, the change that the operator's page tells to make."""
        text = (self.programs.parent / 'etc' / 'trove' / 'api-paste.ini').read_text()
        (self.directory / name).write_text(trove_conf.with_filter(text) if filtered else text)

    def run(self, program, *arguments):
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise AssertionError(
                f'{program} {" ".join(arguments)} ended with '
                f'{done.returncode}:\n{done.stdout}{done.stderr}'
            )
        return done.stdout

    def python(self, program, *arguments):
        """What a program printed that ran in Trove's own environment, with our package on its
        path.
        """
        return self.run('python', '-c', program, *arguments)

    def env(self, **more):
        return {
            'PATH': f'{self.programs}:/usr/sbin:/usr/bin:/sbin:/bin',
            'HOME': str(self.directory),
            'LANG': 'C.UTF-8',
            'no_proxy': '127.0.0.1,localhost',
            'PYTHONUNBUFFERED': '1',
            'PYTHONWARNINGS': 'ignore',
            'PYTHONHASHSEED': '0',
            'PYTHONPATH': f'{self.directory / "plugins"}:{self.directory}',
            **more,
        }


class TroveApi:
    """One running API.  `stop` ends it as its operator would."""

    def __init__(
        self,
        installation,
        server,
        *,
        filtered=True,
        options=None,
        environment=None,
        arguments=(),
        lazy_apps=True,
    ):
        """`arguments` and `lazy_apps` are uWSGI's."""
        self.server, self.filtered = server, filtered
        self._arguments = [*(['--lazy-apps'] if lazy_apps else []), *arguments]
        self._loads = WORKERS if lazy_apps else 1
        self._installation = installation
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        name = f'{server}-{"filtered" if filtered else "plain"}-{self.port}'
        self.log = installation.directory / f'{name}.log'
        config = installation.config(name)
        shutil.copyfile(installation.config('trove'), config)
        paste = installation.directory / ('filtered.ini' if filtered else 'plain.ini')
        with config.open('a') as sink:
            sink.write(
                f'\n[DEFAULT]\nbind_port = {self.port}\napi_paste_config = '
                f'{paste}\n\n[trove_upgrade]\n'
            )
            sink.writelines(f'{key} = {value}\n' for key, value in (options or {}).items())
        self.config = config
        env = installation.env(**(environment or {}))
        with self.log.open('ab') as sink:
            self.process = subprocess.Popen(
                self._argv(config, env),
                env=env,
                cwd='/',
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_ready()

    def _argv(self, config, env):
        program = self._installation.programs / self.server
        if self.server == EVENTLET:
            return [str(program), '--config-file', str(config)]
        env.setdefault('NO_EVENTLET_MONKEYPATCH', '1')
        if self.server == UWSGI:
            return [
                str(program),
                '--http11-socket',
                f'{HOST}:{self.port}',
                '--module',
                'trove.cmd.app_wsgi:application',
                '--master',
                '--home',
                str(self._installation.programs.parent),
                '--processes',
                str(WORKERS),
                '--threads',
                '4',
                '--enable-threads',
                *self._arguments,
                '--need-app',
                '--die-on-term',
                '--buffer-size',
                '65535',
                '--listen',
                '100',
                '--disable-logging',
                '--http-timeout',
                '5',
                '--pyargv',
                f'--config-file {config}',
            ]
        shim = self._installation.directory / f'trove_shim_{self.port}.py'
        shim.write_text(_SHIM.format(config=str(config)))
        return [
            str(program),
            '--bind',
            f'{HOST}:{self.port}',
            '--worker-class',
            'gthread',
            '--workers',
            str(WORKERS),
            '--threads',
            '4',
            '--no-control-socket',
            '--graceful-timeout',
            '5',
            f'{shim.stem}:application',
        ]

    @property
    def url(self):
        return f'http://{HOST}:{self.port}/v1.0'

    def _wait_ready(self):
        known = wait_until(
            lambda: self.process.poll() is not None or self._is_ready(),
            READY_SECONDS,
            interval_seconds=0.2,
        )
        if not known or self.process.poll() is not None:
            raise AssertionError(f'{self.server} did not come up:\n{self.said()[-4000:]}')

    def _is_ready(self):
        """Every worker: one that is told to end while it loads ends without a goodbye."""
        if self.server == UWSGI and self.said().count('WSGI app 0') < self._loads:
            return False
        return openstack.answers(f'http://{HOST}:{self.port}/')

    def said(self):
        return self.log.read_text(errors='replace')

    def workers(self):
        """Ids of the processes that serve."""
        children = (
            pathlib.Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children')
            .read_text()
            .split()
        )
        return [int(child) for child in children] or [self.process.pid]

    def signal_group(self, number):
        """As systemd does: the master and its workers at once."""
        os.killpg(self.process.pid, number)

    def has_ended(self):
        """Every process of it, not its first one alone."""
        self.process.poll()
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(timeout=30)


def session(user):
    return rest.Session.of(user)


def ask(url, method, token=None, body=None, headers=None, timeout_seconds=60):
    """(status, headers, bytes), whatever the status."""
    data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
    sent = {
        'Accept': 'application/json',
        **({'X-Auth-Token': token} if token else {}),
        **({'Content-Type': 'application/json'} if data is not None else {}),
        **(headers or {}),
    }
    request = urllib.request.Request(
        url,
        data=data,
        method=method,
        headers={name: value for name, value in sent.items() if value},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_seconds) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers.items()), error.read()
