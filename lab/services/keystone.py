# SPDX-License-Identifier: Apache-2.0
"""Keystone: tokens, users, and the catalog."""

import pathlib

from lab import errors, rest, services
from lab.services import openstack
from lab.settings import REGION, Settings
from lab.supervisor import Command

NAME = 'keystone'
TOKEN_SECONDS = 86400


def keys_dir(settings: Settings) -> pathlib.Path:
    """Fernet and credential keys: they belong to the database, and are kept with it."""
    return settings.state(NAME) / 'keys'


def configure(settings: Settings) -> None:
    """Write keystone.conf into the service's folder."""
    keys = keys_dir(settings)
    openstack.write_ini(
        _config(settings),
        {
            'DEFAULT': openstack.logging(settings),
            'database': openstack.database(settings, NAME),
            'token': {'provider': 'fernet', 'expiration': TOKEN_SECONDS},
            'fernet_tokens': {'key_repository': keys / 'fernet'},
            'credential': {'key_repository': keys / 'credential'},
            # One process serves all, so its own memory is a correct cache.
            'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
            'oslo_messaging_notifications': {'driver': 'noop'},
        },
    )


def process(settings: Settings) -> Command:
    """Return the process of Keystone's API."""
    return openstack.wsgi_process(
        settings,
        NAME,
        'keystone.wsgi.api',
        settings.ports.identity,
        settings.env(OS_KEYSTONE_CONFIG_FILES=str(_config(settings))),
        stage=services.STAGE_IDENTITY,
    )


def migrations(settings: Settings) -> tuple[openstack.Migration, ...]:
    """Tables, keys, the first administrator."""
    keys_dir(settings).mkdir(mode=0o700, parents=True, exist_ok=True)

    def manage(*arguments: str) -> openstack.Migration:
        return openstack.Migration(
            NAME,
            (
                settings.venv.program('keystone-manage'),
                '--config-file',
                str(_config(settings)),
                *arguments,
            ),
            settings.env(),
        )

    owner = ('--keystone-user', 'root', '--keystone-group', 'root')
    urls = tuple(
        part
        for interface in ('admin', 'internal', 'public')
        for part in (f'--bootstrap-{interface}-url', settings.auth_url)
    )
    return (
        manage('db_sync'),
        manage('fernet_setup', *owner),
        manage('credential_setup', *owner),
        manage(
            'bootstrap',
            '--bootstrap-password',
            settings.secrets.admin,
            '--bootstrap-region-id',
            REGION,
            *urls,
        ),
    )


def ready(settings: Settings) -> bool:
    """Tell whether it has judged a token by its policy.

    Its processes build the policy's enforcer at the first request that needs one, without a lock: a
    second one that comes meanwhile is answered with 403 or 500 ('Enforcer' object has no attribute
    '_warning_emitted', keystone.common.rbac_enforcer, read in 30.0.0).  So there is no second one
    before the first is done.
    """
    if not openstack.answers(settings.auth_url):
        return False
    session = rest.Session(settings.auth_url, 'admin', settings.secrets.admin, 'admin')
    try:
        session.request('GET', f'{settings.auth_url}/auth/tokens', subject=session.token())
    except errors.CommandFailed:
        return False
    return True


def _config(settings: Settings) -> pathlib.Path:
    return settings.etc(NAME) / 'keystone.conf'
