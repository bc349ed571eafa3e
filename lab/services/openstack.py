# SPDX-License-Identifier: Apache-2.0
"""Common parts of the OpenStack services: INI files, uWSGI, credentials, the broker."""

import dataclasses
import pathlib
import urllib.error
import urllib.request
from collections.abc import Mapping

from lab import services
from lab.settings import HOST, REGION, Settings
from lab.supervisor import Command

Ini = Mapping[str, Mapping[str, object]]
MIGRATION_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Migration:
    """One program that makes or changes a database, to be run to its end."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def write_ini(path: pathlib.Path, content: Ini) -> None:
    """Write an oslo.config file; it holds passwords, so the owner alone may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for section, options in content.items():
        lines += [
            f'[{section}]',
            *(f'{key} = {_text(value)}' for key, value in options.items()),
            '',
        ]
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text('\n'.join(lines))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def credentials(settings: Settings, user: str) -> dict[str, object]:
    """Options with which `user` of the service project authenticates."""
    return {
        'auth_type': 'password',
        'auth_url': settings.auth_url,
        'username': user,
        'password': settings.secrets.service,
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': REGION,
    }


def authtoken(settings: Settings, user: str) -> dict[str, object]:
    """[keystone_authtoken]: the middleware keeps validated tokens in the process's memory."""
    return credentials(settings, user) | {
        'www_authenticate_uri': settings.auth_url,
        'service_token_roles_required': True,  # nosec B105 # names of options, no password
        'service_token_roles': 'service',
    }  # nosec B105 # names of options, no password


def database(settings: Settings, name: str) -> dict[str, object]:
    """[database] with a small pool: eleven processes share one server."""
    return {'connection': settings.database_url(name), 'max_pool_size': 5, 'max_overflow': 20}


def logging(settings: Settings) -> dict[str, object]:
    """[DEFAULT] options on logs: the supervisor keeps standard error."""
    return {'use_stderr': True, 'debug': False, 'state_path': str(settings.layout.state_dir)}


#: No queue survives the broker here, and reconnecting after its start must not take long.
RABBIT: Mapping[str, object] = {
    'heartbeat_timeout_threshold': 60,
    'rabbit_retry_interval': 1,
    'kombu_reconnect_delay': 0.5,
}
#: Each worker loads the application; without one, and on SIGTERM, uWSGI ends.
_APPLICATION = ('--single-interpreter', '--lazy-apps', '--need-app', '--die-on-term')
_SOCKET = ('--thunder-lock', '--buffer-size', '65535', '--listen', '100')


def wsgi_process(
    settings: Settings,
    name: str,
    module: str,
    port: int,
    env: Mapping[str, str],
    stage: int = services.STAGE_APIS,
) -> Command:
    """One uWSGI process with four threads.

    Without keep-alive, said in each answer: with it, an idle connection holds one of uWSGI's
    threads until it times out, and four idle clients would stop a service for seconds.
    """
    return Command(
        name=name,
        stage=stage,
        stop_seconds=1.0,
        env=env,
        argv=(
            settings.venv.program('uwsgi'),
            '--http-socket',
            f'{HOST}:{port}',
            '--add-header',
            'Connection: close',
            '--module',
            f'{module}:application',
            '--home',
            str(settings.venv.path),
            '--processes',
            '1',
            '--threads',
            '4',
            '--enable-threads',
            *_APPLICATION,
            *_SOCKET,
            '--disable-logging',
            '--procname',
            f'trove-upgrade-lab-{name}',
        ),
    )


def answers(url: str, timeout_seconds: float = 5.0) -> bool:
    """Tell whether the service speaks HTTP; uWSGI binds before its application is loaded, so a port
    proves nothing.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_seconds):
            return True
    except urllib.error.HTTPError as error:
        # 300 lists versions, 401 wants a token: both are the application's own answers
        return error.code < 500
    except OSError:
        return False
