# SPDX-License-Identifier: Apache-2.0
"""Reports of guests, as they come over the broker: which are believed, which are dropped, and which
make a guest be greeted.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import guests
from trove_upgrade.domain.drops import DropReason, Drops
from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.at_rest import KeyUnreadable
from trove_upgrade.sealing.envelope import Envelope, NotAuthentic
from trove_upgrade.sealing.keys import GuestKey, MessageDirection
from trove_upgrade.sealing.ports import GuestKeys, Heard


class Reason(DropReason):
    """Reasons to drop a report, as the log has them."""

    NO_ENVELOPE = 'heartbeats that were no envelopes'
    NO_KEY = 'heartbeats under keys that no guest here has'
    UNREADABLE = 'heartbeats under keys that no entry of guest_key_encryption_keys opens'
    NOT_AUTHENTIC = 'heartbeats that were not sealed with the key that they named'
    REPLAYED = 'heartbeats that had been heard before'
    OTHER_SESSION = 'heartbeats of another start of an agent; the guest is asked'
    HELD_BACK = (
        "heartbeats under keys of Trove's, which wait for the last taskmanager of "
        'an earlier release to go'
    )
    UNSEALED = 'heartbeats that were not sealed, of guests that have keys'

    @property
    def subject(self) -> str:
        return 'heartbeat'


@dataclasses.dataclass(frozen=True)
class Believed:
    """A heartbeat that its guest has sent."""

    heartbeat: guests.Heartbeat
    key_id: str | None  #: None: unsealed, of a guest that has no key


@dataclasses.dataclass(frozen=True, kw_only=True)
class SealedReports:
    """Opens them.  Safe to share between threads."""

    keys: GuestKeys
    drops: Drops
    greet: Callable[[str], None]  #: an instance's guest, some time soon
    #: Names one of an earlier release; None: there is none.
    older_taskmanager: Callable[[], str | None]
    is_required: bool = True  #: False: what is unsealed is believed of every guest
    is_off: bool = False

    def sealed(self, arguments: Mapping[str, Any]) -> Believed | None:
        """Return what is believed of the cast `sealed`; None: it was dropped and counted."""
        try:
            return self._believed(*self._opened(arguments))
        except _Dropped as dropped:
            self._count(dropped)
            return None

    def unsealed(self, heartbeat: guests.Heartbeat) -> Believed | None:
        """Return what is believed of a heartbeat of RPC 1.1; None: its guest has a key, it was
        dropped and counted.
        """
        if self.is_off or not self.is_required or not self._has_key(heartbeat):
            return Believed(heartbeat, None)
        # A guest that was never called under its derived key sends both forms.
        self.greet(heartbeat.instance_id)
        self._count(_Dropped(Reason.UNSEALED, heartbeat.instance_id))
        return None

    def _opened(self, arguments: Mapping[str, Any]) -> tuple[GuestKey, messages.Report]:
        if arguments.keys() != {'envelope'}:
            raise _Dropped(Reason.NO_ENVELOPE)
        try:
            envelope = Envelope.from_wire(arguments['envelope'])
        except NotAuthentic:
            raise _Dropped(Reason.NO_ENVELOPE) from None
        try:
            key = None if self.is_off else self.keys.find(envelope.instance_id, envelope.key_id)
        except KeyUnreadable:
            raise _Dropped(Reason.UNREADABLE, envelope.instance_id) from None
        if key is None:
            raise _Dropped(Reason.NO_KEY)
        try:
            content = envelopes.unseal(key, MessageDirection.TO_TASKMANAGER, envelope)
            return key, messages.Report.from_bytes(content)
        except NotAuthentic:
            raise _Dropped(Reason.NOT_AUTHENTIC, key.instance_id) from None

    def _believed(self, key: GuestKey, report: messages.Report) -> Believed:
        try:
            heartbeat = guests.Heartbeat.from_wire(report.heartbeat)
        except (KeyError, TypeError, ValueError):
            raise _Dropped(Reason.NOT_AUTHENTIC, key.instance_id) from None
        if heartbeat.instance_id != key.instance_id:
            raise _Dropped(Reason.NOT_AUTHENTIC, key.instance_id)
        if not self.keys.stores(key) and self.older_taskmanager() is not None:
            # The same guest speaks unsealed, too; the older one could not call it any more.
            raise _Dropped(Reason.HELD_BACK)
        heard = self.keys.hear(key, report.session, report.number)
        if heard is Heard.OTHER_SESSION:
            self.greet(key.instance_id)
            raise _Dropped(Reason.OTHER_SESSION)
        if heard is Heard.REPLAYED:
            raise _Dropped(Reason.REPLAYED, key.instance_id)
        return Believed(heartbeat, key.id)

    def _has_key(self, heartbeat: guests.Heartbeat) -> bool:
        """Return whether it has one, or was given one by the rebuild that it tells of."""
        try:
            if self.keys.current(heartbeat.instance_id) is not None:
                return True
        except KeyUnreadable:
            return True
        marker = heartbeat.marker
        return marker is not None and self.keys.minted_id(heartbeat.instance_id, marker) is not None

    def _count(self, dropped: '_Dropped') -> None:
        self.drops.count(dropped.reason)
        if dropped.instance_id is not None:
            self.keys.dropped(dropped.instance_id, 1)


class _Dropped(Exception):
    """A report that counts as never sent; of an instance where its key is one."""

    def __init__(self, reason: Reason, instance_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.instance_id = instance_id
