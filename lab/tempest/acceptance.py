# SPDX-License-Identifier: Apache-2.0
"""Runs tests of OpenStack's own with the real `tempest run`, from inside the guests' network, as
the cloud's administrator would.
"""

import dataclasses
import ipaddress
import os
import pathlib
import re
import subprocess
from collections.abc import Callable, Mapping

from lab import errors, rest, service_proxy
from lab.handle import CloudHandle
from lab.servers import Network, Networks
from lab.services import openstack
from lab.settings import REGION, Ports
from lab.tempest import reach
from lab.trove import provision
from lab.trove.stage import DATASTORE, TroveStage
from lab.venv import CloudVenv, pins_file

RUN_SECONDS = 2400.0
BUILD_SECONDS = 900  #: what tempest waits for an instance; its own default is half an hour
_COUNT = re.compile(r'^ - (?P<what>Passed|Failed|Skipped): (?P<count>\d+)$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Versions:
    """Datastore versions that the test upgrades from and to."""

    before: str  #: what the instance to be upgraded is created at
    default: str  #: what it is upgraded to; the test makes another instance directly at it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Tempest's counts, and all that it printed."""

    passed: int
    failed: int
    skipped: int
    output: str

    @property
    def summary(self) -> str:
        """The tests that ran, one line each, and the totals; tempest's own lines."""
        return '\n'.join(
            line
            for line in self.output.splitlines()
            if ' ... ' in line
            or line.startswith((' - ', 'Ran:', 'Totals'))
            or line.strip('=') == 'Totals'
        )


def environment(stage: TroveStage, tell: Callable[[str], None]) -> CloudVenv:
    """Tempest in its own virtual environment, kept in the cache.

    :raises CommandFailed: it could not be installed.
    """
    venv = CloudVenv(
        venvs_dir=stage.layout.venvs_dir,
        log=stage.layout.log_file('tempest-venv'),
        environ=os.environ,
        pins=pins_file('tempest'),
    )
    venv.ensure(tell)
    return venv


def configuration(
    handle: CloudHandle, versions: Versions, flavor_id: str, directory: pathlib.Path
) -> openstack.Ini:
    """tempest.conf: the options that are no defaults.  Users and projects are tempest's own, made
    for the run and removed after it.
    """
    admin = handle.users['admin']
    return {
        'DEFAULT': {'log_file': directory / 'tempest.log'},
        'auth': {
            'use_dynamic_credentials': True,
            'create_isolated_networks': False,
            'admin_username': admin.username,
            'admin_password': admin.password,
            'admin_project_name': admin.project_name,
            'admin_domain_name': 'Default',
        },
        'identity': {
            'auth_version': 'v3',
            'uri_v3': handle.auth_url,
            'region': REGION,
            'v3_endpoint_type': 'publicURL',
        },
        'oslo_concurrency': {'lock_path': directory / 'locks'},
        'service_available': {'trove': True},
        'database': {
            'enabled_datastores': DATASTORE,
            'default_datastore_versions': f'{DATASTORE}:{versions.default}',
            'pre_upgrade_datastore_versions': f'{DATASTORE}:{versions.before}',
            'flavor_id': flavor_id,
            'shared_network': handle.network_id,
            'database_build_timeout': BUILD_SECONDS,
        },
    }


def run(
    stage: TroveStage,
    versions: Versions,
    regex: str,
    directory: pathlib.Path,
    tell: Callable[[str], None] = print,
) -> Outcome:
    """`tempest run` of the tests that match.

    :raises CommandFailed: tempest could not be installed, did not end, or counted nothing.
    """
    venv, handle, fabric = environment(stage, tell), stage.handle, _network(stage)
    openstack.write_ini(
        directory / 'tempest.conf',
        configuration(handle, versions, stage.side.flavors()['trove.small'], directory),
    )
    session = rest.Session.of(handle.users['admin'])
    floating = reach.FloatingAddresses(
        fabric,
        handle.network_id,
        provision.EXTERNAL_CIDR,
        lambda: session.request('GET', f'{handle.neutron_url}/v2.0/floatingips')['floatingips'],
    )
    entry, env = fabric.entry(handle.network_id), stage.side.settings.env()
    with (
        service_proxy.serving(reach.WithoutVolumes(handle.database_api_port)) as database,
        floating.translated(),
        fabric.loopback_leads_here(handle.network_id, _ports(handle, database), directory),
    ):
        output = _tempest(venv, entry, regex, directory, env)
    if floating.problem is not None:
        raise errors.CommandFailed(
            f'Floating addresses were no longer translated: {floating.problem}'
        )
    outcome = counted(output)
    if outcome is None:
        raise errors.CommandFailed(f'tempest has counted no tests:\n{output}')
    return outcome


def _ports(handle: CloudHandle, database: int) -> list[tuple[int, int]]:
    """Ports of the APIs inside the network, and those that they lead to; `database` stands before
    Trove's.
    """
    ports = Ports()
    same = (ports.identity, ports.compute, ports.image, ports.network)
    return [*((port, port) for port in same), (handle.database_api_port, database)]


def counted(output: str) -> Outcome | None:
    """Return what tempest says at its end; None where it says no numbers."""
    counts = {match['what']: int(match['count']) for match in _COUNT.finditer(output)}
    return (
        Outcome(
            passed=counts['Passed'],
            failed=counts['Failed'],
            skipped=counts['Skipped'],
            output=output,
        )
        if 'Passed' in counts
        else None
    )


def _network(stage: TroveStage) -> Networks:
    """The guests' network, made here where it has had no guest yet."""
    handle = stage.handle
    fabric = stage.host.fabric
    fabric.ensure(
        Network(
            handle.network_id,
            stage.side.gateway,
            ipaddress.ip_network(handle.network_cidr).prefixlen,
        )
    )
    return fabric


def _tempest(
    venv: CloudVenv,
    entry: tuple[str, ...],
    regex: str,
    directory: pathlib.Path,
    env: Mapping[str, str],
) -> str:
    argv = [
        *entry,
        venv.program('tempest'),
        'run',
        '--config-file',
        str(directory / 'tempest.conf'),
        '--serial',
        '--regex',
        regex,
    ]
    env = {
        **env,
        'HOME': str(directory),
        'PATH': f'{venv.path}/bin:{os.defpath}',
        'PYTHONPATH': '',
        'PYTHONWARNINGS': 'ignore',
    }
    try:
        done = subprocess.run(
            argv,
            cwd=directory,
            env=env,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise errors.CommandFailed(
            f'tempest did not end within {RUN_SECONDS:.0f} s. Its log is {directory}/tempest.log.'
        ) from late
    return f'{done.stdout}\n{done.stderr}'
