# SPDX-License-Identifier: Apache-2.0
"""Real Trove beside the cloud: its API in any of the three ways it can be served, its conductor,
its taskmanager.

They belong to the cloud only once they have been asked for (`Deployment.save`): `up` alone knows
nothing of them. Source of the options that are no defaults: Trove 26's own configuration reference,
and trying.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping

import amqp  # type: ignore[import-untyped]

import trove_upgrade
from trove_upgrade.lab import guest_keys, services
from trove_upgrade.lab.services import openstack
from trove_upgrade.lab.settings import BROKER_VHOST, HOST, REGION, Ports, Settings
from trove_upgrade.lab.supervisor import Command

#: In the catalog a Cinder that has no volume, by a name that Nova does not look for: it would ask
#: it at each reboot.
VOLUME_SERVICE = 'lab-no-volumes'
NAME = 'trove'
API = 'trove-api'
CONDUCTOR = 'trove-conductor'
TASKMANAGER = 'trove-taskmanager'
SERVERS = ('uwsgi', 'gunicorn', 'eventlet')
DATASTORES = ('mysql', 'mariadb', 'postgresql')
FILTER = 'trove_upgrade'
#: Of the lab alone, and not Trove's published defaults: keys that everybody knows would prove
#: nothing.
RPC_KEYS: dict[str, object] = {
    'taskmanager_rpc_encr_key': 'lab-taskmanager-rpc-key-of-36-letters',
    'inst_rpc_key_encr_key': 'lab-key-that-wraps-the-instances-keys',
}
_LIMITLESS = 1_000_000
_QUEUES = {TASKMANAGER: 'taskmanager', CONDUCTOR: 'trove-conductor'}
#: Loading the application parses the server's own arguments: gunicorn's mean nothing to Trove.
_SHIM = """# SPDX-License-Identifier: Apache-2.0
import os
import sys

sys.argv = ['trove-api', '--config-file', os.environ['LAB_TROVE_CONF']]
from trove.cmd.app_wsgi import application  # noqa: E402,F401
"""


@dataclasses.dataclass(frozen=True)
class Deployment:
    """How Trove is installed here.  Plain data: it travels through a file to other processes."""

    server: str = 'uwsgi'  #: of SERVERS
    with_filter: bool = False  #: ours in its pipeline, and our package importable in its processes
    options: Mapping[str, object] = dataclasses.field(
        default_factory=dict
    )  #: [trove_upgrade] of trove.conf
    guest_options: Mapping[str, object] = dataclasses.field(
        default_factory=dict
    )  #: [trove_upgrade] of the guests' configuration
    sections: Mapping[str, Mapping[str, object]] = dataclasses.field(
        default_factory=dict
    )  #: more for trove.conf, over the lab's own
    broker: str = ''  #: host:port at which guests reach the broker
    registry: str = ''  #: host:port at which guests reach the registry of container images
    database: str = NAME
    port: int = Ports().database  #: the catalog's, or another one where that is taken
    processes: int = 2
    threads: int = 4

    def __post_init__(self) -> None:
        if self.server not in SERVERS:
            raise ValueError(
                f'Trove is served by one of {", ".join(SERVERS)}, not by {self.server!r}'
            )

    def save(self, settings: Settings) -> None:
        """Remember it: from now on Trove belongs to the running cloud."""
        _record(settings).write_text(json.dumps(dataclasses.asdict(self)))


def forget(settings: Settings) -> None:
    """The cloud is one without Trove again."""
    _record(settings).unlink(missing_ok=True)


def deployment(settings: Settings) -> Deployment | None:
    """The running cloud's, None where Trove was not asked for."""
    try:
        return Deployment(**json.loads(_record(settings).read_text()))
    except FileNotFoundError:
        return None


def configure(settings: Settings, deployed: Deployment) -> None:
    """trove.conf, api-paste.ini, the guests' configuration, and what its processes may import
    beside Trove.
    """
    for part in ('locks', 'cloudinit', 'templates'):
        (settings.state(NAME) / part).mkdir(parents=True, exist_ok=True)
    openstack.write_ini(config_file(settings), _trove_conf(settings, deployed))
    openstack.write_ini(guest_config_file(settings), _guest_conf(settings, deployed))
    stock = (settings.venv.path / 'etc/trove/api-paste.ini').read_text()
    paste_file(settings).write_text(with_filter(stock) if deployed.with_filter else stock)
    _install_plugins(settings, deployed.with_filter)


#: What a pipeline of Trove's ends in, and our filter comes before.
_END = 'extensions troveapp'


def with_filter(paste: str) -> str:
    """Trove's api-paste.ini with our filter just before Trove's extensions and application, as the
    operator's page has it.

    :raises ValueError: there is no pipeline that ends in these.
    """
    lines, changed = [], 0
    for line in paste.splitlines():
        if line.startswith('pipeline ') and line.endswith(f' {_END}'):
            line = line.removesuffix(_END) + f'{FILTER} {_END}'  # noqa: PLW2901
            changed += 1
        lines.append(line)
    if changed != 1:
        raise ValueError(
            f'api-paste.ini has {changed} pipelines that end in "{_END}", and should have one'
        )
    return '\n'.join([*lines, '', f'[filter:{FILTER}]', 'use = egg:trove-upgrade#upgrade', ''])


