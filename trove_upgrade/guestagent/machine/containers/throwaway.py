# SPDX-License-Identifier: Apache-2.0
"""Throwaway containers: made for one program, and removed after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.machine.containers import definitions

#: The label by which they are known; its value is that of the client that made them.
THROWAWAY = 'trove-upgrade.throwaway'


def creation(
    image: str,
    argv: Sequence[str],
    token: str,
    *,
    user: str,
    binds: Sequence[str],
    tmpfs: Mapping[str, str] | None,
    env: Mapping[str, str] | None,
    network: str,
    entrypoint: Sequence[str] | None,
) -> dict[str, Any]:
    """The body that asks the engine for one; `token` names the client that makes it."""
    body: dict[str, Any] = {
        'Image': image,
        'Cmd': list(argv),
        'User': user,
        'Env': definitions.environment_items(env),
        'Labels': {THROWAWAY: token},
        'Healthcheck': {'Test': ['NONE']},
        'HostConfig': {
            'NetworkMode': network,
            'Binds': list(binds),
            'Tmpfs': dict(tmpfs or {}),
            'RestartPolicy': {'Name': 'no'},
            'LogConfig': {'Type': 'json-file', 'Config': {'max-size': '4m', 'max-file': '1'}},
        },
    }
    if entrypoint is not None:
        body['Entrypoint'] = list(entrypoint)
    return body
