# SPDX-License-Identifier: Apache-2.0
"""Neutron's API: addresses and ports.  The hypervisor part makes them real; no agent of Neutron
runs.
"""

import pathlib
import shutil

import lab
import trove_upgrade
from lab.services import openstack
from lab.settings import Settings
from lab.supervisor import Command

NAME = 'neutron'
MECHANISM = 'trove_upgrade_lab'
_UNLIMITED = -1


def configure(settings: Settings) -> None:
    """neutron.conf, and the directory that makes our mechanism driver an installed one."""
    state = settings.state(NAME)
    (state / 'locks').mkdir(parents=True, exist_ok=True)
    openstack.write_ini(
        _config(settings),
        {
            'DEFAULT': openstack.logging(settings)
            | {
                'state_path': state,
                'core_plugin': 'ml2',
                'service_plugins': 'router,port_forwarding',
                'auth_strategy': 'keystone',
                'transport_url': settings.cloud_transport_url,
                'rpc_workers': 0,
                'api_workers': 1,
                'api_paste_config': settings.venv.path / 'etc/neutron/api-paste.ini',
                'notify_nova_on_port_status_changes': False,
                'notify_nova_on_port_data_changes': False,
            },
            'database': openstack.database(settings, NAME),
            'keystone_authtoken': openstack.authtoken(settings, NAME),
            'ml2': {
                'type_drivers': 'local',
                'project_network_types': 'local',
                'tenant_network_types': 'local',
                'mechanism_drivers': MECHANISM,
                # Without the security of ports a network cannot be made open on purpose.
                'extension_drivers': 'port_security' if settings.security_groups else '',
            },
            'quotas': dict.fromkeys(
                ('quota_network', 'quota_subnet', 'quota_port', 'quota_security_group'), _UNLIMITED
            ),
            'oslo_concurrency': {'lock_path': state / 'locks'},
            'oslo_messaging_rabbit': openstack.RABBIT,
            'oslo_messaging_notifications': {'driver': 'noop'},
        },
    )


def install_plugins(settings: Settings) -> None:
    """Make the laboratory and the product, alone, importable by the services, and our mechanism
    driver visible to stevedore.
    """
    plugins = settings.plugins_dir
    shutil.rmtree(plugins, ignore_errors=True)
    plugins.mkdir(parents=True)
    for package in (lab, trove_upgrade):
        folder = pathlib.Path(str(package.__file__)).resolve().parent
        (plugins / folder.name).symlink_to(folder, target_is_directory=True)
    info = plugins / 'trove_upgrade_lab-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: trove-upgrade-lab\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
        f'[neutron.ml2.mechanism_drivers]\n{MECHANISM} = lab.neutron_mechanism:LabMechanismDriver\n'
    )


def process(settings: Settings) -> Command:
    """Return the process of Neutron's API."""
    return openstack.wsgi_process(
        settings,
        NAME,
        'neutron.wsgi.api',
        settings.ports.network,
        settings.env(OS_NEUTRON_CONFIG_FILES=str(_config(settings))),
    )


def migrations(settings: Settings) -> tuple[openstack.Migration, ...]:
    """Return the command that makes Neutron's tables."""
    return (
        openstack.Migration(
            NAME,
            (
                settings.venv.program('neutron-db-manage'),
                '--config-file',
                str(_config(settings)),
                'upgrade',
                'heads',
            ),
            settings.env(),
        ),
    )


def ready(settings: Settings) -> bool:
    """Tell whether the network service answers."""
    return openstack.answers(settings.url(settings.ports.network, '/'))


def _config(settings: Settings) -> pathlib.Path:
    return settings.etc(NAME) / 'neutron.conf'
