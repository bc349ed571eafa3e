# SPDX-License-Identifier: Apache-2.0
"""The taskmanager's RPC endpoint: nudges and heartbeats, sealed ones of guests that have keys.
What it is told is looked up in the rows.
"""

from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_context import context as oslo_context

from trove_upgrade.domain import exceptions, logs, markers, ports
from trove_upgrade.domain.guests import Heartbeat
from trove_upgrade.domain.turn import Turn
from trove_upgrade.taskmanager import arguments as arguments_module
from trove_upgrade.taskmanager.arguments import ArgumentsInvalid
from trove_upgrade.taskmanager.healing import needs_healing
from trove_upgrade.taskmanager.sealed_reports import Believed, SealedReports

LOG = logs.get_logger(__name__)

UPGRADE, CHECK, HEAL, GREET, HOLD = 'upgrade', 'check', 'heal', 'greet', 'hold'


class TaskManager:
    """Server side of `rpc.taskmanager.TaskManagerAPI`; its history of versions stands there.

    A cast with other arguments ends in one line of the log: the broker's dispatcher writes it from
    `ArgumentsInvalid`.  The context's parameter has no name,
    so that no argument can be taken for it.
    """

    target = oslo_messaging.Target(version='1.2')

    def __init__(
        self,
        upgrades: ports.UpgradeRepository,
        checks: ports.UpgradeCheckRepository,
        guests: ports.GuestRepository,
        nudge: Callable[[str, Turn], None],
        look: Callable[[], None],
        reports: SealedReports,
    ) -> None:
        self._upgrades = upgrades
        self._checks = checks
        self._guests = guests
        self._nudge = nudge
        self._look = look
        self._reports = reports

    def upgrade(self, context: oslo_context.RequestContext, /, **arguments: Any) -> None:
        """Look at the row now; an older API does not know its id, then at all that is due.

        :raises ArgumentsInvalid: nothing is nudged.
        """
        ids = arguments_module.ids(
            UPGRADE,
            arguments,
            required=('instance_id', 'datastore_version_id'),
            optional=('upgrade_id',),
        )
        upgrade_id = ids['upgrade_id']
        LOG.debug(
            'Request %s nudges upgrade %s of instance %s',
            context.request_id,
            upgrade_id,
            ids['instance_id'],
        )
        if upgrade_id is None:
            self._look()
        else:
            self._put(UPGRADE, self._upgrades.turn(upgrade_id))

    def check(self, context: oslo_context.RequestContext, /, **arguments: Any) -> None:
        """Run a stored upgrade check now.

        :raises ArgumentsInvalid: nothing is nudged.
        """
        check_id = str(arguments_module.ids(CHECK, arguments, required=('check_id',))['check_id'])
        LOG.debug('Request %s nudges upgrade check %s', context.request_id, check_id)
        self._put(CHECK, self._checks.turn(check_id))

    def heartbeat(self, _context: oslo_context.RequestContext, /, **arguments: Any) -> None:
        """A guest in an upgrade, or one that has just booted, reports what it runs.

        Its words reach no line above DEBUG: it could be root of any guest,
        and each second one of them.

        :raises ArgumentsInvalid: nothing is kept.
        """
        arguments_module.require_names('heartbeat', arguments, required=('heartbeat',))
        try:
            beat = Heartbeat.from_wire(arguments['heartbeat'])
        except (KeyError, TypeError, ValueError):
            raise ArgumentsInvalid(
                method='heartbeat', found='it is not of the form of a heartbeat'
            ) from None
        self._hear(self._reports.unsealed(beat))

    def sealed(self, _context: oslo_context.RequestContext, /, **arguments: Any) -> None:
        """Read a heartbeat under its guest's key.  What is not believed is counted,
        and nothing of it is kept.
        """
        self._hear(self._reports.sealed(arguments))

    def _hear(self, believed: Believed | None) -> None:
        if believed is None:
            return
        beat = believed.heartbeat
        former = self._guests.heartbeat(beat.instance_id)
        kept = self._guests.record(beat, believed.key_id)
        if kept and not self._heals(beat) and _is_news(former, beat):
            # of a former guest, too: it tells that its server has stopped
            self._put(UPGRADE, self._upgrades.turn_of_instance(beat.instance_id))

    def _heals(self, beat: Heartbeat) -> bool:
        """Return whether the guest needs what an upgrade that has ended once gave it; it gets it
        then.
        """
        if not beat.marker:
            return False
        upgrade_id = markers.upgrade_of(beat.marker)
        try:
            row = self._upgrades.get(upgrade_id)
        except exceptions.UpgradeNotFound:
            LOG.debug(
                (
                    'Instance %s reports marker %s, which belongs to no upgrade here. '
                    'Look at its user data.'
                ),
                beat.instance_id,
                beat.marker,
            )
            return False
        if row.instance_id != beat.instance_id:
            LOG.debug(
                (
                    'Instance %s reports marker %s, which belongs to instance %s. '
                    'Look at its user data.'
                ),
                beat.instance_id,
                beat.marker,
                row.instance_id,
            )
            return False
        if not needs_healing(row, beat):
            return False
        # it has its heartbeats to ask for it, and no deadline
        self._nudge(HEAL, Turn(upgrade_id, row.project_id, is_slow=True))
        return True

    def _put(self, kind: str, turn: Turn | None) -> None:
        if turn is not None:
            self._nudge(kind, turn)


def _is_news(former: Heartbeat | None, beat: Heartbeat) -> bool:
    """Tell whether a step may go on by it.  A guest that works sends one with every question, and
    must not be asked the next one for that.
    """
    return former is None or any(
        getattr(former, name) != getattr(beat, name)
        for name in ('boot_id', 'marker', 'restored', 'server_state')
    )
