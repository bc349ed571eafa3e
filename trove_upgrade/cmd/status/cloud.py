# SPDX-License-Identifier: Apache-2.0
"""Check of the cloud: Keystone lets the service user in, and Nova lets it do what an upgrade
needs.
"""

from collections.abc import Callable
from typing import Any

from novaclient import exceptions as nova_exceptions
from oslo_upgradecheck import upgradecheck

from trove_upgrade.clients import nova, session
from trove_upgrade.cmd.status.results import failure, success, warning

#: An operator waits.
SECONDS = 10.0


def check(make_client: Callable[[str], Any], highest: nova.Version) -> upgradecheck.Result:
    """`make_client` makes a python-novaclient client for a microversion; `highest` is the highest
    that may be asked for.
    """
    try:
        current = session.asked(lambda: _ask(make_client))
    except (nova_exceptions.Forbidden, nova_exceptions.Unauthorized) as error:
        return failure(
            'Nova refuses the user of [service_credentials] the servers of all projects: '
            f"{_said(error)}. Give it the role admin in its project: guests' servers may be in "
            'other projects, and their host and user data are shown to an admin alone.'
        )
    except (nova_exceptions.ClientException, *session.UNAVAILABLE) as error:
        return failure(
            'Keystone or Nova cannot be asked as the user of [service_credentials]: '
            f'{_said(error)}. Look at auth_url, user, password, project, region_name and interface '
            'there.'
        )
    newest = min(highest, nova.parse_version(getattr(current, 'version', None)))
    shown = f'{newest[0]}.{newest[1]}'
    if newest < nova.USER_DATA_SINCE:
        return warning(
            f'Nova is asked with microversion {shown}: a rebuild takes user data from 2.57 on, and '
            'files are injected instead; an instance whose own user data would overwrite them is '
            'refused (USER_DATA_KEPT). Look at [trove_upgrade] compute_max_microversion.'
        )
    if newest < nova.VOLUME_BACKED_SINCE:
        return success(
            f'Nova shows the servers of all projects and is asked with microversion {shown}; '
            'instances that boot from a volume are refused, as that needs 2.93.'
        )
    return success(
        f'Nova shows the servers of all projects and is asked with microversion {shown}.'
    )


def _ask(make_client: Callable[[str], Any]) -> Any:
    """Nova's own version, once it has shown a server."""
    client = make_client('2.1')
    current = client.versions.get_current()
    client.servers.list(search_opts={'all_tenants': True}, limit=1)
    return current


def _said(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
