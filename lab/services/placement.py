# SPDX-License-Identifier: Apache-2.0
"""Placement, which Nova's scheduler asks: its configuration, its process and its tables."""

import pathlib

from lab.services import openstack
from lab.settings import Settings
from lab.supervisor import Command

NAME = 'placement'


def configure(settings: Settings) -> None:
    """Write placement.conf into the service's folder."""
    openstack.write_ini(
        _config(settings),
        {
            'DEFAULT': openstack.logging(settings),
            'placement_database': openstack.database(settings, NAME),
            'api': {'auth_strategy': 'keystone'},
            'keystone_authtoken': openstack.authtoken(settings, NAME),
        },
    )


def process(settings: Settings) -> Command:
    """Return the process of Placement's API."""
    return openstack.wsgi_process(
        settings,
        NAME,
        'placement.wsgi.api',
        settings.ports.placement,
        settings.env(OS_PLACEMENT_CONFIG_DIR=str(settings.etc(NAME))),
    )


def migrations(settings: Settings) -> tuple[openstack.Migration, ...]:
    """Return the command that makes Placement's tables."""
    return (
        openstack.Migration(
            NAME,
            (
                settings.venv.program('placement-manage'),
                '--config-file',
                str(_config(settings)),
                'db',
                'sync',
            ),
            settings.env(),
        ),
    )


def ready(settings: Settings) -> bool:
    """Tell whether the placement service answers."""
    return openstack.answers(settings.url(settings.ports.placement, '/'))


def _config(settings: Settings) -> pathlib.Path:
    return settings.etc(NAME) / 'placement.conf'
