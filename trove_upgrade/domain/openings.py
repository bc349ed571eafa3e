# SPDX-License-Identifier: Apache-2.0
"""An opening: SSH to one port of one old guest, from one address, under a lease.

The row is written before anything is asked of Neutron, and ends after the last of it is gone.  The
security group that Neutron has for it carries its id: what a process left behind when it was killed
is found again from either side.
"""

import dataclasses
import datetime
import enum
import re
from collections.abc import Collection
from typing import Protocol, Self

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.network import SecurityGroup

#: Name of every security group of ours.  One name for all, so that Neutron itself can filter by it.
GROUP_NAME = 'trove-upgrade-bridge'
SSH_PORT = 22
#: A request that Neutron had taken when its client was killed has come through by then.
LATE_SECONDS = 24 * 3600.0

_DESCRIPTION = re.compile(
    r'trove-upgrade bridge: run (?P<run_id>[0-9a-f-]{36}), opening (?P<opening_id>[0-9a-f-]{36})'
)


class OpeningState(enum.StrEnum):
    """Progress of an opening."""

    INTENDED = 'INTENDED'  #: committed; Neutron may have none, some or all of it
    OPEN = 'OPEN'  #: all of it is there
    CLOSED = 'CLOSED'  #: nothing of it is there


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tag:
    """Identity that a security group and its rule carry in their descriptions."""

    run_id: str
    opening_id: str

    @property
    def description(self) -> str:
        """Return the text that Neutron keeps."""
        return f'trove-upgrade bridge: run {self.run_id}, opening {self.opening_id}'

    @classmethod
    def read(cls, description: str) -> Self | None:
        """Return the identity in a description; None: it is no text of ours."""
        found = _DESCRIPTION.fullmatch(description)
        return None if found is None else cls(**found.groupdict())


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpeningRequest:
    """An opening before it has a row."""

    run_id: str
    instance_id: str
    port_id: str
    network_id: str
    project_id: str  #: of the port: the group must be the same project's
    source: str  #: the bridge's own address on that network, as a /32 or /128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opening(OpeningRequest):
    """A row of `upgrade_bridge_openings`, as it was when read."""

    id: str
    state: OpeningState
    created_at: datetime.datetime
    lease_until: datetime.datetime
    #: of the port, as last read before ours was added; None: not read
    former_groups: tuple[str, ...] | None = None
    group_id: str | None = None
    closed_at: datetime.datetime | None = None
    cause: str | None = None  #: what was not as expected when it was closed

    @property
    def tag(self) -> Tag:
        """Return what its group and rule carry."""
        return Tag(run_id=self.run_id, opening_id=self.id)

    def has(self, group: SecurityGroup) -> bool:
        """Return whether a group is this opening's: the recorded one is, whatever became of its
        name; an answer of Neutron may have been lost, so another one is by its description.

        A description can be copied by each that reads it.  So it counts in the opening's project
        alone, and not in a group that was made when no request of ours could come through any more.
        """
        if group.id == self.group_id:
            return True
        if Tag.read(group.description) != self.tag or group.project_id != self.project_id:
            return False
        if self.closed_at is None or group.created_at is None:
            return True
        return group.created_at <= self.closed_at + datetime.timedelta(seconds=LATE_SECONDS)


class OpeningLapsed(exceptions.TroveUpgradeError):
    """The lease of an opening has run out, or another process has closed it."""

    code = 'OPENING_LAPSED'
    template = (
        'Port {port_id} of instance {instance_id} is not opened: the lease of opening '
        '{opening_id} ran out, or another process closed it. Run the bridge again for this '
        'instance.'
    )


class PortAlreadyOpen(exceptions.TroveUpgradeError):
    """Another opening of the same port has not been closed yet."""

    code = 'PORT_ALREADY_OPEN'
    template = (
        'Port {port_id} of instance {instance_id} is not opened: opening {opening_id} of run '
        '{run_id} is not closed, its lease ends {lease_until}. Wait for that run, or close it '
        'with "trove-upgrade-bridge reap".'
    )


class OpeningNotVisible(exceptions.TroveUpgradeError):
    """Absence that proves nothing: the login sees nothing of the opening's project."""

    code = 'OPENING_NOT_VISIBLE'
    template = (
        'Opening {opening_id} is not closed: this login sees nothing of project {project_id}, so '
        'that what it does not see may still be open. Log in as an administrator of Neutron; where '
        'the project was deleted, run "trove-upgrade-bridge reap --gone {opening_id}".'
    )


class OpeningRepository(Protocol):
    """`upgrade_bridge_openings`.  Leases are compared by the database's clock."""

    def intend(self, request: OpeningRequest, lease_seconds: float) -> Opening:
        """Commit an intent, before anything is asked of Neutron.

        :raises PortAlreadyOpen: the port has one that is not closed.
        """

    def record_former(self, opening_id: str, groups: tuple[str, ...]) -> None:
        """Write the port's groups as they are before ours is added.

        :raises OpeningLapsed: it is closed, or its lease is over.
        """

    def record_group(self, opening_id: str, group_id: str) -> None:
        """Write the id of its group.  Raises as `record_former`."""

    def opened(self, opening_id: str) -> Opening:
        """Write OPEN.  Raises as `record_former`."""

    def extend(self, opening_id: str, lease_seconds: float) -> None:
        """Let the lease end that many seconds from now.  Raises as `record_former`."""

    def closed(self, opening_id: str, cause: str | None) -> None:
        """Write CLOSED.  The first cause stays."""

    def get(self, opening_id: str) -> Opening | None:
        """Return one; None: this database has none of that id."""

    def not_closed(self) -> list[Opening]:
        """Return all that may still be open, the oldest first."""

    def lapsed(self) -> list[Opening]:
        """Return those of `not_closed` whose lease is over, the oldest first."""

    def is_any_since(self, seconds: float) -> bool:
        """Return whether one is not closed, or was closed in the last `seconds`: a request to
        Neutron that was under way then may have come through afterwards.
        """

    def of_run(self, run_id: str) -> list[Opening]:
        """Return all of a run, the oldest first."""


class GuestServers(Protocol):
    """Servers of Trove's instances."""

    def servers_of_instances(self, server_ids: Collection[str]) -> frozenset[str]:
        """Return those of these servers that are an instance's, which is not deleted."""
