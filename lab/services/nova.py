# SPDX-License-Identifier: Apache-2.0
"""Nova: API, conductor, scheduler, and one compute service with our virt driver."""

import json
import pathlib
import shutil
import uuid

from lab import services
from lab.services import mariadb, openstack
from lab.settings import COMPUTE_HOST, HOST, LAB_DRIVER, REGION, Settings
from lab.supervisor import Command

NAME = 'nova'
API = 'nova-api'
CONDUCTOR = 'nova-conductor'
SCHEDULER = 'nova-scheduler'
COMPUTE = 'nova-compute'
CELL = 'cell1'
_SHIM = """# SPDX-License-Identifier: Apache-2.0
# Nova loads virt drivers only from nova.virt; this one lives in the checkout that is on PYTHONPATH.
from lab.hypervisor.driver import LabDriver  # noqa: F401
"""


def configure(settings: Settings) -> None:
    """nova.conf for all four services, the node's identity, the shim that loads our driver, and the
    driver's own settings.
    """
    state = settings.state(NAME)
    for part in ('instances', 'locks'):
        (state / part).mkdir(parents=True, exist_ok=True)
    # A compute service that finds itself in the database refuses to start without knowing who it
    # is.
    identity = state / 'compute_id'
    if not identity.exists():
        identity.write_text(str(uuid.uuid4()))
    openstack.write_ini(_config(settings), _nova_conf(settings))
    # The API wants both files in one directory.
    shutil.copyfile(
        settings.venv.path / 'etc/nova/api-paste.ini', settings.etc(NAME) / 'api-paste.ini'
    )
    if settings.compute_driver == LAB_DRIVER:
        shim = settings.venv.site_packages / 'nova' / 'virt' / f'{LAB_DRIVER.split(".")[0]}.py'
        shim.write_text(_SHIM)
    write_hypervisor_config(settings)


def write_hypervisor_config(settings: Settings) -> None:
    """Write what the virt driver needs to know of this cloud; a file, because the driver reads no
    option of ours from nova.conf.
    """
    path = settings.layout.hypervisor_config
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                'run_dir': str(settings.layout.run_dir),
                'cache_dir': str(settings.layout.cache_dir),
                'broker_host': HOST,
                'broker_port': settings.ports.broker,
                'registry_port': settings.ports.registry,
                'security_groups': settings.security_groups,
                'glance_url': settings.url(settings.ports.image),
                'neutron_url': settings.url(settings.ports.network),
                'auth': {
                    'auth_url': settings.auth_url,
                    'username': NAME,
                    'password': settings.secrets.service,
                    'project_name': 'service',
                    'user_domain_name': 'Default',
                    'project_domain_name': 'Default',
                },
            },
            indent=2,
        )
    )


def _nova_conf(settings: Settings) -> openstack.Ini:
    credentials = openstack.credentials(settings, NAME)
    return {
        'DEFAULT': _default(settings),
        'api': {'auth_strategy': 'keystone'},
        'api_database': openstack.database(settings, 'nova_api'),
        'database': openstack.database(settings, NAME),
        'wsgi': {'api_paste_config': settings.etc(NAME) / 'api-paste.ini'},
        'keystone_authtoken': openstack.authtoken(settings, NAME),
        'service_user': credentials | {'send_service_user_token': True},  # nosec B105 # names of options, no password
        'placement': credentials,
        'neutron': credentials,
        'glance': credentials,
        'cinder': {'os_region_name': REGION},
        'conductor': {'workers': 1},
        'scheduler': {'workers': 1},
        'quota': dict.fromkeys(('instances', 'cores', 'ram', 'server_groups'), -1),
        'vnc': {'enabled': False},
        'oslo_concurrency': {'lock_path': settings.state(NAME) / 'locks'},
        'oslo_messaging_rabbit': openstack.RABBIT,
        'oslo_messaging_notifications': {'driver': 'noop'},
    }


def _default(settings: Settings) -> dict[str, object]:
    state = settings.state(NAME)
    return openstack.logging(settings) | {
        'state_path': state,
        'instances_path': state / 'instances',
        'host': COMPUTE_HOST,
        'my_ip': HOST,
        'compute_driver': settings.compute_driver,
        'transport_url': settings.cloud_transport_url,
        'vif_plugging_is_fatal': False,
        'vif_plugging_timeout': 0,
        'heal_instance_info_cache_interval': -1,
        'sync_power_state_interval': -1,
        'reserved_host_memory_mb': 0,
        'graceful_shutdown_timeout': 3,
        'manager_shutdown_timeout': 3,
        'cpu_allocation_ratio': 64,
        'ram_allocation_ratio': 16,
        'disk_allocation_ratio': 64,
    }


def api_process(settings: Settings) -> Command:
    """Return the process of Nova's API."""
    return openstack.wsgi_process(
        settings,
        API,
        'nova.wsgi.osapi_compute',
        settings.ports.compute,
        settings.env(OS_NOVA_CONFIG_DIR=str(settings.etc(NAME))),
    )


def agent_process(settings: Settings, name: str) -> Command:
    """Conductor, scheduler or compute.  Their conversations are lost with the databases, so they
    are not waited for long.
    """
    return Command(
        name=name,
        stage=services.STAGE_AGENTS,
        stop_seconds=4.0,
        env=settings.env(),
        argv=(settings.venv.program(name), '--config-file', str(_config(settings))),
    )


def migrations(settings: Settings) -> tuple[openstack.Migration, ...]:
    """Tables, and the two cells.  In this order."""

    def manage(*arguments: str) -> openstack.Migration:
        return openstack.Migration(
            NAME,
            (
                settings.venv.program('nova-manage'),
                '--config-file',
                str(_config(settings)),
                *arguments,
            ),
            settings.env(),
        )

    return (
        manage('api_db', 'sync'),
        manage(
            'cell_v2', 'map_cell0', '--database_connection', settings.database_url('nova_cell0')
        ),
        manage(
            'cell_v2',
            'create_cell',
            '--name',
            CELL,
            '--database_connection',
            settings.database_url(NAME),
            '--transport-url',
            settings.cloud_transport_url,
        ),
        manage('db', 'sync'),
    )


def map_host(settings: Settings) -> None:
    """Say which cell our one host is in, as `nova-manage cell_v2 discover_hosts` would once it has
    registered.

    Beforehand, because that program takes longer to start than the whole cloud has time for.
    """
    mariadb.execute(
        settings,
        'INSERT INTO nova_api.host_mappings (created_at, cell_id, host) '
        f"SELECT UTC_TIMESTAMP(), id, '{COMPUTE_HOST}' FROM nova_api.cell_mappings "
        f"WHERE name = '{CELL}';",
    )


def api_ready(settings: Settings) -> bool:
    """Tell whether the API answers."""
    return openstack.answers(settings.url(settings.ports.compute, '/'))


def agent_ready(settings: Settings, name: str) -> bool:
    """Tell whether the service has reported itself; its row is written after its queue exists."""
    rows = mariadb.execute(
        settings, f"SELECT COUNT(*) FROM nova.services WHERE `binary` = '{name}' AND deleted = 0;"
    )
    return rows == [['1']]


def compute_ready(settings: Settings) -> bool:
    """Tell whether the scheduler can choose our host: Placement knows what it has."""
    rows = mariadb.execute(settings, 'SELECT COUNT(*) FROM placement.inventories;')
    return int(rows[0][0]) >= 3 and agent_ready(settings, COMPUTE)


def _config(settings: Settings) -> pathlib.Path:
    return settings.etc(NAME) / 'nova.conf'
