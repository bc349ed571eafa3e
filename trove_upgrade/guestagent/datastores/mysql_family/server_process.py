# SPDX-License-Identifier: Apache-2.0
"""The process of the running server: its environment and limits, as the kernel has them."""

import dataclasses
import pathlib
from collections.abc import Mapping

_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class ServerProcess:
    """Process of the server, with what its unit or its start script has given it."""

    environment: Mapping[str, str]
    limits: Mapping[str, str]  #: the kernel's name of a limit -> the soft one


def read(proc: pathlib.Path, process_id: int | None) -> ServerProcess | None:
    """Return what is known of it; None where it has ended or runs in a container.

    Source: proc_pid_environ(5), proc_pid_limits(5).
    """
    if process_id is None:
        return None
    try:
        environment = _beginning(proc / str(process_id) / 'environ')
        limits = _beginning(proc / str(process_id) / 'limits')
    except OSError:
        return None
    return ServerProcess(
        {
            name: value
            for name, equals, value in (entry.partition('=') for entry in environment.split('\0'))
            if equals
        },
        {
            line[:26].strip(): line[26:].split()[0]
            for line in limits.splitlines()[1:]
            if line[26:].split()
        },
    )


def _beginning(path: pathlib.Path) -> str:
    with path.open('rb') as stream:
        return stream.read(_BYTES).decode(errors='replace')
