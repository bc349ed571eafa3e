# SPDX-License-Identifier: Apache-2.0
"""Definition of a container, read from what the engine tells of it, and asked for again: perhaps of
another image.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_CONFIG = ('User', 'Healthcheck', 'ExposedPorts', 'Hostname', 'StopSignal', 'StopTimeout')
_HOST = (
    'Binds',
    'PortBindings',
    'RestartPolicy',
    'Privileged',
    'IpcMode',
    'NetworkMode',
    'Ulimits',
    'ShmSize',
    'Tmpfs',
    'ExtraHosts',
    'Dns',
    'CapAdd',
    'CapDrop',
    'Memory',
    'NanoCpus',
)


def environment_of(items: Sequence[str] | None) -> dict[str, str]:
    """The engine's list of NAME=value."""
    return dict(item.partition('=')[::2] for item in items or ())


def environment_items(given: Mapping[str, str] | None) -> list[str]:
    """The engine's list of NAME=value, of these."""
    return [f'{name}={value}' for name, value in (given or {}).items()]


def without_image_defaults(
    definition: Mapping[str, Any], image: Mapping[str, Any]
) -> dict[str, Any]:
    """The definition without what it has only because its image says so.

    The engine merges the image's environment, command and health check into what it tells of a
    container; asked for again with another image, they would override that image's own (its path,
    its version).

    :param image: the raw `Config` of the image.
    """
    config = dict(definition.get('Config') or {})
    of_image = set(image.get('Env') or ())
    config['Env'] = [item for item in config.get('Env') or () if item not in of_image]
    for key in (
        'Cmd',
        'Healthcheck',
        'Labels',
        'Entrypoint',
        'WorkingDir',
        'Volumes',
        'User',
        'StopSignal',
    ):
        if config.get(key) == image.get(key):
            config.pop(key, None)
    identity = str(definition.get('Id', ''))[:12]
    if config.get('Hostname') == identity:
        config.pop('Hostname', None)
    return {**definition, 'Config': config}


def creation(
    definition: Mapping[str, Any],
    *,
    image: str | None = None,
    command: Sequence[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    network: str | None = None,
    at_first: str | None = None,
    restart: str | None = None,
) -> dict[str, Any]:
    """The body that asks the engine for such a container.

    :param env: what is set besides, or instead; None leaves a name out.
    :param network: in the definition, in the place of its own.
    :param at_first: where it is until it is connected to the network of its definition.
    """
    config: Mapping[str, Any] = definition.get('Config') or {}
    host: Mapping[str, Any] = definition.get('HostConfig') or {}
    merged: dict[str, str | None] = {**environment_of(config.get('Env')), **(env or {})}
    body = {key: config[key] for key in _CONFIG if config.get(key)}
    given = command if command is not None else config.get('Cmd')
    if given:
        body['Cmd'] = list(given)
    body['Image'] = image or config.get('Image')
    body['Env'] = [f'{name}={value}' for name, value in merged.items() if value is not None]
    body['HostConfig'] = {key: host[key] for key in _HOST if host.get(key)}
    if network is not None:
        body['HostConfig']['NetworkMode'] = network
        if network == 'none':
            body['HostConfig'].pop('PortBindings', None)
    if restart is not None:
        body['HostConfig']['RestartPolicy'] = {'Name': restart}
    endpoints = _endpoints(definition, str(body['HostConfig'].get('NetworkMode', '')))
    if at_first is not None:
        endpoints = {at_first: {}}
    if endpoints:
        body['NetworkingConfig'] = {'EndpointsConfig': endpoints}
    return body


def _endpoints(definition: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """The fixed addresses on a network of its own; those of the engine's own bridge are the
    engine's to give.
    """
    networks = (definition.get('NetworkSettings') or {}).get('Networks') or {}
    addresses = (networks.get(mode) or {}).get('IPAMConfig')
    return {mode: {'IPAMConfig': addresses}} if addresses else {}
