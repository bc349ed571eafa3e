# SPDX-License-Identifier: Apache-2.0
"""Facts of a running cloud for its users: addresses and credentials."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from lab.settings import HOST, REGION, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user in its project; both in the domain Default."""

    username: str
    password: str
    project_name: str
    auth_url: str
    region_name: str = REGION

    def environ(self) -> dict[str, str]:
        """Variables with which the openstack and trove clients work."""
        return {
            'OS_AUTH_URL': self.auth_url,
            'OS_USERNAME': self.username,
            'OS_PASSWORD': self.password,
            'OS_PROJECT_NAME': self.project_name,
            'OS_USER_DOMAIN_NAME': 'Default',
            'OS_PROJECT_DOMAIN_NAME': 'Default',
            'OS_REGION_NAME': self.region_name,
            'OS_IDENTITY_API_VERSION': '3',
            'OS_AUTH_TYPE': 'password',
            'no_proxy': '127.0.0.1,localhost',
            'NO_PROXY': '127.0.0.1,localhost',
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudHandle:
    """One running cloud.  Plain data: it travels through a file to other processes."""

    auth_url: str
    nova_url: str  #: directly; the catalog's public endpoint
    nova_proxy_url: str  #: through the proxy that can fail; the catalog's internal endpoint
    proxy_control_url: str  #: append /__faults or /__requests
    glance_url: str
    neutron_url: str
    #: where the catalog says that our own API is; `database_api_port` is free to be bound
    database_api_url: str
    database_api_port: int
    #: the broker, for our services; guests use the same user and virtual host by their gateway's
    #: address
    transport_url: str
    broker_host: str
    broker_port: int
    mariadb_url: str  #: SQLAlchemy's address without a database name; see `database_url`
    network_id: str  #: where guests are; belongs to the service project
    network_cidr: str
    flavors: dict[str, str]  #: name -> id
    users: dict[str, Credentials]  #: admin, demo, reader, other, trove
    programs_dir: str  #: unmodified clients: openstack, trove
    run_dir: str
    security_groups: bool = False  #: Neutron's are enforced at the guests' ports

    def database_url(self, name: str = 'trove') -> str:
        """SQLAlchemy's address of a database that exists: `trove` is there from the start, and
        empty.
        """
        return f'{self.mariadb_url}/{name}?charset=utf8mb4'

    @property
    def service(self) -> Credentials:
        """The service user of our own services: trove in the project service."""
        return self.users['trove']

    def save(self, path: pathlib.Path) -> None:
        """Write it, readable by the owner alone; the file appears whole or not at all."""
        unfinished = path.with_suffix('.new')
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w'
        ) as sink:
            json.dump(dataclasses.asdict(self), sink, indent=2)
        unfinished.rename(path)

    @classmethod
    def load(cls, path: pathlib.Path) -> 'CloudHandle':
        """Return what `save` wrote.

        :raises FileNotFoundError: no cloud is up.
        """
        content: dict[str, Any] = json.loads(path.read_text())
        content['users'] = {name: Credentials(**user) for name, user in content['users'].items()}
        return cls(**content)


def make(
    settings: Settings, *, network_id: str, network_cidr: str, flavors: dict[str, str]
) -> CloudHandle:
    """The handle of the cloud that has just come up."""
    secrets, ports = settings.secrets, settings.ports
    passwords = {
        'admin': ('admin', secrets.admin),
        'demo': ('demo', secrets.demo),
        'reader': ('demo', secrets.reader),
        'other': ('other', secrets.other),
        'trove': ('service', secrets.service),
    }
    return CloudHandle(
        auth_url=settings.auth_url,
        nova_url=settings.url(ports.compute, '/v2.1'),
        nova_proxy_url=settings.url(ports.compute_proxy, '/v2.1'),
        proxy_control_url=settings.url(ports.compute_proxy),
        glance_url=settings.url(ports.image),
        neutron_url=settings.url(ports.network),
        database_api_url=settings.url(ports.database, '/v1.0'),
        database_api_port=ports.database,
        transport_url=settings.trove_transport_url,
        broker_host=HOST,
        broker_port=ports.broker,
        mariadb_url=f'mysql+pymysql://trove:{secrets.database}@{HOST}:{ports.mariadb}',
        network_id=network_id,
        network_cidr=network_cidr,
        flavors=flavors,
        programs_dir=str(settings.venv.path / 'bin'),
        users={
            name: Credentials(
                username=name, password=password, project_name=project, auth_url=settings.auth_url
            )
            for name, (project, password) in passwords.items()
        },
        run_dir=str(settings.layout.run_dir),
        security_groups=settings.security_groups,
    )
