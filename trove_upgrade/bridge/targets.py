# SPDX-License-Identifier: Apache-2.0
"""Targets of a run: for each instance, the version of its datastore that an operator has named."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
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
    #: tells whether the agent in an instance's guest came by the bridge, and no upgrade since
    is_bridged: Callable[[str], bool]

    def choose(
        self, members: Sequence[Listed], wanted: str, named: Collection[str] = ()
    ) -> tuple[tuple[Listed, ...], dict[str, str]]:
        """Return the members, those that the version `wanted` may not follow with the obstacle
        NO_TARGET, and the id of the target of each other one.

        One with our agent is taken where the bridge has brought it, or where it is `named`: it is
        only upgraded.

        :raises DatastoreVersionAmbiguous: a datastore has several of that name.
        """
        tried = [member for member in members if self._can_be_tried(member, named)]
        found = {member.instance_id: self._of(member, wanted) for member in tried}
        targets = {instance_id: target for instance_id, target in found.items() if target}
        chosen = tuple(
            dataclasses.replace(member, obstacle=_obstacle(member, targets))
            if member.instance_id in found
            else member
            for member in members
        )
        return chosen, targets

    def _can_be_tried(self, member: Listed, named: Collection[str]) -> bool:
        if member.obstacle is Obstacle.HAS_AGENT:
            return member.instance_id in named or self.is_bridged(member.instance_id)
        return member.obstacle is None

    def _of(self, member: Listed, wanted: str) -> str | None:
        former = self.version_of(member.instance_id)
        try:
            target = self.versions.version(former.datastore_id, wanted)
        except exceptions.DatastoreVersionNotFound:
            return None
        if (
            target.id == former.id
            and member.agent_version is not None
            and not self.is_bridged(member.instance_id)
        ):
            return None  # it is there
        return target.id if self.rules.between(former, target).allowed else None


def _obstacle(member: Listed, targets: Mapping[str, str]) -> Obstacle | None:
    if member.instance_id in targets:
        return None
    return member.obstacle or Obstacle.NO_TARGET
