# SPDX-License-Identifier: Apache-2.0
"""The relay: what transactions have left in the outbox is sent at least once,
in order per upgrade.
"""

import dataclasses
import datetime
import random

from trove_upgrade.domain import exceptions, guests, logs, ports, stalls
from trove_upgrade.domain.events import EventKind, Notifier, OutboxEvent, OutboxRepository
from trove_upgrade.domain.guests import Method
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.steps.calls import Calls

LOG = logs.get_logger(__name__)

#: The guest has so long for what finish_upgrade starts.
_FINISH_SECONDS = 600.0
#: A guest that has not answered for so long is asked no more: mostly its instance has been deleted.
_FINISH_FOR = datetime.timedelta(days=7)
_LIMIT = 200
#: A guest that stays silent is asked less and less often, and then so often as this.
_LONGEST_REST_SECONDS = 3600.0
_LOOK = 'The outbox could not be worked on'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relay:
    """Sends events of its kinds.  One relay per kind of receiver, so that a silent guest holds up
    no notification.
    """

    outbox: OutboxRepository
    upgrades: ports.UpgradeRepository
    notifier: Notifier
    agent: ports.Guest
    calls: Calls
    kinds: frozenset[EventKind]
    retry_seconds: float
    outages: Outages = dataclasses.field(default_factory=Outages)
    uniform: stalls.Uniform = random.uniform

    def run_once(self) -> None:
        """Send what is pending.  Never raises: the edge of a thread."""
        try:
            while self._round():
                pass
        except Exception as error:  # noqa: BLE001 - the edge of a thread; `outages` logs it
            self.outages.met(_LOOK, error)
        else:
            self.outages.over(_LOOK)

    def _round(self) -> int:
        """Return the number that was sent: the next event of their upgrades may be pending now.

        A guest that does not answer ends the round: what has come while it was waited for goes
        before others that may be as silent.
        """
        sent = 0
        for event in self.outbox.pending(_LIMIT, self.kinds):
            with logs.of_request(event.payload.get('request_id')):
                is_sent = self._send(event)
            if is_sent:
                sent += 1
            elif event.kind is EventKind.FINISH:
                break
        return sent

    def _send(self, event: OutboxEvent) -> bool:
        try:
            self._deliver(event)
        except (exceptions.MessagingUnavailable, exceptions.GuestUnavailable) as error:
            seconds = (
                self.retry_seconds
                if isinstance(error, exceptions.GuestStillWorking)
                else self._rest_seconds(event)
            )
            LOG.warning(
                'Event %s (%s) of upgrade %s was not sent and is tried again in %.0f s: %s',
                event.id,
                event.kind,
                event.upgrade_id,
                seconds,
                error.message,
            )
            self.outbox.postpone(event.id, seconds)
            return False
        except Exception:  # one event that cannot be sent must not keep back those behind it
            LOG.exception(
                'Event %s (%s) of upgrade %s could not be sent and is tried again in %g s',
                event.id,
                event.kind,
                event.upgrade_id,
                self.retry_seconds,
            )
            self.outbox.postpone(event.id, self.retry_seconds)
            return False
        self.outbox.sent(event.id)
        return True

    def _deliver(self, event: OutboxEvent) -> None:
        """Hand the event to its receiver.  An opening that stands behind the end of its attempt is
        delivered to none: listeners may have heard of the end.
        """
        if event.kind is EventKind.FINISH:
            self._finish(event)
        elif event.kind is EventKind.OPEN and self.outbox.is_behind_end(event):
            LOG.info(
                'Event %s (%s) of upgrade %s is not sent: a taskmanager of an earlier release has '
                'ended the attempt',
                event.id,
                event.kind,
                event.upgrade_id,
            )
        else:
            self.notifier.send(event)

    def _rest_seconds(self, event: OutboxEvent) -> float:
        """Notifications go to one broker for all; each guest is silent by itself."""
        if event.kind is not EventKind.FINISH:
            return self.retry_seconds
        longest = max(
            self.retry_seconds,
            min(_LONGEST_REST_SECONDS, self.retry_seconds * 2.0 ** min(event.tries, 30)),
        )
        return self.uniform(max(self.retry_seconds, longest / 2), longest)

    def _finish(self, event: OutboxEvent) -> None:
        """Ask the guest to remove its stash, which counts as sent once it has answered.

        :raises GuestUnavailable: it has not, or works on it still.
        """
        row = self.upgrades.get(event.upgrade_id).evolve(attempt=event.attempt)
        if self.calls.clock.now() - event.created_at > _FINISH_FOR:
            LOG.warning(
                'The guest of instance %s has not answered for %d days: it is asked no more to '
                'remove the stash of upgrade %s. If the instance is still there, remove '
                '.trove-upgrade from its volume.',
                row.instance_id,
                _FINISH_FOR.days,
                row.id,
            )
            return
        answer = self.agent.finish_upgrade(self.calls.plain(row, seconds=_FINISH_SECONDS))
        if answer.state is guests.JobState.RUNNING:
            raise exceptions.GuestStillWorking(
                instance_id=row.instance_id,
                method=Method.FINISH_UPGRADE,
                timeout_seconds=self.calls.call_timeout_seconds,
            )
        if answer.state is not guests.JobState.DONE:
            LOG.warning(
                (
                    'The guest of instance %s will not remove the stash of '
                    'upgrade %s by itself (%s): %s'
                ),
                row.instance_id,
                row.id,
                answer.code,
                answer.message,
            )
