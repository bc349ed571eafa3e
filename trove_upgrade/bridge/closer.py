# SPDX-License-Identifier: Apache-2.0
"""Closes openings: takes our groups from ports, deletes them, and looks that nothing is left.

Safe to repeat and for two at once: Neutron is asked what there is, and only that is removed.
"""

import dataclasses

from trove_upgrade.domain import logs
from trove_upgrade.domain.network import (
    GroupInUse,
    Network,
    NetworkPort,
    PortChanged,
    PortNotFound,
    SecurityGroup,
)
from trove_upgrade.domain.openings import (
    GROUP_NAME,
    Opening,
    OpeningNotVisible,
    OpeningRepository,
)

LOG = logs.get_logger(__name__)

_TRIES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Closer:
    """Closes an opening however far it came."""

    network: Network
    openings: OpeningRepository

    def close(self, opening: Opening) -> str | None:
        """Remove all of it and write CLOSED; return what is not as it was before it was opened.

        Neutron comes first: the database may be away.  What this login does not see is no proof
        that it is gone.

        :raises NetworkUnavailable, NetworkRefused, GroupInUse, PortChanged, OpeningNotVisible:
            something may be open; the row is not closed, and the reaper tries again.
        """
        groups = self._groups_of(opening)
        for group in groups:
            self.remove(group)
        known = self.openings.get(opening.id) or opening
        if known.group_id not in {None, opening.group_id, *(group.id for group in groups)}:
            return self.close(known)  # recorded after `opening` was read
        if not groups and not self.network.sees_project(opening.project_id):
            raise OpeningNotVisible(opening_id=opening.id, project_id=opening.project_id)
        cause = self._difference(known)
        self.openings.closed(opening.id, cause)
        if cause is not None:
            LOG.info('Opening %s is closed. %s', opening.id, cause)
        return cause

    def close_after_failure(self, opening: Opening) -> None:
        """Close; an error leaves it to the reaper, as the first error must not be hidden by it."""
        try:
            self.close(opening)
        except Exception as error:  # noqa: BLE001 - the first error is on its way to be handled
            LOG.warning(
                'Opening %s could not be closed at once, the reaper will: %s', opening.id, error
            )

    def remove(self, group: SecurityGroup) -> None:
        """Take a group from every port that has it, and delete it.  Raises as `close`."""
        for _ in range(_TRIES):
            for port in self.network.ports_with_group(group.id):
                self._detach(port.id, group.id)
            try:
                self.network.delete_group(group.id)
            except GroupInUse:
                LOG.info('Security group %s was added to a port meanwhile', group.id)
            else:
                return
        raise GroupInUse(group_id=group.id)

    def _groups_of(self, opening: Opening) -> list[SecurityGroup]:
        """Return all groups of an opening: there are two where an answer of Neutron was lost, and
        one that was renamed is known by its id.
        """
        found = {
            group.id: group for group in self.network.groups_named(GROUP_NAME) if opening.has(group)
        }
        if opening.group_id is not None and opening.group_id not in found:
            renamed = self.network.group(opening.group_id)
            if renamed is not None:
                found[renamed.id] = renamed
        return list(found.values())

    def _detach(self, port_id: str, group_id: str) -> None:
        for _ in range(_TRIES):
            try:
                port = self.network.port(port_id)
                if group_id not in port.groups:
                    return
                kept = tuple(other for other in port.groups if other != group_id)
                self.network.set_groups(port, kept)
            except PortNotFound:
                return
            except PortChanged:
                LOG.info('Port %s was changed by another client; read again', port_id)
            else:
                return
        raise PortChanged(port_id=port_id)

    def _difference(self, opening: Opening) -> str | None:
        """Compare the port's groups with the former ones.

        :raises GroupInUse: it still has the opening's.
        """
        former = opening.former_groups
        if former is None:
            return None
        port = self._port(opening.port_id)
        if port is None:
            return f'Port {opening.port_id} was deleted while it was open.'
        if opening.group_id is not None and opening.group_id in port.groups:
            raise GroupInUse(group_id=opening.group_id)
        if set(port.groups) == set(former):  # Neutron keeps no order
            return None
        return (
            f'Port {port.id} had security groups {_listed(former)} before and has '
            f'{_listed(port.groups)} now: another client changed them while it was open.'
        )

    def _port(self, port_id: str) -> NetworkPort | None:
        try:
            return self.network.port(port_id)
        except PortNotFound:
            return None


def _listed(groups: tuple[str, ...]) -> str:
    return ', '.join(groups) or 'none'
