# SPDX-License-Identifier: Apache-2.0
"""Things that a cloud has from the start: sizes of servers, and a network that the guests share."""

from lab import rest
from lab.settings import Settings

NETWORK_NAME = 'trove-guests'
NETWORK_CIDR = '10.30.0.0/24'
GATEWAY = '10.30.0.1'
#: name -> vCPUs, memory in MiB, root disk in GB
FLAVORS = {'db.small': (1, 512, 4), 'db.medium': (2, 1024, 8)}


def network(site: Settings) -> str:
    """Create the guests' network in the service project, the owner of their servers; its id."""
    session = rest.Session(site.auth_url, 'trove', site.secrets.service, 'service')
    base = site.url(site.ports.network, '/v2.0')
    made = session.request('POST', f'{base}/networks', {'network': {'name': NETWORK_NAME}})
    network_id = str(made['network']['id'])
    session.request(
        'POST',
        f'{base}/subnets',
        {
            'subnet': {
                'network_id': network_id,
                'name': NETWORK_NAME,
                'ip_version': 4,
                'cidr': NETWORK_CIDR,
                'gateway_ip': GATEWAY,
                'enable_dhcp': False,
            }
        },
    )
    return network_id


def flavors(site: Settings) -> dict[str, str]:
    """Create the flavors; name -> id."""
    session = rest.Session(site.auth_url, 'admin', site.secrets.admin, 'admin')
    base = site.url(site.ports.compute, '/v2.1')
    made: dict[str, str] = {}
    for name, (vcpus, ram, disk) in FLAVORS.items():
        body = {'flavor': {'name': name, 'vcpus': vcpus, 'ram': ram, 'disk': disk}}
        made[name] = str(session.request('POST', f'{base}/flavors', body)['flavor']['id'])
    return made
