# SPDX-License-Identifier: Apache-2.0
"""Settings that the services of one cloud agree on: ports, secrets, paths."""

import dataclasses
import json
import os
import pathlib
import secrets as random_secrets

from lab.layout import CACHE_VARIABLE, MARK_VARIABLE, RUN_VARIABLE, Layout
from lab.venv import CloudVenv

HOST = '127.0.0.1'
REGION = 'RegionOne'
COMPUTE_HOST = 'lab'  #: Nova's name of this machine, as host and as node
SERVICE_USERS = ('glance', 'placement', 'nova', 'neutron', 'trove')
DRIVER_VARIABLE = 'TROVE_UPGRADE_LAB_DRIVER'
LAB_DRIVER = 'trove_upgrade_lab.LabDriver'
BROKER_VHOST = 'trove'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ports:
    """All on loopback, none a default, so nothing that the machine runs itself is in the way."""

    mariadb: int = 18306
    epmd: int = 18369
    identity: int = 18500
    broker: int = 18672
    broker_distribution: int = 18674
    network: int = 18696
    compute: int = 18774
    compute_proxy: int = 18775
    placement: int = 18778
    database: int = 18779  #: our own API; the process that runs it binds it
    image: int = 18292
    registry: int = 18505  #: of container images; only beside Trove

    def ours(self) -> tuple[int, ...]:
        """Return what `up` itself listens on."""
        return tuple(port for name, port in dataclasses.asdict(self).items() if name != 'database')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Secrets:
    """Secrets of a cloud, made once per database template, because the databases remember them."""

    database: str
    broker: str
    broker_trove: str
    service: str
    admin: str
    demo: str
    reader: str
    other: str

    @classmethod
    def generate(cls) -> 'Secrets':
        """Return new random passwords, one for each field."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: random_secrets.token_hex(12) for name in names})

    @classmethod
    def load(cls, path: pathlib.Path) -> 'Secrets':
        """Read the secrets that `save` wrote."""
        return cls(**json.loads(path.read_text()))

    def save(self, path: pathlib.Path) -> None:
        """Write them, readable by the owner alone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as sink:
            json.dump(dataclasses.asdict(self), sink)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the cloud that every service is configured from."""

    layout: Layout
    venv: CloudVenv
    secrets: Secrets
    ports: Ports = Ports()
    compute_driver: str = LAB_DRIVER
    security_groups: bool = False  #: Neutron's are enforced at the guests' ports

    @property
    def plugins_dir(self) -> pathlib.Path:
        """Directory on the services' PYTHONPATH: both packages, and the entry point of the
        mechanism driver; nothing else of the checkout.
        """
        return self.layout.run_dir / 'plugins'

    @property
    def mariadb_socket(self) -> pathlib.Path:
        """Path of MariaDB's socket, directly in the run directory: a socket's path may have 107
        characters.
        """
        return self.layout.run_dir / 'mariadb.sock'

    def url(self, port: int, path: str = '') -> str:
        """HTTP address of one of our ports."""
        return f'http://{HOST}:{port}{path}'

    @property
    def auth_url(self) -> str:
        """Return Keystone's address, version included."""
        return self.url(self.ports.identity, '/v3')

    def database_url(self, name: str, user: str = 'cloud') -> str:
        """SQLAlchemy's address of a database."""
        return f'mysql+pymysql://{user}:{self.secrets.database}@{HOST}:{self.ports.mariadb}/{name}?charset=utf8mb4'

    @property
    def cloud_transport_url(self) -> str:
        """The broker as Nova and Neutron use it."""
        return f'rabbit://cloud:{self.secrets.broker}@{HOST}:{self.ports.broker}/'

    @property
    def trove_transport_url(self) -> str:
        """The broker as our services and our guests use it: a virtual host of their own, where a
        guest cannot reach Nova.
        """
        return (
            f'rabbit://trove:{self.secrets.broker_trove}@{HOST}:{self.ports.broker}/{BROKER_VHOST}'
        )

    def etc(self, service: str) -> pathlib.Path:
        """Configuration directory of a service."""
        return self.layout.etc_dir / service

    def state(self, service: str) -> pathlib.Path:
        """Data directory of a service."""
        return self.layout.state_dir / service

    def env(self, **more: str) -> dict[str, str]:
        """Environment of every process: small and the same everywhere, no proxy for loopback."""
        home = self.layout.state_dir / 'home'
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            'PATH': (
                f'{self.venv.path}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
            ),
            'HOME': str(home),
            'LANG': 'C.UTF-8',
            'no_proxy': '127.0.0.1,localhost',
            'NO_PROXY': '127.0.0.1,localhost',
            MARK_VARIABLE: str(self.layout.run_dir),
            RUN_VARIABLE: str(self.layout.run_dir),
            CACHE_VARIABLE: str(self.layout.cache_dir),
            'PYTHONPATH': str(self.plugins_dir),
            'PYTHONUNBUFFERED': '1',
            **more,
        }
