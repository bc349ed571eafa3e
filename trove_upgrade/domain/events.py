# SPDX-License-Identifier: Apache-2.0
"""Events of an upgrade: what must be sent at least once, by way of the outbox."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any

#: Of notifications: raised when a key goes or changes its meaning; new keys alone do not raise it.
PAYLOAD_VERSION = '1.0'


class Receiver(enum.StrEnum):
    """Addressee of an event: one that is silent holds up no other."""

    NOTIFICATIONS = 'notifications'
    GUEST = 'guest'


class EventKind(enum.StrEnum):
    """Kinds of events; the receiver and the order of an event follow from its kind."""

    START = 'start'
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
