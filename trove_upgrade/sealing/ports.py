# SPDX-License-Identifier: Apache-2.0
"""Port to where a taskmanager keeps guests' keys, as the rest of it sees that place."""

import dataclasses
import enum
from typing import Protocol

from trove_upgrade.sealing.keys import GuestKey


class Heard(enum.Enum):
    """Fate of an authentic report."""

    TAKEN = 'taken'
    REPLAYED = 'replayed'  #: its number is not above the highest of its session: dropped
    #: the agent has started again, or it is an old one: only the guest's own answer tells
    OTHER_SESSION = 'other session'


@dataclasses.dataclass(frozen=True)
class KnownKey:
    """A key under which the guest has spoken."""

    key: GuestKey
    session: str | None  #: of the agent's start that was met last; None: none was
    #: a bridge has brought it, with the agent: both are on the present root disk alone
    is_bridges: bool = False


class GuestKeys(Protocol):
    """`upgrade_guest_keys` and `upgrade_guest_wires`.

    A key is pending from its minting until a message under it was opened; then it is the instance's
    current one, and the keys that were made before it are deleted.  An instance without a current
    key is spoken to unsealed.
    """

    def current(self, instance_id: str) -> KnownKey | None:
        """Return the newest key under which the guest has spoken; None: it never has.

        :raises KeyUnreadable: no entry of the operator's list opens it.
        """

    def find(self, instance_id: str, key_id: str) -> GuestKey | None:
        """Return this key of this instance, pending or current, or the one that Trove's own key
        gives; None: there is none.

        :raises KeyUnreadable: no entry of the operator's list opens it.
        """

    def stores(self, key: GuestKey) -> bool:
        """Return whether it has a row; the one that Trove's own key gives has none until the guest
        has spoken under it.
        """

    def next_number(self, instance_id: str, above: int = 0) -> int:
        """Count one request more; the number is above `above`, too.  All processes share the
        count.
        """

    def met(self, key: GuestKey, session: str, former: str | None = None) -> None:
        """Record what the guest's own answer to a request has told: this key and this session are
        the guest's now.

        The session is recorded only in the place of `former`, under which the request was sent:
        answers may come late.  None: in any place.
        """

    def hear(self, key: GuestKey, session: str, number: int) -> Heard:
        """Record a report.  The first one under a pending key makes it the current one."""

    def minted_for(self, instance_id: str, marker: str) -> GuestKey | None:
        """Return the key of the rebuild that `marker` belongs to; None: that one has no key."""

    def minted_id(self, instance_id: str, marker: str) -> str | None:
        """Return the id of the key that `minted_for` returns; nothing is decrypted."""

    def mints(self) -> bool:
        """Return whether a key can be made: the operator's list and the tables are there."""

    def mint(self, instance_id: str, marker: str | None) -> GuestKey:
        """Return the key of the rebuild that `marker` belongs to, made if there is none yet;
        committed when this returns.

        Without a marker: a new one at each call, for a guest that an operator gives it to.
        """

    def retire(self, instance_id: str) -> None:
        """Delete all keys of an instance: it is spoken to unsealed from then on."""

    def dropped(self, instance_id: str, count: int) -> None:
        """Add to the count of messages that were dropped; one of no instance is not counted."""
