# SPDX-License-Identifier: Apache-2.0
"""Chooses what carries the lab's servers; every other part knows the port in servers.py alone.

Nova's own driver is named in services/nova.py.
"""

from pathlib import Path

from lab.commands import Commands
from lab.handle import CloudHandle
from lab.hypervisor.host import LabHost
from lab.servers import Hypervisor
from lab.settings import HOST, Ports


def hypervisor(directory: Path, commands: Commands | None = None) -> Hypervisor:
    """The one with its guests below `directory`: to find and to end them, and to boot an image."""
    return LabHost.open(directory, commands=commands)


def of_cloud(handle: CloudHandle) -> Hypervisor:
    """The one of the running cloud, also to make networks."""
    return LabHost.open(
        Path(handle.run_dir) / 'hypervisor',
        (handle.broker_host, handle.broker_port),
        registry=(HOST, Ports().registry),
        security_groups=handle.security_groups,
    )