def processes(settings: Settings) -> list[Command]:
    """Those of the running cloud's Trove; none where it was not asked for."""
    deployed = deployment(settings)
    if deployed is None:
        return []
    return [
        api_process(settings, deployed),
        *(agent_process(settings, name) for name in (CONDUCTOR, TASKMANAGER)),
    ]


def probes(settings: Settings) -> dict[str, Callable[[], bool]]:
    """When each of them is ready."""
    return {
        API: lambda: openstack.answers(settings.url((deployment(settings) or Deployment()).port)),
        CONDUCTOR: lambda: consumes(settings, _QUEUES[CONDUCTOR]),
        TASKMANAGER: lambda: consumes(settings, _QUEUES[TASKMANAGER]),
    }


def api_process(settings: Settings, deployed: Deployment) -> Command:
    """The API, as one of the three servers."""
    make = {'uwsgi': _uwsgi, 'gunicorn': _gunicorn, 'eventlet': _eventlet}[deployed.server]
    return make(settings, deployed)


def agent_process(settings: Settings, name: str) -> Command:
    """Conductor or taskmanager."""
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
    """Trove's own tables."""
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
    """For trove-manage."""
    return _env(settings, NO_EVENTLET_MONKEYPATCH='1')


def consumes(settings: Settings, queue: str) -> bool:
    """True while this queue has a listener: before, a cast to it is lost without a word."""
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


def config_file(settings: Settings) -> pathlib.Path:
    """trove.conf: one file for its three services, for trove-manage, and for ours beside them."""
    return settings.etc(NAME) / 'trove.conf'


def paste_file(settings: Settings) -> pathlib.Path:
    """The API's pipeline."""
    return settings.etc(NAME) / 'api-paste.ini'


def guest_config_file(settings: Settings) -> pathlib.Path:
    """Return what Trove puts into every guest as /etc/trove/conf.d/trove-guestagent.conf."""
    return settings.etc(NAME) / 'trove-guestagent.conf'


def _record(settings: Settings) -> pathlib.Path:
    return settings.layout.run_dir / 'trove.json'


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


def _trove_conf(settings: Settings, deployed: Deployment) -> openstack.Ini:
    state = settings.state(NAME)
    rates = dict.fromkeys(
        (f'http_{verb}_rate' for verb in ('get', 'post', 'put', 'delete', 'mgmt_post')), _LIMITLESS
    )
    quotas = dict.fromkeys(
        ('max_instances_per_tenant', 'max_volumes_per_tenant', 'max_backups_per_tenant'), _LIMITLESS
    )
    insecure = {'docker_insecure_registries': deployed.registry} if deployed.registry else {}
    content: dict[str, dict[str, object]] = {
        'DEFAULT': openstack.logging(settings)
        | rates
        | quotas
        | RPC_KEYS
        | insecure
        | {
            'host': HOST,
            'bind_host': HOST,
            'bind_port': deployed.port,
            'trove_api_workers': deployed.processes,
            'trove_conductor_workers': 1,
            'transport_url': settings.trove_transport_url,
            'admin_roles': 'admin',
            'region': REGION,
            'api_paste_config': paste_file(settings),
            'trove_volume_support': False,
            'max_ram_per_tenant': -1,
            'report_interval': 10,
            'guest_config': guest_config_file(settings),
            'injected_config_owner': 'root',
            'cloudinit_location': state / 'cloudinit',
            'template_path': state / 'templates',
            'network_driver': 'trove.network.neutron.NeutronDriver',
            'use_syslog': False,
            'cinder_service_type': VOLUME_SERVICE,
        },
        'database': openstack.database(settings, deployed.database),
        'keystone_authtoken': openstack.authtoken(settings, NAME),
        'service_credentials': openstack.credentials(settings, NAME),
        'network': {'network_isolation': False},
        'oslo_concurrency': {'lock_path': state / 'locks'},
        'oslo_messaging_notifications': {'driver': 'messagingv2'},
        'oslo_messaging_rabbit': dict(openstack.RABBIT),
    }
    content |= {
        datastore: {'volume_support': False, 'device_path': '/dev/vdb'} for datastore in DATASTORES
    }
    if (
        deployed.with_filter or deployed.options
    ):  # our taskmanager reads them before the filter is there
        content[FILTER] = {
            guest_keys.OPTION: guest_keys.encryption_key(settings.layout),
            **deployed.options,
        }
    for section, options in deployed.sections.items():
        content[section] = {**content.get(section, {}), **options}
    return content


def _guest_conf(settings: Settings, deployed: Deployment) -> openstack.Ini:
    user, _, place = settings.trove_transport_url.partition('@')
    vhost = place.partition('/')[2]
    content: dict[str, Mapping[str, object]] = {
        'DEFAULT': {
            'transport_url': f'{user}@{deployed.broker}/{vhost}',
            'log_dir': '/var/log/trove',
            'log_file': 'trove-guestagent.log',
            'command_process_timeout': 60,
            'debug': False,
        },
        'oslo_messaging_rabbit': openstack.RABBIT,
    }
    names = {'mysql': 'mysql', 'mariadb': 'mariadb', 'postgresql': 'postgres'}
    content |= {
        datastore: {
            'volume_support': False,
            'device_path': '/dev/vdb',
            **(
                {'docker_image': f'{deployed.registry}/{names[datastore]}'}
                if deployed.registry
                else {}
            ),
        }
        for datastore in DATASTORES
    }
    return content | ({FILTER: deployed.guest_options} if deployed.guest_options else {})
