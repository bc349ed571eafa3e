# SPDX-License-Identifier: Apache-2.0
"""Identities in the cloud, and the places of its services: projects, users, roles, the catalog."""

import dataclasses

from lab import rest
from lab.settings import REGION, SERVICE_USERS, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Person:
    """A user, with the one project in which it has roles."""

    name: str
    project: str
    password: str
    roles: tuple[str, ...]


def people(settings: Settings) -> tuple[Person, ...]:
    """All users but the administrator: Keystone's bootstrap makes that one."""
    secrets = settings.secrets
    services = tuple(
        Person(name=name, project='service', password=secrets.service, roles=('admin', 'service'))
        for name in SERVICE_USERS
    )
    return (
        *services,
        Person(name='demo', project='demo', password=secrets.demo, roles=('member',)),
        Person(name='reader', project='demo', password=secrets.reader, roles=('reader',)),
        Person(name='other', project='other', password=secrets.other, roles=('member',)),
    )


def catalog(settings: Settings) -> dict[str, tuple[str, str]]:
    """Service type -> public and internal address.  Nova's internal one leads through our proxy,
    which can fail on demand.
    """
    ports = settings.ports
    compute, proxied = (
        settings.url(port, '/v2.1') for port in (ports.compute, ports.compute_proxy)
    )
    same = {
        'image': settings.url(ports.image),
        'placement': settings.url(ports.placement),
        'network': settings.url(ports.network),
        'database': settings.url(ports.database, '/v1.0/$(project_id)s'),
    }
    return {'compute': (compute, proxied)} | {name: (url, url) for name, url in same.items()}


def populate(settings: Settings) -> None:
    """Create it all in a Keystone that has just been bootstrapped.

    :raises CommandFailed: Keystone refused; not repeatable, start from an empty database.
    """
    session = rest.Session(settings.auth_url, 'admin', settings.secrets.admin, 'admin')
    _create_people(session, settings)
    _create_catalog(session, settings)


def _create_people(session: rest.Session, settings: Settings) -> None:
    base = settings.auth_url
    roles = {role['name']: role['id'] for role in session.request('GET', f'{base}/roles')['roles']}
    projects: dict[str, str] = {}
    for person in people(settings):
        if person.project not in projects:
            body = {'project': {'name': person.project, 'domain_id': 'default'}}
            projects[person.project] = session.request('POST', f'{base}/projects', body)['project'][
                'id'
            ]
        project_id = projects[person.project]
        body = {
            'user': {
                'name': person.name,
                'password': person.password,
                'domain_id': 'default',
                'default_project_id': project_id,
            }
        }
        user_id = session.request('POST', f'{base}/users', body)['user']['id']
        for role in person.roles:
            session.request(
                'PUT', f'{base}/projects/{project_id}/users/{user_id}/roles/{roles[role]}'
            )


def _create_catalog(session: rest.Session, settings: Settings) -> None:
    base = settings.auth_url
    for kind, (public, internal) in catalog(settings).items():
        service = session.request(
            'POST', f'{base}/services', {'service': {'type': kind, 'name': f'lab-{kind}'}}
        )
        for interface, url in (('public', public), ('internal', internal), ('admin', public)):
            endpoint = {
                'service_id': service['service']['id'],
                'interface': interface,
                'url': url,
                'region': REGION,
            }
            session.request('POST', f'{base}/endpoints', {'endpoint': endpoint})
