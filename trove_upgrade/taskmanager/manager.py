# SPDX-License-Identifier: Apache-2.0
"""The taskmanager's RPC endpoint: nudges and heartbeats.  What it is told is looked up in the rows; nothing is believed."""
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging
from oslo_context import context as oslo_context

from trove_upgrade.domain import exceptions, guest, logs, ports
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager.healing import needs_healing

LOG = logs.get_logger(__name__)

UPGRADE, CHECK, HEAL = 'upgrade', 'check', 'heal'


class TaskManager:
    """Server side of `rpc.taskmanager.TaskManagerAPI`; its history of versions stands there."""

    target = oslo_messaging.Target(version='1.1')

    def __init__(self, upgrades: ports.UpgradeRepository, checks: ports.UpgradeCheckRepository, guests: ports.GuestRepository,
                 nudge: Callable[[str, Turn], None], look: Callable[[], None]) -> None:
        self._upgrades = upgrades
        self._checks = checks
        self._guests = guests
        self._nudge = nudge
        self._look = look

    def upgrade(self, context: oslo_context.RequestContext, instance_id: str, datastore_version_id: str,
                upgrade_id: str | None = None) -> None:
        """Look at the row now; an older API does not know its id, then at all that is due."""
        LOG.debug('Request %s nudges upgrade %s of instance %s to version %s', context.request_id, upgrade_id, instance_id, datastore_version_id)
        if upgrade_id is None:
            self._look()
        else:
            self._put(UPGRADE, self._upgrades.turn(upgrade_id))

    def check(self, context: oslo_context.RequestContext, check_id: str) -> None:
        """Run a stored upgrade check now."""
        LOG.debug('Request %s nudges upgrade check %s', context.request_id, check_id)
        self._put(CHECK, self._checks.turn(check_id))

    def heartbeat(self, context: oslo_context.RequestContext, heartbeat: Mapping[str, Any]) -> None:  # noqa: ARG002 - the endpoint's form
        """A guest in an upgrade, or one that has just booted, says what it runs."""
        beat = guest.Heartbeat.from_wire(heartbeat)
        self._guests.record(beat)
        if not beat.marker:
            return
        upgrade_id = beat.marker.partition(':')[0]
        try:
            row = self._upgrades.get(upgrade_id)
        except exceptions.UpgradeNotFound:
            LOG.warning('Instance %s reports marker %s, which belongs to no upgrade here. Look at its user data.', beat.instance_id, beat.marker)
            return
        if row.instance_id != beat.instance_id:
            LOG.warning('Instance %s reports marker %s, which belongs to instance %s. Look at its user data.',
                        beat.instance_id, beat.marker, row.instance_id)
        elif needs_healing(row, beat):
            self._nudge(HEAL, Turn(upgrade_id, row.project_id, is_slow=True))    # it has its heartbeats to ask for it, and no deadline
        elif row.ended_at is None:
            self._put(UPGRADE, self._upgrades.turn(upgrade_id))

    def _put(self, kind: str, turn: Turn | None) -> None:
        if turn is not None:
            self._nudge(kind, turn)
