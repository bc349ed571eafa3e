# SPDX-License-Identifier: Apache-2.0
"""Events of an upgrade: what must be sent at least once, by way of the outbox; and the ports to the
outbox and to what is notified.
"""

import dataclasses
import datetime
import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

#: Of notifications: raised when a key goes or changes its meaning; new keys alone do not raise it.
PAYLOAD_VERSION = '1.0'


class Receiver(enum.StrEnum):
    """Addressee of an event: one that is silent holds up no other."""

    NOTIFICATIONS = 'notifications'
    GUEST = 'guest'


class EventKind(enum.StrEnum):
    """Kinds of events; the receiver and the order of an event follow from its kind."""

    START = 'start'
    HELD = 'held'  #: it is prepared, and waits; its database serves
    OPEN = 'open'  #: clients are let in again; verify is still to come
    END = 'end'
    ERROR = 'error'
    FINISH = 'finish'  #: the guest may remove what it has kept

    @property
    def receiver(self) -> Receiver:
        """Return the receiver that gets events of this kind."""
        return Receiver.GUEST if self is EventKind.FINISH else Receiver.NOTIFICATIONS

    @property
    def position(self) -> int:
        """Place among the events of one attempt; END and ERROR share one, as an attempt has one
        end.

        Later releases put further events into the room between. Releases up to borealis wrote 0, 1,
        1 and 2, which has the same order. So while borealis runs beside this release, an end at 1
        and one at 100 would not meet in the unique key; there is one all the same, as the claim's
        generation fences its writers.
        """
        return _POSITIONS[self]


_POSITIONS = {
    EventKind.START: 0,
    EventKind.HELD: 20,
    EventKind.OPEN: 50,
    EventKind.END: 100,
    EventKind.ERROR: 100,
    EventKind.FINISH: 200,
}

NOTIFICATIONS = frozenset(kind for kind in EventKind if kind.receiver is Receiver.NOTIFICATIONS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutboxEvent:
    """Event that must be sent at least once."""

    id: str  #: the event_id that receivers tell repetitions by
    upgrade_id: str
    kind: EventKind
    attempt: int
    payload: Mapping[str, Any]
    created_at: datetime.datetime
    tries: int = 0  #: how often it could not be sent


class OutboxRepository(Protocol):
    """Events that wait to be sent, in the table `upgrade_outbox`."""

    def pending(self, limit: int, kinds: Collection[EventKind]) -> Sequence[OutboxEvent]:
        """Unsent events of these kinds that are due,
        those that were tried least often first.

        Per upgrade only the oldest one of each of the two kinds of receivers (notifications;
        guest), so that order holds and a silent guest holds up no notification.
        """

    def is_behind_end(self, event: OutboxEvent) -> bool:
        """Return whether an end of its attempt goes before it: a taskmanager of an earlier release
        has written that end, and numbers events in another way.
        """

    def sent(self, event_id: str) -> None:
        """Mark the event as sent: it is not sent again."""

    def postpone(self, event_id: str, seconds: float) -> None:
        """Try again that much later."""


class Notifier(Protocol):
    """Sends notifications.  Returning means sent."""

    def send(self, event: OutboxEvent) -> None:
        """Send the notification of an event.

        :raises MessagingUnavailable: not sent; try later.
        """
