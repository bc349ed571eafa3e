# SPDX-License-Identifier: Apache-2.0
"""Closes openings: takes our groups from ports, deletes them, and looks that nothing is left.

Safe to repeat and for two at once: Neutron is asked what there is, and only that is removed.
"""

import dataclasses

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.network import (
    GroupInUse,
    Network,
    NetworkPort,
    PortChanged,
    PortNotFound,
    SecurityGroup,
)
from trove_upgrade.domain.openings import GROUP_NAME, Opening, OpeningRepository, Tag

LOG = logs.get_logger(__name__)

_TRIES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Closer:
    """Closes an opening however far it came."""

    network: Network
    openings: OpeningRepository

    def close(self, opening: Opening) -> str | None:
        """Remove all of it and write CLOSED; return what is not as it was before it was opened.

        :raises NetworkUnavailable, NetworkRefused, GroupInUse, PortChanged: something may be open;
            the row is not closed, and the reaper tries again.
        """
        for group in self._groups_of(opening.tag):
            self.remove(group)
        cause = self._difference(opening)
        self.openings.closed(opening.id, cause)
        if cause is not None:
            LOG.warning('Opening %s is closed. %s', opening.id, cause)
        return cause

    def close_after_failure(self, opening: Opening) -> None:
        """Close; an error leaves it to the reaper, as the first error must not be hidden by it."""
        try:
            self.close(opening)
        except exceptions.TroveUpgradeError as error:
            LOG.warning(
                'Opening %s could not be closed at once, the reaper will: %s',
                opening.id,
                error.message,
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

    def _groups_of(self, tag: Tag) -> list[SecurityGroup]:
        """Return all groups of an opening: there are two where an answer of Neutron was lost."""
        return [
            group
            for group in self.network.groups_named(GROUP_NAME)
            if Tag.read(group.description) == tag
        ]

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
        """Compare the port's groups with the former ones."""
        former = self._former(opening)
        if former is None:
            return None
        port = self._port(opening.port_id)
        if port is None:
            return f'Port {opening.port_id} was deleted while it was open.'
        if set(port.groups) == set(former):  # Neutron keeps no order
            return None
        return (
            f'Port {port.id} had security groups {_listed(former)} before and has '
            f'{_listed(port.groups)} now: another client changed them while it was open.'
        )

    def _former(self, opening: Opening) -> tuple[str, ...] | None:
        known = self.openings.get(opening.id)
        return opening.former_groups if known is None else known.former_groups

    def _port(self, port_id: str) -> NetworkPort | None:
        try:
            return self.network.port(port_id)
        except PortNotFound:
            return None


def _listed(groups: tuple[str, ...]) -> str:
    return ', '.join(groups) or 'none'
