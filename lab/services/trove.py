# SPDX-License-Identifier: Apache-2.0
"""Real Trove beside the cloud: its API in any of the three ways it can be served, its conductor,
its taskmanager.

They belong to the cloud only once they have been asked for (`Deployment.save`): `up` alone knows
nothing of them.
"""

import pathlib
import shutil
from collections.abc import Callable

import amqp  # type: ignore[import-untyped]

import trove_upgrade
from lab import services
from lab.services import openstack, trove_conf, trove_deployment
from lab.services.trove_conf import config_file
from lab.services.trove_deployment import NAME, Deployment
from lab.settings import BROKER_VHOST, HOST, Settings
from lab.supervisor import Command

API = 'trove-api'
CONDUCTOR = 'trove-conductor'
TASKMANAGER = 'trove-taskmanager'
_QUEUES = {TASKMANAGER: 'taskmanager', CONDUCTOR: 'trove-conductor'}
#: Loading the application parses the server's own arguments: gunicorn's mean nothing to Trove.
_SHIM = """# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.argv = ['trove-api', '--config-file', os.environ['LAB_TROVE_CONF']]
from trove.cmd.app_wsgi import application  # noqa: E402,F401
"""


def configure(settings: Settings, deployed: Deployment) -> None:
    """trove.conf, api-paste.ini, the guests' configuration, and what its processes may import
    beside Trove.
    """
    for part in ('locks', 'cloudinit', 'templates'):
        (settings.state(NAME) / part).mkdir(parents=True, exist_ok=True)
    openstack.write_ini(config_file(settings), trove_conf.trove_conf(settings, deployed))
    openstack.write_ini(
        trove_conf.guest_config_file(settings), trove_conf.guest_conf(settings, deployed)
    )
    stock = (settings.venv.path / 'etc/trove/api-paste.ini').read_text()
    trove_conf.paste_file(settings).write_text(
        trove_conf.with_filter(stock) if deployed.with_filter else stock
    )
    _install_plugins(settings, deployed.with_filter)


def processes(settings: Settings) -> list[Command]:
    """Return the processes of the running cloud's Trove; none where it was not asked for."""
    deployed = trove_deployment.load(settings)
    if deployed is None:
        return []
    return [
        api_process(settings, deployed),
        *(agent_process(settings, name) for name in (CONDUCTOR, TASKMANAGER)),
    ]


def probes(settings: Settings) -> dict[str, Callable[[], bool]]:
    """Return, by process, what tells whether it is ready."""
    return {
        API: lambda: openstack.answers(
            settings.url((trove_deployment.load(settings) or Deployment()).port)
        ),
        CONDUCTOR: lambda: consumes(settings, _QUEUES[CONDUCTOR]),
        TASKMANAGER: lambda: consumes(settings, _QUEUES[TASKMANAGER]),
    }


def api_process(settings: Settings, deployed: Deployment) -> Command:
    """The API, as one of the three servers."""
    make = {'uwsgi': _uwsgi, 'gunicorn': _gunicorn, 'eventlet': _eventlet}[deployed.server]
    return make(settings, deployed)


def agent_process(settings: Settings, name: str) -> Command:
    """Return the process of the conductor or of the taskmanager."""
    return Command(
        name=name,
        stage=services.STAGE_AGENTS,
        stop_seconds=4.0,
        env=_env(settings),
        argv=(settings.venv.program(name), '--config-file', str(config_file(settings))),
    )


def _uwsgi(settings: Settings, deployed: Deployment) -> Command:
    return Command(
        name=API,
        stage=services.STAGE_AGENTS,
        stop_seconds=1.0,
        env=_env(settings, NO_EVENTLET_MONKEYPATCH='1'),
        argv=(
            settings.venv.program('uwsgi'),
            '--http11-socket',
            f'{HOST}:{deployed.port}',
            '--module',
            'trove.cmd.app_wsgi:application',
            '--pyargv',
            f'--config-file {config_file(settings)}',
            '--home',
            str(settings.venv.path),
            '--processes',
            str(deployed.processes),
            '--threads',
            str(deployed.threads),
            '--enable-threads',
            '--single-interpreter',
            '--lazy-apps',
            '--need-app',
            '--die-on-term',
            '--thunder-lock',
            '--master',
            '--buffer-size',
            '65535',
            '--listen',
            '100',
            '--disable-logging',
            '--http-timeout',
            '60',
            '--procname',
            'trove-upgrade-lab-trove-api',
        ),
    )


def _gunicorn(settings: Settings, deployed: Deployment) -> Command:
    env = _env(settings, NO_EVENTLET_MONKEYPATCH='1', LAB_TROVE_CONF=str(config_file(settings)))
    return Command(
        name=API,
        stage=services.STAGE_AGENTS,
        stop_seconds=3.0,
        env=env,
        argv=(
            settings.venv.program('gunicorn'),
            '--bind',
            f'{HOST}:{deployed.port}',
            '--worker-class',
            'gthread',
            '--workers',
            str(deployed.processes),
            '--threads',
            str(deployed.threads),
            '--timeout',
            '120',
            '--graceful-timeout',
            '2',
            '--no-control-socket',
            'lab_trove_wsgi:application',
        ),
    )


def _eventlet(settings: Settings, _deployed: Deployment) -> Command:
    return Command(
        name=API,
        stage=services.STAGE_AGENTS,
        stop_seconds=4.0,
        env=_env(settings),
        argv=(settings.venv.program(API), '--config-file', str(config_file(settings))),
    )


def migration(settings: Settings) -> openstack.Migration:
    """Return the command that makes Trove's own tables."""
    return openstack.Migration(
        NAME,
        (
            settings.venv.program('trove-manage'),
            '--config-file',
            str(config_file(settings)),
            'db_sync',
        ),
        _env(settings, NO_EVENTLET_MONKEYPATCH='1'),
    )


def manage_env(settings: Settings) -> dict[str, str]:
    """Return the environment of trove-manage, without eventlet's patches."""
    return _env(settings, NO_EVENTLET_MONKEYPATCH='1')


def consumes(settings: Settings, queue: str) -> bool:
    """Tell whether this queue has a listener: before, a cast to it is lost without a word."""
    connection = amqp.Connection(
        f'{HOST}:{settings.ports.broker}',
        userid='trove',
        password=settings.secrets.broker_trove,
        virtual_host=BROKER_VHOST,
        connect_timeout=2,
    )
    try:
        connection.connect()
        found = connection.channel().queue_declare(queue=queue, passive=True)
        return int(found.consumer_count) > 0
    except (amqp.NotFound, OSError):
        return False
    finally:
        connection.collect()


def _plugins_dir(settings: Settings) -> pathlib.Path:
    return settings.layout.run_dir / 'trove-plugins'


def _env(settings: Settings, **more: str) -> dict[str, str]:
    return settings.env(**more) | {'PYTHONPATH': str(_plugins_dir(settings))}


def _install_plugins(settings: Settings, ours: bool) -> None:
    """The shim for gunicorn; and, with the filter, our package as if it had been installed beside
    Trove.
    """
    plugins = _plugins_dir(settings)
    shutil.rmtree(plugins, ignore_errors=True)
    plugins.mkdir(parents=True)
    (plugins / 'lab_trove_wsgi.py').write_text(_SHIM)
    if not ours:
        return
    (plugins / 'trove_upgrade').symlink_to(
        pathlib.Path(trove_upgrade.__file__).resolve().parent, target_is_directory=True
    )
    info = plugins / 'trove_upgrade-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: trove-upgrade\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
        '[paste.filter_factory]\nupgrade = trove_upgrade.api.app:filter_factory\n'
    )
