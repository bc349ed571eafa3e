# SPDX-License-Identifier: Apache-2.0
"""Compares what Neutron has in the bridge's name with the openings of this database."""

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from typing import Self

from trove_upgrade.domain.exceptions import ServerNotFound
from trove_upgrade.domain.network import Network, NetworkPort, SecurityGroup
from trove_upgrade.domain.openings import (
    GROUP_NAME,
    SSH_PORT,
    GuestServers,
    Opening,
    OpeningRepository,
    OpeningState,
    Tag,
)
from trove_upgrade.domain.own_ports import ShownServers, is_own


class Verdict(enum.StrEnum):
    """Standing of a security group of the bridge's name."""

    HELD = 'HELD'  #: of an opening whose lease holds
    LAPSED = 'LAPSED'  #: of one whose lease is over, or that is closed: the reaper removes it
    #: of no opening of this database, and on a guest's port: this database was restored from a
    #: backup, another one has the guest, too, or the owner of the port has made it
    UNRECORDED = 'UNRECORDED'
    #: of no opening of this database, and on no guest's port, or on one that has only the id of a
    #: guest's server: any tenant can make it
    IMITATION = 'IMITATION'
    FOREIGN = 'FOREIGN'  #: of our name, without the bridge's description: another client's


#: Verdicts of groups that open no guest in the bridge's name.
HARMLESS = frozenset({Verdict.IMITATION, Verdict.FOREIGN})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """A group at Neutron, and what is known of it."""

    group: SecurityGroup
    verdict: Verdict
    port_ids: tuple[str, ...]
    opening: Opening | None
    #: what is open beyond the opening: other rules, other ports
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """State of all openings at one moment."""

    findings: tuple[Finding, ...]
    #: rows that are not closed and of which Neutron has nothing
    without_group: tuple[Opening, ...]

    def of_run(self, run_id: str) -> Self:
        """Return the part of it that is of one run: by the opening, or where this database has
        none, by the description of the group.
        """
        return dataclasses.replace(
            self,
            findings=tuple(one for one in self.findings if _run_of(one) == run_id),
            without_group=tuple(one for one in self.without_group if one.run_id == run_id),
        )

    @property
    def is_clean(self) -> bool:
        """Return whether nothing that is ours, or may be, is open."""
        return not self.without_group and all(
            finding.verdict in HARMLESS for finding in self.findings
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Auditor:
    """Asks Neutron, the database and, about groups of no opening, Nova; changes nothing."""

    network: Network
    openings: OpeningRepository
    guests: GuestServers
    servers: ShownServers

    def look(self) -> Report:
        """Return what there is.

        :raises NetworkUnavailable, ComputeUnavailable: Neutron or Nova gives no answer.
        """
        # Rows first: an opening that begins between the two looks is found in the second.
        lapsed = {opening.id for opening in self.openings.lapsed()}
        unclosed = self.openings.not_closed()
        by_group = {one.group_id: one for one in unclosed if one.group_id is not None}
        groups = {group.id: group for group in self.network.groups_named(GROUP_NAME)}
        for group_id in by_group.keys() - groups.keys():
            renamed = self.network.group(group_id)
            if renamed is not None:
                groups[group_id] = renamed
        findings = tuple(
            self._finding(group, by_group.get(group.id), lapsed) for group in groups.values()
        )
        found = {finding.opening.id for finding in findings if finding.opening is not None}
        return Report(
            findings=findings,
            without_group=tuple(one for one in unclosed if one.id not in found),
        )

    def _finding(self, group: SecurityGroup, recorded: Opening | None, lapsed: set[str]) -> Finding:
        tag = Tag.read(group.description)
        opening = recorded
        if opening is None and tag is not None:
            named = self.openings.get(tag.opening_id)
            opening = named if named is not None and named.has(group) else None
        found = self.network.ports_with_group(group.id)
        ports = tuple(port.id for port in found)
        if opening is None:
            verdict = Verdict.FOREIGN if tag is None else self._of_no_opening(found)
            return Finding(group=group, verdict=verdict, port_ids=ports, opening=None)
        return Finding(
            group=group,
            verdict=_verdict(opening, lapsed),
            port_ids=ports,
            opening=opening,
            remarks=tuple(_remarks(group, ports, opening)),
        )

    def _of_no_opening(self, ports: Sequence[NetworkPort]) -> Verdict:
        """Return the verdict of a group with a description of ours: each tenant can write one, but
        only a bridge and the owner of a guest's port can put the group there.
        """
        named = {port.server_id for port in ports if port.server_id}
        guests = self.guests.servers_of_instances(named) if named else frozenset()
        at_guests = any(self._is_guests(port) for port in ports if port.server_id in guests)
        return Verdict.UNRECORDED if at_guests else Verdict.IMITATION

    def _is_guests(self, port: NetworkPort) -> bool:
        try:
            return is_own(self.servers.server(port.server_id), port)
        except ServerNotFound:  # so it has no port
            return False


def _run_of(finding: Finding) -> str | None:
    named = finding.opening or Tag.read(finding.group.description)
    return None if named is None else named.run_id


def _verdict(opening: Opening, lapsed: set[str]) -> Verdict:
    if opening.state is OpeningState.CLOSED or opening.id in lapsed:
        return Verdict.LAPSED
    return Verdict.HELD


def _remarks(group: SecurityGroup, ports: tuple[str, ...], opening: Opening) -> Iterator[str]:
    """Yield what is not as the bridge made it."""
    if group.name != GROUP_NAME or Tag.read(group.description) != opening.tag:
        yield 'its name or description was changed'
    for port in ports:
        if port != opening.port_id:
            yield f'port {port} has the group, and is not the one that was opened'
    for rule in group.rules:
        is_ours = rule.source == opening.source and rule.port_range == (SSH_PORT, SSH_PORT)
        if rule.direction == 'ingress' and not is_ours:
            yield (
                f'rule {rule.id} lets in {rule.source or "any address"} and is not the one of the '
                'opening'
            )
