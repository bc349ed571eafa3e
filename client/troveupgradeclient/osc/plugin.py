# SPDX-License-Identifier: Apache-2.0
"""Entry of the openstack command: the name under which it keeps the client, and its version.

The name is not python-troveclient's `database`, so that both plugins stand side by side.
"""

import argparse
import copy
from typing import Any

from osc_lib import utils

from troveupgradeclient.v1.api import REQUEST_SECONDS
from troveupgradeclient.v1.client import Client

DEFAULT_API_VERSION = '1'
API_NAME = 'database_upgrade'
API_VERSION_OPTION = 'os_database_upgrade_api_version'
API_VERSIONS = {'1': 'troveupgradeclient.v1.client.Client'}

_ENVIRONMENT = 'OS_DATABASE_UPGRADE_API_VERSION'
_OVERRIDE = 'database_endpoint_override'


def make_client(instance: Any) -> Client:
    """Return the client of a command, with the session, the region and the interface of the
    cloud that the command has chosen.
    """
    session = instance.session
    if session.timeout is None:  # of a copy: other plugins share the session
        session = copy.copy(session)
        session.timeout = REQUEST_SECONDS
    return Client(
        session=session,
        region_name=instance.region_name,
        interface=instance.interface,
        endpoint_override=instance.get_configuration().get(_OVERRIDE),
    )


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the global option of the plugin."""
    parser.add_argument(
        '--os-database-upgrade-api-version',
        metavar='<database-upgrade-api-version>',
        default=utils.env(_ENVIRONMENT, default=DEFAULT_API_VERSION),
        help=f'Version of the API of database upgrades, default={DEFAULT_API_VERSION} '
        f'(Env: {_ENVIRONMENT})',
    )
    return parser
