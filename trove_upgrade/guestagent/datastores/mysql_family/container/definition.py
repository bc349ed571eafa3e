# SPDX-License-Identifier: Apache-2.0
"""The definition of the database's container, as it is kept: to be made again with another image,
and without secrets.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.machine.containers import definitions

_SECRET = re.compile(r'PASSWORD|SECRET|TOKEN|PRIVATE|CREDENTIAL', re.IGNORECASE)

_TROVE_USER = (1001, 1001)
#: The entrypoint's switch for an upgrade of its own at each start: no agent would watch it.
AUTO_UPGRADE = 'MARIADB_AUTO_UPGRADE'
#: Names of the engine's own networks.
BRIDGE, NONE = 'bridge', 'none'
#: Every network that a fresh engine has, and a container can be reached by.
USUAL_NETWORKS = frozenset({'', 'default', BRIDGE, 'host'})
#: The one option file that the command of Trove's container names.
_OPTION_FILE = '--defaults-file=/etc/mysql/my.cnf'
_OTHER_FILES = ('--defaults-extra-file', '--defaults-group-suffix', '--defaults-file')
#: Ends of variables by which the server's program reads other option files, or other groups.
_OTHER_PLACES = ('_HOME', '_GROUP_SUFFIX')


def portable(
    inspected: Mapping[str, Any], image_config: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return what makes the same container with another image, and the names of the variables
    without their values.

    `image_config` is that of the container's image: what it brings is the image's.
    """
    own = definitions.without_image_defaults(inspected, image_config)
    environment = definitions.environment_of(own['Config'].get('Env'))
    secrets = sorted(name for name in environment if _SECRET.search(name))
    kept = [f'{name}={value}' for name, value in environment.items() if name not in secrets]
    body = definitions.creation({**own, 'Config': {**own['Config'], 'Env': kept}})
    host = body.pop('HostConfig')
    return {
        'Config': {
            key: value for key, value in body.items() if key not in {'Image', 'NetworkingConfig'}
        },
        'HostConfig': host,
    }, secrets


def command(definition: Mapping[str, Any]) -> list[str]:
    """Return what its program is told; the image's own command where Trove's agent gave none."""
    return [str(word) for word in (definition.get('Config') or {}).get('Cmd') or ()]


def options(definition: Mapping[str, Any]) -> list[str]:
    """The options of the command that say neither where files are nor where the data is."""
    places = ('--defaults-file', '--datadir', '--defaults-extra-file', '--defaults-group-suffix')
    return [
        word
        for word in command(definition)
        if word.startswith('--') and word.partition('=')[0] not in places
    ]


def upgrades_by_itself(definition: Mapping[str, Any], image_config: Mapping[str, Any]) -> bool:
    """Return whether the entrypoint's own upgrade is on, by the container's environment or else by
    that of its image.
    """
    names = [
        definitions.environment_of((config or {}).get('Env'))
        for config in (definition.get('Config'), image_config)
    ]
    return bool(names[0].get(AUTO_UPGRADE, names[1].get(AUTO_UPGRADE)))


def network(definition: Mapping[str, Any]) -> str:
    """The network that it is defined to be on."""
    return str((definition.get('HostConfig') or {}).get('NetworkMode') or '')


def own_network(definition: Mapping[str, Any]) -> str:
    """Return the name of that network, as the engine has it."""
    named = network(definition)
    return BRIDGE if named in {'', 'default'} else named


def networks(definition: Mapping[str, Any]) -> frozenset[str]:
    """Return the networks that it is on now."""
    return frozenset((definition.get('NetworkSettings') or {}).get('Networks') or ())


def publishes_all(definition: Mapping[str, Any]) -> bool:
    """Return whether each port that it is defined to publish is published now."""
    bindings = (definition.get('HostConfig') or {}).get('PortBindings') or {}
    ports = (definition.get('NetworkSettings') or {}).get('Ports') or {}
    return all(ports.get(port) for port, wanted in bindings.items() if wanted)


def reads_other_files(words: Sequence[str], definition: Mapping[str, Any]) -> bool:
    """Return whether its server reads other option files than those of /etc/mysql, by the words of
    its command or by its environment.
    """
    names = definitions.environment_of((definition.get('Config') or {}).get('Env'))
    return any(
        word.partition('=')[0] in _OTHER_FILES and word != _OPTION_FILE for word in words
    ) or any(name.endswith(_OTHER_PLACES) for name in names)


def user(definition: Mapping[str, Any]) -> tuple[int, int] | None:
    """Numbers of the user and the group that it runs as; None where the image decides, or its names
    do.
    """
    found = re.fullmatch(
        r'(\d+)(?::(\d+))?', str((definition.get('Config') or {}).get('User') or '')
    )
    return (int(found.group(1)), int(found.group(2) or found.group(1))) if found else None


def user_or_troves(definition: Mapping[str, Any]) -> tuple[int, int]:
    """Numbers of the user and the group that a throwaway container runs as: Trove's own where
    `user` knows none.
    """
    return user(definition) or _TROVE_USER


def published(definition: Mapping[str, Any], port: int) -> list[tuple[str, int]]:
    """Addresses and ports of the host that lead to the container's TCP `port`."""
    bindings = ((definition.get('HostConfig') or {}).get('PortBindings') or {}).get(
        f'{port}/tcp'
    ) or ()
    return [
        (str(binding.get('HostIp') or ''), int(binding['HostPort']))
        for binding in bindings
        if str(binding.get('HostPort') or '').isdigit()
    ]
