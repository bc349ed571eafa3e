# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ, wholly apart from the machine's: own epmd, own node name, own directories, loopback
alone.
"""

import base64
import hashlib
import json
import os
import socket

from lab import services
from lab.settings import BROKER_VHOST, HOST, Settings
from lab.supervisor import Command

NAME = 'rabbitmq'
EPMD = 'epmd'
_ERLANG_LOOPBACK = '-kernel inet_dist_use_interface {127,0,0,1}'
# threads must not spin while they wait
_ERLANG_SMALL = '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none'


def configure(settings: Settings) -> None:
    """Users and virtual hosts are imported when the broker starts: no client program is needed."""
    etc = settings.etc(NAME)
    etc.mkdir(parents=True, exist_ok=True)
    (etc / 'enabled_plugins').write_text('[].\n')
    (etc / 'definitions.json').write_text(json.dumps(_definitions(settings)))
    (etc / 'definitions.json').chmod(0o600)
    (etc / 'rabbitmq.conf').write_text(
        '\n'.join(
            (
                f'listeners.tcp.default = {HOST}:{settings.ports.broker}',
                f'load_definitions = {etc}/definitions.json',
                'loopback_users = none',
                'vm_memory_high_watermark.absolute = 512MiB',
                'disk_free_limit.absolute = 50MB',
                'log.console = true',
                'log.console.level = info',
                'log.file = false',
                '',
            )
        )
    )


def processes(settings: Settings) -> tuple[Command, ...]:
    """Return epmd, then the broker: started by the broker it would leave its session and outlive
    it.
    """
    state = settings.state(NAME)
    home = state / 'home'
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    etc = settings.etc(NAME)
    epmd = {'ERL_EPMD_PORT': str(settings.ports.epmd), 'ERL_EPMD_ADDRESS': HOST}
    env = settings.env(**epmd) | {
        'HOME': str(home),
        'RABBITMQ_NODENAME': 'troveupgrade@localhost',
        'RABBITMQ_CONF_ENV_FILE': os.devnull,
        'RABBITMQ_CONFIG_FILE': str(etc / 'rabbitmq.conf'),
        'RABBITMQ_ENABLED_PLUGINS_FILE': str(etc / 'enabled_plugins'),
        'RABBITMQ_MNESIA_BASE': str(state / 'mnesia'),
        'RABBITMQ_LOG_BASE': str(settings.layout.logs_dir),
        'RABBITMQ_LOGS': '-',
        'RABBITMQ_PID_FILE': str(state / 'pid'),
        'RABBITMQ_DIST_PORT': str(settings.ports.broker_distribution),
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': f'{_ERLANG_LOOPBACK} {_ERLANG_SMALL}',
    }
    return (
        Command(
            name=EPMD,
            stage=services.STAGE_STORES,
            env=settings.env(**epmd),
            argv=('epmd', '-port', str(settings.ports.epmd), '-address', HOST),
        ),
        Command(
            name=NAME,
            stage=services.STAGE_STORES,
            stop_seconds=15.0,
            env=env,
            argv=('/usr/lib/rabbitmq/bin/rabbitmq-server',),
        ),
    )


def ready(settings: Settings) -> bool:
    """Tell whether it listens: it does so after its definitions are in."""
    return _accepts(settings.ports.broker)


def epmd_ready(settings: Settings) -> bool:
    """Tell whether epmd listens, so that the broker can register itself."""
    return _accepts(settings.ports.epmd)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2):
            return True
    except OSError:
        return False


def _definitions(settings: Settings) -> dict[str, object]:
    users = {'cloud': settings.secrets.broker, 'trove': settings.secrets.broker_trove}
    vhosts = {'cloud': '/', 'trove': BROKER_VHOST}
    return {
        'users': [
            {
                'name': name,
                'password_hash': _password_hash(password),
                'tags': '',
                'hashing_algorithm': 'rabbit_password_hashing_sha256',
            }
            for name, password in users.items()
        ],
        'vhosts': [{'name': vhost} for vhost in vhosts.values()],
        'permissions': [
            {'user': user, 'vhost': vhost, 'configure': '.*', 'write': '.*', 'read': '.*'}
            for user, vhost in vhosts.items()
        ],
    }


def _password_hash(password: str) -> str:
    """Source: RabbitMQ's guide "Credentials and Passwords": base64 of salt and sha256(salt +
    password).
    """
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
