# SPDX-License-Identifier: Apache-2.0
"""Compares what Neutron has in the bridge's name with the openings of this database."""

import dataclasses
import enum

from trove_upgrade.domain.network import Network, SecurityGroup
from trove_upgrade.domain.openings import (
    GROUP_NAME,
    SSH_PORT,
    Opening,
    OpeningRepository,
    OpeningState,
    Tag,
)


class Verdict(enum.StrEnum):
    """Standing of a security group of the bridge's name."""

    HELD = 'HELD'  #: of an opening whose lease holds
    LAPSED = 'LAPSED'  #: of one whose lease is over, or that is closed: the reaper removes it
    OTHER_DATABASE = 'OTHER_DATABASE'  #: of an opening that this database does not have
    FOREIGN = 'FOREIGN'  #: of our name, without the bridge's description: another client's


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

    @property
    def is_clean(self) -> bool:
        """Return whether nothing that is ours, or may be, is open."""
        return not self.without_group and all(
            finding.verdict is Verdict.FOREIGN for finding in self.findings
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Auditor:
    """Asks Neutron and the database; changes nothing."""

    network: Network
    openings: OpeningRepository

    def look(self) -> Report:
        """Return what there is.

        :raises NetworkUnavailable: Neutron gives no answer.
        """
        # Rows first: an opening that begins between the two looks is found in the second.
        lapsed = {opening.id for opening in self.openings.lapsed()}
        unclosed = self.openings.not_closed()
        findings = tuple(
            self._finding(group, lapsed) for group in self.network.groups_named(GROUP_NAME)
        )
        found = {finding.opening.id for finding in findings if finding.opening is not None}
        return Report(
            findings=findings,
            without_group=tuple(one for one in unclosed if one.id not in found),
        )

    def _finding(self, group: SecurityGroup, lapsed: set[str]) -> Finding:
        tag = Tag.read(group.description)
        opening = None if tag is None else self.openings.get(tag.opening_id)
        ports = tuple(port.id for port in self.network.ports_with_group(group.id))
        return Finding(
            group=group,
            verdict=_verdict(tag, opening, lapsed),
            port_ids=ports,
            opening=opening,
            remarks=() if opening is None else _remarks(group, ports, opening),
        )


def _verdict(tag: Tag | None, opening: Opening | None, lapsed: set[str]) -> Verdict:
    if tag is None:
        return Verdict.FOREIGN
    if opening is None or opening.tag != tag:
        return Verdict.OTHER_DATABASE
    if opening.state is OpeningState.CLOSED or opening.id in lapsed:
        return Verdict.LAPSED
    return Verdict.HELD


def _remarks(group: SecurityGroup, ports: tuple[str, ...], opening: Opening) -> tuple[str, ...]:
    others = [port for port in ports if port != opening.port_id]
    remarks = [f'port {port} has the group, and is not the one that was opened' for port in others]
    ours = [
        rule
        for rule in group.rules
        if rule.source == opening.source
        and rule.direction == 'ingress'
        and rule.port_range == (SSH_PORT, SSH_PORT)
    ]
    remarks += [
        f'rule {rule.id} lets in {rule.source or "any address"} and is not the one of the opening'
        for rule in group.rules
        if rule not in ours and rule.direction == 'ingress'
    ]
    return tuple(remarks)
