# SPDX-License-Identifier: Apache-2.0
"""Drift: instances whose server was not booted from the image that their version has now.

An image that is not known is never taken for the right one.
"""

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, Self

from trove_upgrade.domain import exceptions, logs, ports
from trove_upgrade.domain.instances import DatastoreVersion

LOG = logs.get_logger(__name__)


class Standing(enum.Enum):
    """Standing of one instance."""

    CURRENT = 'current'
    DRIFTED = 'drifted'
    UNKNOWN = 'unknown'  #: the booted image, or that of the version, is not known


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectDrift:
    """Figures of one project."""

    project_id: str
    instances: int
    drifted: int
    unknown: int
    oldest: datetime.datetime | None  #: since when the first of the drifted runs its image


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriftedInstance:
    """An instance that does not run its version's image, or of which that is not known."""

    instance_id: str
    instance_name: str
    version: DatastoreVersion | None  #: None: the row names none that exists
    booted_image_id: str | None  #: None: not known
    current_image_id: str | None  #: None: not known
    since: datetime.datetime | None  #: when its server got the booted image; None: not known


class ServerImages(Protocol):
    """Nova's view of the images of all servers."""

    def images(self) -> Iterator[Mapping[str, str]]:
        """Yield the images by the ids of servers, page by page; servers without one are left out.

        :raises ComputeUnavailable: no answer in time.
        """


@dataclasses.dataclass(frozen=True)
class CurrentImages:
    """The image of each version at one moment."""

    versions: Mapping[str, DatastoreVersion]
    images: Mapping[str, str | None]  #: by version; None: not known

    @classmethod
    def of_versions(
        cls, versions: Iterable[DatastoreVersion], images: ports.Images | None = None
    ) -> Self:
        """:param images: resolves versions that have tags alone; None: theirs is not known."""
        known = {version.id: version for version in versions}
        found = {each.id: each.image_id or None for each in known.values()}
        tagged = [each for each in known.values() if not each.image_id and each.image_tags]
        return cls(known, {**found, **_newest_of(tagged, images)})

    def of(self, version_id: str | None) -> str | None:
        """Return the image that an upgrade to the version would boot now; None: not known."""
        return self.images.get(version_id or '')

    def standing(self, version_id: str | None, booted_image_id: str | None) -> Standing:
        """Return the standing of an instance of the version."""
        current = self.of(version_id)
        if current is None or booted_image_id is None:
            return Standing.UNKNOWN
        return Standing.CURRENT if current == booted_image_id else Standing.DRIFTED


def _newest_of(
    tagged: Iterable[DatastoreVersion], images: ports.Images | None
) -> Mapping[str, str | None]:
    """Ask for the newest image of each; after the first question without an answer no more, as each
    would wait as long.
    """
    found: dict[str, str | None] = {}
    if images is None:
        return found
    for version in tagged:
        try:
            found[version.id] = images.newest(version.image_tags).id
        except exceptions.ImageNotFound:
            found[version.id] = None
        except exceptions.ComputeUnavailable as error:
            LOG.warning('Versions that have image tags alone count as unknown: %s', error.message)
            break
    return found
