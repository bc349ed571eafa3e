# SPDX-License-Identifier: Apache-2.0
"""The relay: what transactions have left in the outbox is sent at least once, in order per upgrade."""
import dataclasses
import logging

from trove_upgrade.domain import exceptions, guest, ports, upgrade
from trove_upgrade.taskmanager.steps.calls import Calls

LOG = logging.getLogger(__name__)

FINISH = 'finish'
NOTIFICATIONS = frozenset({'start', 'end', 'error'})

#: The guest has so long for what finish_upgrade starts.
_FINISH_SECONDS = 600.0
_LIMIT = 200


@dataclasses.dataclass(frozen=True)
class Relay:
    """Sends events of its kinds.  One relay per kind of receiver, so that a silent guest holds up no notification."""

    outbox: ports.OutboxRepository
    upgrades: ports.UpgradeRepository
    notifier: ports.Notifier
    agent: ports.Guest
    calls: Calls
    kinds: frozenset[str]
    retry_seconds: float

    def look(self) -> None:
        """Send what is pending.  Never raises: the edge of a thread."""
        try:
            while self._round():
                pass
        except Exception:
            LOG.exception('The outbox could not be worked on; it is looked at again')

    def _round(self) -> int:
        """How many were sent: the next event of their upgrades may be pending now."""
        events = [event for event in self.outbox.pending(_LIMIT) if event.kind in self.kinds]
        return sum(self._send(event) for event in events)

    def _send(self, event: upgrade.OutboxEvent) -> bool:
        try:
            if event.kind == FINISH:
                self._finish(event)
            else:
                self.notifier.send(event)
        except (exceptions.MessagingUnavailable, exceptions.GuestUnavailable) as error:
            LOG.warning('Event %s (%s) of upgrade %s was not sent and is tried again in %g s: %s',
                        event.id, event.kind, event.upgrade_id, self.retry_seconds, error.message)
            self.outbox.postpone(event.id, self.retry_seconds)
            return False
        self.outbox.sent(event.id)
        return True

    def _finish(self, event: upgrade.OutboxEvent) -> None:
        """Until the guest has answered.

        :raises GuestUnavailable: it has not, or works on it still.
        """
        row = self.upgrades.get(event.upgrade_id).evolve(attempt=event.attempt)
        answer = self.agent.finish_upgrade(self.calls.plain(row, seconds=_FINISH_SECONDS))
        if answer.state is guest.JobState.RUNNING:
            raise exceptions.GuestUnavailable(instance_id=row.instance_id, method='finish_upgrade', timeout_seconds=self.calls.call_timeout_seconds)
        if answer.state is not guest.JobState.DONE:
            LOG.warning('The guest of instance %s will not remove the stash of upgrade %s by itself (%s): %s',
                        row.instance_id, row.id, answer.code, answer.message)
