# SPDX-License-Identifier: Apache-2.0
"""A Neutron that fails on demand, for one client: a region of its own in the catalogue, whose
network service is a proxy.

The cloud's other services go on with Neutron itself.
"""

import contextlib
import dataclasses
import json
import urllib.parse

from lab import rest, service_proxy, settings

REGION = 'through-a-proxy'


@dataclasses.dataclass(frozen=True)
class Request:
    """One of the bridge's requests to Neutron, as it is seen on its way."""

    name: str
    method: str
    path: str
    body: str = ''


_ID = '[0-9a-f]{8}-[0-9a-f-]{27}'
_TWO_GROUPS = rf'"security_groups": \["{_ID}", "{_ID}"\]'
_THREE_GROUPS = rf'"security_groups": \["{_ID}", "{_ID}", "{_ID}"\]'
#: All by which a port with two groups is opened and closed again, in their order.
REQUESTS = (
    Request('the ports of a server', 'GET', rf'/ports\?device_id={_ID}$'),
    Request('the creation of the group', 'POST', '/security-groups$'),
    Request("the deletion of a default group's rule", 'DELETE', '/security-group-rules/'),
    Request('the creation of the rule', 'POST', '/security-group-rules$'),
    Request('the port', 'GET', f'/ports/{_ID}'),
    Request('the group for the port', 'PUT', f'/ports/{_ID}', _THREE_GROUPS),
    Request('the groups of the bridge', 'GET', r'/security-groups\?.*name='),
    Request('the ports with the group', 'GET', r'/ports\?.*security_groups='),
    Request('the former groups for the port', 'PUT', f'/ports/{_ID}', _TWO_GROUPS),
    Request('the deletion of the group', 'DELETE', '/security-groups/'),
)


def neutron_error(kind, message='asked for by a test'):
    """The form of Neutron's refusals."""
    return json.dumps({'NeutronError': {'type': kind, 'message': message, 'detail': ''}})


class Proxy(service_proxy.Proxy):
    """Calls `before` with method and path of each request before it is handed on."""

    def __init__(self, target_port):
        super().__init__(0, target_port, service='Neutron')
        self.before = lambda method, path, body: None

    def forward(self, method, path, headers, body):
        self.before(method, path, body.decode(errors='replace'))
        return super().forward(method, path, headers, body)


@contextlib.contextmanager
def faulty_region(handle):
    """The proxy, for as long as the context lasts; `REGION` leads to it."""
    admin = rest.Session.of(handle.users['admin'])
    target = urllib.parse.urlsplit(handle.neutron_url)
    proxy = Proxy(target.port)
    with service_proxy.serving(proxy) as port:
        made = _endpoints(admin, handle, f'http://127.0.0.1:{port}')
        try:
            yield proxy
        finally:
            for endpoint in made:
                admin.request('DELETE', f'{handle.auth_url}/endpoints/{endpoint}')


def _endpoints(admin, handle, network_url):
    """Endpoints of the region: those of the lab's own, but for the network service's."""
    auth = handle.auth_url
    services = admin.request('GET', f'{auth}/services')['services']
    own = admin.request('GET', f'{auth}/endpoints')['endpoints']
    made = []
    for service in services:
        urls = [
            one['url']
            for one in own
            if (one['service_id'], one['interface']) == (service['id'], 'public')
            and one['region'] == settings.REGION
        ]
        if not urls:
            continue
        url = network_url if service['type'] == 'network' else urls[0]
        for interface in ('public', 'internal'):
            endpoint = {
                'service_id': service['id'],
                'interface': interface,
                'url': url,
                'region': REGION,
            }
            created = admin.request('POST', f'{auth}/endpoints', {'endpoint': endpoint})
            made.append(created['endpoint']['id'])
    return made
