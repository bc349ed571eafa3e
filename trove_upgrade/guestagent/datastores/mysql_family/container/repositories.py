# SPDX-License-Identifier: Apache-2.0
"""Repositories that this guest takes container images from.

A call comes from the message broker, and every guest has the broker's account. Its image runs on
the data, and for MariaDB with privileges: so the configuration of the guest decides on the
repository, and the call only on what an operator could have pushed there.
"""

from collections.abc import Sequence

from trove_upgrade.domain import exceptions, image_reference, logs
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.image_reference import ImageReference

LOG = logs.get_logger(__name__)

NOT_ALLOWED = 'CONTAINER_REPOSITORY_NOT_ALLOWED'
INVALID = Code.CONTAINER_IMAGE_INVALID
#: What a message quotes of a name that is none.
_CHARACTERS = 200


class Repositories:
    """`docker_image` of the datastore, and what `container_repositories` and user data name
    besides.
    """

    def __init__(self, own: str | None, others: Sequence[str] = ()) -> None:
        """`own` is `docker_image`; what is no repository by the grammar allows nothing."""
        self._names = [text for text in (own, *others) if text and _is_repository(text)]
        self._allowed = {image_reference.repository_of(name) for name in self._names}

    def require(self, text: object) -> ImageReference:
        """Return `text` as it was read.

        :raises StepRefused: CONTAINER_IMAGE_INVALID; CONTAINER_REPOSITORY_NOT_ALLOWED.
        """
        try:
            found = ImageReference.parse(text)
        except ValueError as error:
            raise exceptions.StepRefused(
                f'The database cannot run container image {repr(text)[:_CHARACTERS]}: {error}. '
                'Correct the number of the datastore version or its fact container_image.',
                INVALID,
            ) from error
        if found.repository not in self._allowed:
            raise exceptions.StepRefused(
                (
                    f'The database cannot run container image {text}: this guest takes images of '
                    f'{", ".join(self._names) or "no repository"} alone. If the operator has '
                    f'chosen it, add {found.name} to [trove_upgrade] container_repositories in a '
                    "file beside the guest's trove-guestagent.conf, restart the guest agent and "
                    'try again.'
                ),
                NOT_ALLOWED,
            )
        return found


def _is_repository(text: str) -> bool:
    try:
        image_reference.repository_of(text)
    except ValueError as error:
        LOG.warning(
            '%r is no repository of container images, and no image of it is taken: %s', text, error
        )
        return False
    return True
