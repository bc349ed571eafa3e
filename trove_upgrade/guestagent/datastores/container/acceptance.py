# SPDX-License-Identifier: Apache-2.0
"""Which containers are made again on another root disk: such as Trove makes.

The definition comes from the former root disk, which may have been taken over.  One that reaches more of the host than Trove's does would
hand over the new root disk as well; one whose data is elsewhere than on the volume would be empty.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trove_upgrade.domain import upgrade
from trove_upgrade.guestagent.datastores.container import definition

CODE = 'CONTAINER_DEFINITION'
_NAME = 'container_definition'
_SERVERS = frozenset({'mariadbd', 'mysqld'})


def check(defined: Mapping[str, Any], places: Sequence[pathlib.Path]) -> upgrade.CheckResult:
    """Judge a definition; `places` are the directories of the host that Trove gives to its container."""
    reasons = list(_reasons(defined, places))
    if not reasons:
        return upgrade.CheckResult(
            _NAME, 'ok', "The database's container has no more of the guest than Trove gives it."
        )
    return upgrade.CheckResult(
        _NAME,
        'refused',
        (
            f"The database's container cannot be made again: {'; '.join(reasons)}. Trove makes no such container. Remove and create it again as Trove "
            f'does, by its rebuild or by hand, and upgrade again.'
        ),
        CODE,
    )


def _reasons(defined: Mapping[str, Any], places: Sequence[pathlib.Path]) -> Iterator[str]:
    host: Mapping[str, Any] = defined.get('HostConfig') or {}
    for bind in host.get('Binds') or ():
        source = str(bind).partition(':')[0]
        if not any(_is_below(source, place) for place in places):
            yield f'it sees {source}, which is neither on the volume nor of the database'
    for mount in host.get('Mounts') or ():
        yield f'it has a mount of the kind that is not made again, {mount.get("Source") or mount.get("Type")} at {mount.get("Target")}'
    if host.get('Privileged') and not (definition.user(defined) or (0, 0))[0]:
        yield 'it is privileged, and its user is root or a name'
    if host.get('CapAdd'):
        yield f'it has the capabilities {", ".join(map(str, host["CapAdd"]))}'
    words = definition.command(defined)
    if (
        words
        and not words[0].startswith('-')
        and pathlib.PurePosixPath(words[0]).name not in _SERVERS
    ):
        yield f'its command begins with {words[0]!r}, which is no database server'


def _is_below(source: str, place: pathlib.Path) -> bool:
    """A name without a slash is a volume of the engine's own, on the root disk."""
    return source.startswith('/') and pathlib.Path(os.path.realpath(source)).is_relative_to(
        os.path.realpath(place)
    )
