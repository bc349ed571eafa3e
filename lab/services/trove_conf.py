# SPDX-License-Identifier: Apache-2.0
"""Trove's configuration: trove.conf, the guests' configuration and the API's pipeline.

Source of the options that are no defaults: Trove 26's own configuration reference, and trying.
"""

import pathlib
from collections.abc import Mapping

from lab import guest_keys
from lab.services import openstack
from lab.services.trove_deployment import NAME, Deployment
from lab.settings import HOST, REGION, Settings

#: In the catalog a Cinder that has no volume, by a name that Nova does not look for: it would ask
#: it at each reboot.
VOLUME_SERVICE = 'lab-no-volumes'
DATASTORES = ('mysql', 'mariadb', 'postgresql')
FILTER = 'trove_upgrade'
#: Of the lab alone, and not Trove's published defaults: published keys would prove nothing.
RPC_KEYS: dict[str, object] = {
    'taskmanager_rpc_encr_key': 'lab-taskmanager-rpc-key-of-36-letters',
    'inst_rpc_key_encr_key': 'lab-key-that-wraps-the-instances-keys',
}
_LIMITLESS = 1_000_000
#: What a pipeline of Trove's ends in, and our filter comes before.
_END = 'extensions troveapp'


def config_file(settings: Settings) -> pathlib.Path:
    """trove.conf: one file for its three services, for trove-manage, and for ours beside them."""
    return settings.etc(NAME) / 'trove.conf'


def paste_file(settings: Settings) -> pathlib.Path:
    """Return the path of the API's pipeline."""
    return settings.etc(NAME) / 'api-paste.ini'


def guest_config_file(settings: Settings) -> pathlib.Path:
    """Return what Trove puts into every guest as /etc/trove/conf.d/trove-guestagent.conf."""
    return settings.etc(NAME) / 'trove-guestagent.conf'


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


def trove_conf(settings: Settings, deployed: Deployment) -> openstack.Ini:
    """Return the content of trove.conf as sections and options."""
    content: dict[str, dict[str, object]] = {
        'DEFAULT': _default(settings, deployed),
        'database': openstack.database(settings, deployed.database),
        'keystone_authtoken': openstack.authtoken(settings, NAME),
        'service_credentials': openstack.credentials(settings, NAME),
        'network': {'network_isolation': False},
        'oslo_concurrency': {'lock_path': settings.state(NAME) / 'locks'},
        'oslo_messaging_notifications': {'driver': 'messagingv2'},
        'oslo_messaging_rabbit': dict(openstack.RABBIT),
    }
    content |= {
        datastore: {'volume_support': False, 'device_path': '/dev/vdb'} for datastore in DATASTORES
    }
    # our taskmanager reads the options before the filter is there
    if deployed.with_filter or deployed.options:
        content[FILTER] = {
            guest_keys.OPTION: guest_keys.encryption_key(settings.layout),
            **deployed.options,
        }
    for section, options in deployed.sections.items():
        content[section] = {**content.get(section, {}), **options}
    return content


def _default(settings: Settings, deployed: Deployment) -> dict[str, object]:
    state = settings.state(NAME)
    insecure = {'docker_insecure_registries': deployed.registry} if deployed.registry else {}
    return (
        openstack.logging(settings)
        | _limits()
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
        }
    )


def _limits() -> dict[str, object]:
    """Rates and quotas that no test reaches."""
    rates = (f'http_{verb}_rate' for verb in ('get', 'post', 'put', 'delete', 'mgmt_post'))
    quotas = ('max_instances_per_tenant', 'max_volumes_per_tenant', 'max_backups_per_tenant')
    return dict.fromkeys((*rates, *quotas), _LIMITLESS)


def guest_conf(settings: Settings, deployed: Deployment) -> openstack.Ini:
    """Content of the guests' configuration."""
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
