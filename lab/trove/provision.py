# SPDX-License-Identifier: Apache-2.0
"""Things that Trove wants of the cloud before it creates an instance: a way out of the guests'
network, flavors with a second disk, room.
"""

from lab import rest, service_proxy
from lab.handle import CloudHandle
from lab.services import trove_conf
from lab.settings import REGION, Settings

EXTERNAL = 'trove-external'
EXTERNAL_CIDR = '172.24.4.0/24'
ROUTER = 'trove-router'
#: name -> vCPUs, memory in MiB, root disk in GB, ephemeral disk in GB (without Cinder Trove puts
#: the data there)
FLAVORS = {'trove.small': (1, 512, 4, 2), 'trove.medium': (2, 1024, 8, 4)}
_UNLIMITED = -1
_QUOTAS = (
    'network',
    'subnet',
    'port',
    'router',
    'floatingip',
    'security_group',
    'security_group_rule',
)


def ensure(settings: Settings, handle: CloudHandle) -> None:
    """Make what is missing.  Safe to repeat.

    The first request to a fresh Neutron 29 must not be a filtered list of ports, which it answers
    with 500: ours is not.

    :raises CommandFailed: Neutron, Nova or Keystone refused something.
    """
    session = _admin(settings)
    _router(settings, handle, session)
    _volumes(settings, session)
    known = flavors(settings)
    for name, (vcpus, ram, disk, ephemeral) in FLAVORS.items():
        if name not in known:
            session.request(
                'POST',
                f'{settings.url(settings.ports.compute, "/v2.1")}/flavors',
                {
                    'flavor': {
                        'name': name,
                        'vcpus': vcpus,
                        'ram': ram,
                        'disk': disk,
                        'OS-FLV-EXT-DATA:ephemeral': ephemeral,
                    }
                },
            )


def flavors(settings: Settings) -> dict[str, str]:
    """Return the ids of those of FLAVORS that exist, by name."""
    found = _admin(settings).request(
        'GET', f'{settings.url(settings.ports.compute, "/v2.1")}/flavors'
    )['flavors']
    return {str(flavor['name']): str(flavor['id']) for flavor in found if flavor['name'] in FLAVORS}


def _volumes(settings: Settings, session: rest.Session) -> None:
    """Trove's delete asks for volumes by name even where it makes none, and leaves its row where
    nothing answers.
    """
    base = settings.auth_url
    if session.request('GET', f'{base}/services?type={trove_conf.VOLUME_SERVICE}')['services']:
        return
    service = session.request(
        'POST',
        f'{base}/services',
        {'service': {'type': trove_conf.VOLUME_SERVICE, 'name': trove_conf.VOLUME_SERVICE}},
    )['service']['id']
    for interface in ('public', 'internal', 'admin'):
        session.request(
            'POST',
            f'{base}/endpoints',
            {
                'endpoint': {
                    'service_id': service,
                    'interface': interface,
                    'region': REGION,
                    'url': settings.url(
                        settings.ports.compute_proxy, f'{service_proxy.VOLUMES}/$(project_id)s'
                    ),
                }
            },
        )


def _router(settings: Settings, handle: CloudHandle, session: rest.Session) -> None:
    base = settings.url(settings.ports.network, '/v2.0')
    if session.request('GET', f'{base}/routers?name={ROUTER}')['routers']:
        return
    network = session.request('GET', f'{base}/networks/{handle.network_id}')['network']
    # Tenants choose it as their own: the lab has one network where brokers and registries can be
    # reached.
    session.request('PUT', f'{base}/networks/{handle.network_id}', {'network': {'shared': True}})
    session.request(
        'PUT',
        f'{base}/quotas/{network["project_id"]}',
        {'quota': dict.fromkeys(_QUOTAS, _UNLIMITED)},
    )
    external = session.request(
        'POST', f'{base}/networks', {'network': {'name': EXTERNAL, 'router:external': True}}
    )['network']['id']
    session.request(
        'POST',
        f'{base}/subnets',
        {
            'subnet': {
                'network_id': external,
                'name': EXTERNAL,
                'ip_version': 4,
                'cidr': EXTERNAL_CIDR,
                'enable_dhcp': False,
            }
        },
    )
    router = session.request(
        'POST',
        f'{base}/routers',
        {'router': {'name': ROUTER, 'external_gateway_info': {'network_id': external}}},
    )['router']['id']
    session.request(
        'PUT', f'{base}/routers/{router}/add_router_interface', {'subnet_id': network['subnets'][0]}
    )


def _admin(settings: Settings) -> rest.Session:
    return rest.Session(settings.auth_url, 'admin', settings.secrets.admin, 'admin')
