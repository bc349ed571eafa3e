# SPDX-License-Identifier: Apache-2.0
"""Repositories of container images that a rebuilt guest takes besides its own docker_image.

A guest lets no call choose its repository. What an operator has recorded of a version is in the
database: so it reaches the guest in the user data of its rebuild.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trove_upgrade.domain import exceptions, image_reference, markers
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.taskmanager import agent_options

_GROUP, _MARKER, _OPTION = 'trove_upgrade', 'upgrade_marker', 'upgrade_container_repositories'
_IMAGE = 'docker_image'


class Contents(Protocol):
    """Parts of the next root disk's files that decide."""

    @property
    def datastore_manager(self) -> str:
        """Datastore manager, which is the group of the option `docker_image`."""

    @property
    def guest_config(self) -> str | None:
        """The operator's template of trove-guestagent.conf."""

    @property
    def container_repositories(self) -> Sequence[str]:
        """Repositories of container images by the facts of the version."""


def of_facts(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the repository that the facts of a version name, if they name one.

    :raises StepRefused: CONTAINER_IMAGE_INVALID; their container_image is no name of an image.
    """
    text = facts.get('container_image')
    if not text:
        return ()
    try:
        return (ImageReference.parse(text).name,)
    except ValueError as error:
        raise exceptions.StepRefused(
            'The user data of the server cannot be made: the fact container_image of the datastore '
            f'version is {repr(text)[:200]}, and {error}. Record the facts of the version again.',
            Code.CONTAINER_IMAGE_INVALID,
        ) from error


def of_guest(
    files: Mapping[str, bytes], contents: Contents, marker: str, marker_path: str
) -> tuple[str, ...]:
    """Return those by the facts, and those that a way back may need.

    `files` are those of the former user data. Where the operator's template changes `docker_image`,
    the former one counts besides; what the user data of an earlier rebuild of the
    same upgrade has, stays.
    """
    former = agent_options.read(agent_options.configuration(files).values())
    coming = agent_options.read(
        agent_options.configuration(files, contents.guest_config, marker_path).values()
    )
    found = list(contents.container_repositories)
    own = (contents.datastore_manager, _IMAGE)
    if former.get(own) != coming.get(own):
        # Trove's own default is the manager's name
        found.append(former.get(own, contents.datastore_manager if former else ''))
    if markers.upgrade_of(former.get((_GROUP, _MARKER), '')) == markers.upgrade_of(marker):
        found += [name.strip() for name in former.get((_GROUP, _OPTION), '').split(',')]
    return tuple(dict.fromkeys(name for name in found if _is_repository(name)))


def _is_repository(text: str) -> bool:
    try:
        image_reference.repository_of(text)
    except ValueError:
        return False
    return True
