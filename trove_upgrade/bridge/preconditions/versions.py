# SPDX-License-Identifier: Apache-2.0
"""Precondition: each version that is in use has a version to upgrade to, with an image."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from trove_upgrade.domain import exceptions, ports
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.domain.versions import Rules

_ACTIVE = 'active'


class DatastoreVersions(Protocol):
    """Versions of datastores in Trove's tables."""

    def versions(self, datastore_id: str, *, active_only: bool) -> Sequence[DatastoreVersion]:
        """Return all versions of a datastore, or the active ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Versions:
    """Asks Trove's tables and Glance."""

    datastores: DatastoreVersions
    images: ports.Images
    rules: Rules

    def look(self, in_use: Iterable[DatastoreVersion]) -> Iterator[CheckResult]:
        """Yield a result for each version that is in use."""
        for version in sorted(in_use, key=lambda one: (one.datastore_name, one.name)):
            yield self._of(version)

    def _of(self, version: DatastoreVersion) -> CheckResult:
        name = f'version {version.datastore_name} {version.name}'
        targets = [
            target
            for target in self.datastores.versions(version.datastore_id, active_only=True)
            if target.id != version.id and self.rules.between(version, target).allowed
        ]
        if not targets:
            return CheckResult.refused(
                name,
                'No active version with an image may follow it. Register one: '
                '"trove-upgrade-manage datastore_version_update".',
                'BRIDGE_NO_TARGET',
            )
        faults = [fault for target in targets if (fault := self._fault(target)) is not None]
        if len(faults) == len(targets):
            return CheckResult.refused(name, ' '.join(faults), 'BRIDGE_NO_TARGET')
        named = ', '.join(target.name for target in targets)
        return CheckResult.ok(name, f'It may be followed by {named}.')

    def _fault(self, target: DatastoreVersion) -> str | None:
        try:
            if target.image_id is None:
                image = self.images.newest(target.image_tags)
            else:
                image = self.images.image(target.image_id)
        except (exceptions.ImageNotFound, exceptions.ComputeUnavailable) as error:
            return f'{target.name}: {error.message}'
        return None if image.status == _ACTIVE else f'{target.name}: its image is {image.status}.'
