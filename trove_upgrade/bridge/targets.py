# SPDX-License-Identifier: Apache-2.0
"""Targets of a run: for each instance, the version of its datastore that an operator has named."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.instances import DatastoreVersion
from trove_upgrade.domain.inventory import Listed, Obstacle
from trove_upgrade.domain.versions import Rules


class Versions(Protocol):
    """Versions of datastores in Trove's tables."""

    def version(self, datastore_id: str, id_or_name: str) -> DatastoreVersion:
        """Return the version of a datastore.

        :raises TroveUpgradeError: there is none, or the name does not tell which.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Targets:
    """Chooses by the same rules as the API, which has the last word."""

    versions: Versions
    rules: Rules
    version_of: Callable[[str], DatastoreVersion]  #: of an instance, what it has now

    def choose(
        self, members: Sequence[Listed], named: str
    ) -> tuple[tuple[Listed, ...], dict[str, str]]:
        """Return the members, those that `named` may not follow with the obstacle NO_TARGET, and
        the id of the target of each other one.

        :raises DatastoreVersionAmbiguous: a datastore has several of that name.
        """
        found = {
            member.instance_id: self._of(member, named)
            for member in members
            if member.obstacle is None
        }
        targets = {instance_id: target for instance_id, target in found.items() if target}
        chosen = tuple(
            dataclasses.replace(member, obstacle=Obstacle.NO_TARGET)
            if member.obstacle is None and member.instance_id not in targets
            else member
            for member in members
        )
        return chosen, targets

    def _of(self, member: Listed, named: str) -> str | None:
        former = self.version_of(member.instance_id)
        try:
            target = self.versions.version(former.datastore_id, named)
        except exceptions.DatastoreVersionNotFound:
            return None
        return target.id if self.rules.between(former, target).allowed else None
