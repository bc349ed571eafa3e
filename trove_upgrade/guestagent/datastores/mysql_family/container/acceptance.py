# SPDX-License-Identifier: Apache-2.0
"""Containers that are made again on another root disk: such as Trove makes.

The definition comes from the former root disk, which may have been taken over.  One that reaches
more of the host than Trove's does would hand over the new root disk as well; one with its data
elsewhere than on the volume would be empty.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family.container import definition
from trove_upgrade.guestagent.datastores.mysql_family.container.names import DATABASE
from trove_upgrade.guestagent.machine.containers.answers import Container
from trove_upgrade.guestagent.machine.containers.engine import Engine

CODE = 'CONTAINER_DEFINITION'
_NAME = 'container_definition'
#: Below it are those of ssh and the like.
_PORTS_OF_ROOT = 1024
_SERVERS = frozenset(
    f'{directory}{name}' for directory in ('', '/usr/sbin/') for name in ('mariadbd', 'mysqld')
)


def check_running(engine: Engine, places: Sequence[pathlib.Path]) -> list[CheckResult]:
    """Judge that the database's container runs, and could be made again on another root disk."""
    name = 'container'
    try:
        container = engine.inspect(DATABASE)
    except exceptions.StepFailed as error:
        return [CheckResult.refused(name, error.message, error.code)]
    if container is None or not container.running:
        return [
            CheckResult.refused(
                name,
                (
                    f'The database cannot be upgraded: container {DATABASE} '
                    f'{"is " + container.status if container else "is not there"}. Start it and '
                    'try again.'
                ),
                Code.CONTAINER_NOT_RUNNING,
            )
        ]
    network = definition.network(container.definition)
    if network not in definition.USUAL_NETWORKS:
        return [
            CheckResult.refused(
                name,
                (
                    f'The database cannot be upgraded: container {DATABASE} is on network '
                    f'{network}, which the engine of a new root disk does not have. Upgrade it '
                    'with Trove, or dump and restore.'
                ),
                'CONTAINER_NETWORK',
            )
        ]
    defined = _portable_with_mounts(engine, container)
    runs = CheckResult.ok(name, f'Container {DATABASE} runs image {container.image}.')
    return [runs, check(defined, places)]


def _portable_with_mounts(engine: Engine, container: Container) -> dict[str, Any]:
    """Return the definition as another root disk would have it, and its mounts, which it would
    not have.
    """
    image = engine.image(container.image_id)
    defined, _ = definition.portable(
        container.definition, image.config if image is not None else {}
    )
    mounts = (container.definition.get('HostConfig') or {}).get('Mounts')
    defined['HostConfig']['Mounts'] = mounts  # they are not kept
    return defined


def check(defined: Mapping[str, Any], places: Sequence[pathlib.Path]) -> CheckResult:
    """Judge a definition; `places` are the directories of the host that Trove gives to its
    container.
    """
    reasons = list(_reasons(defined, places))
    if not reasons:
        return CheckResult.ok(
            _NAME, "The database's container has no more of the guest than Trove gives it."
        )
    return CheckResult.refused(
        _NAME,
        (
            f"The database's container cannot be made again: {'; '.join(reasons)}. Trove makes no "
            'such container. Remove and create it again as Trove does, by its rebuild or by hand, '
            'and upgrade again.'
        ),
        CODE,
    )


def _reasons(defined: Mapping[str, Any], places: Sequence[pathlib.Path]) -> Iterator[str]:
    host: Mapping[str, Any] = defined.get('HostConfig') or {}
    for bind in host.get('Binds') or ():
        source = str(bind).partition(':')[0]
        if not any(_is(source, place) for place in places):
            yield f'it sees {source}, which is none of the directories that Trove gives it'
    for mount in host.get('Mounts') or ():
        yield (
            'it has a mount of the kind that is not made again, '
            f'{mount.get("Source") or mount.get("Type")} at {mount.get("Target")}'
        )
    for inside, bindings in (host.get('PortBindings') or {}).items():
        ports = [str(binding.get('HostPort') or '') for binding in bindings or ()]
        if any(
            port and not (port.isascii() and port.isdecimal() and int(port) >= _PORTS_OF_ROOT)
            for port in ports
        ):
            yield (
                f'it publishes port {", ".join(ports)} of the guest for its {inside}, which may '
                "be for root's services"
            )
    user = definition.user(defined)
    if (user is None and (host.get('Privileged') or _names_user(defined))) or (
        user and not user[0]
    ):
        yield 'its user is root or a name'
    if host.get('CapAdd'):
        yield f'it has the capabilities {", ".join(map(str, host["CapAdd"]))}'
    words = definition.command(defined)
    if words and not words[0].startswith('-') and words[0] not in _SERVERS:
        yield f'its command begins with {words[0]!r}, which is no database server'


def _names_user(defined: Mapping[str, Any]) -> bool:
    return bool((defined.get('Config') or {}).get('User'))


def _is(source: str, place: pathlib.Path) -> bool:
    """A name without a slash is a volume of the engine's own, on the root disk; a directory below a
    place can become a link.
    """
    return source.startswith('/') and os.path.realpath(source) == os.path.realpath(place)
