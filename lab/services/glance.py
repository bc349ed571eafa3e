# SPDX-License-Identifier: Apache-2.0
"""Glance with one file store."""

import pathlib

from lab.services import openstack
from lab.settings import Settings
from lab.supervisor import Command

NAME = 'glance'
STORE = 'lab'


def configure(settings: Settings) -> None:
    """glance-api.conf and the directories that it names."""
    state = settings.state(NAME)
    for part in ('images', 'staging', 'tasks', 'locks'):
        (state / part).mkdir(parents=True, exist_ok=True)
    openstack.write_ini(
        _config(settings),
        {
            'DEFAULT': openstack.logging(settings)
            | {
                'enabled_backends': f'{STORE}:file',
                'image_cache_dir': state / 'cache',
                'worker_self_reference_url': settings.url(settings.ports.image),
            },
            'database': openstack.database(settings, NAME),
            'keystone_authtoken': openstack.authtoken(settings, NAME),
            'paste_deploy': {
                'flavor': 'keystone',
                'config_file': settings.venv.path / 'etc/glance/glance-api-paste.ini',
            },
            'glance_store': {'default_backend': STORE},
            STORE: {'filesystem_store_datadir': state / 'images'},
            'os_glance_staging_store': {'filesystem_store_datadir': state / 'staging'},
            'os_glance_tasks_store': {'filesystem_store_datadir': state / 'tasks'},
            'oslo_concurrency': {'lock_path': state / 'locks'},
            'oslo_messaging_notifications': {'driver': 'noop'},
        },
    )


def process(settings: Settings) -> Command:
    """Return the process of Glance's API."""
    return openstack.wsgi_process(
        settings,
        NAME,
        'glance.wsgi.api',
        settings.ports.image,
        settings.env(OS_GLANCE_CONFIG_DIR=str(settings.etc(NAME))),
    )


def migrations(settings: Settings) -> tuple[openstack.Migration, ...]:
    """Return the command that makes Glance's tables."""
    return (
        openstack.Migration(
            NAME,
            (
                settings.venv.program('glance-manage'),
                '--config-file',
                str(_config(settings)),
                'db',
                'sync',
            ),
            settings.env(),
        ),
    )


def ready(settings: Settings) -> bool:
    """Tell whether the image service answers."""
    return openstack.answers(settings.url(settings.ports.image, '/versions'))


def _config(settings: Settings) -> pathlib.Path:
    return settings.etc(NAME) / 'glance-api.conf'
