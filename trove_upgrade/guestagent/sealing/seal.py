# SPDX-License-Identifier: Apache-2.0
"""The guest's seal: opens the requests of taskmanagers, seals answers and reports, and tells what
is no request.

Each account of the broker can send anything to this guest.  A request is carried out once, and only
if it was sealed with this guest's key, for this start of the agent, with a higher number than all
before it, and not after the moment that it names.
"""

import dataclasses
import enum
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import exceptions, guests
from trove_upgrade.domain.drops import Drops
from trove_upgrade.guestagent.sealing.held_key import HeldKey
from trove_upgrade.guestagent.sealing.sequence import Sequence
from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.envelope import Envelope, NotAuthentic
from trove_upgrade.sealing.keys import GuestKey, MessageDirection, RandomBytes


class NotSealed(exceptions.Dropped):
    """A message is under no key of this guest, or was changed.  One text for all: it tells a forger
    nothing.
    """

    code = 'NOT_SEALED'
    template = (
        'A message was dropped: it was not sealed with the key of this guest. Compare the key '
        'file of the guest with the keys that the taskmanagers have ("trove-upgrade-manage '
        'guest-key list").'
    )


class GuestSealed(exceptions.Unanswered):
    """A call of RPC 1.0 or 1.1 has come to a guest that takes sealed requests alone.

    It gets no answer: a taskmanager of borealis takes any error, of whatever type, for the guest's
    own failure, and ends the upgrade FAILED; a guest that is silent it asks again, until a
    taskmanager with the key has the row.
    """

    code = 'GUEST_SEALED'
    template = (
        'The call was not begun: this guest takes sealed calls alone. Look which release the '
        'taskmanagers have, what guest_rpc_security is there, and whether they have the key of '
        'this guest ("trove-upgrade-manage guest-key list").'
    )


class Reason(enum.StrEnum):
    """Reasons to drop a message, as the log has them."""

    NO_KEY = 'they were sealed, and this guest has no key'
    NOT_AUTHENTIC = 'they were not sealed with the key of this guest, or were changed'
    UNSEALED = 'they were not sealed, and this guest takes sealed calls alone'
    SESSION = 'they were for another start of this agent; a taskmanager asks again'
    NUMBER = 'their numbers were not above those before them; a taskmanager asks again'
    LATE = 'they came after the moment until which they were meant; a taskmanager asks again'


@dataclasses.dataclass(frozen=True)
class Opened:
    """An authentic request, and what its answer takes."""

    request: messages.Request
    digest: str
    key: GuestKey


class Seal:
    """One start of one guest's agent.  Safe to share between threads."""

    def __init__(
        self,
        held: HeldKey,
        sequence: Callable[[str], Sequence],
        drops: Drops,
        monotonic: Callable[[], float],
        random: RandomBytes = os.urandom,
    ) -> None:
        """`sequence` is called once for each key with its id: a new key counts anew, whatever was
        sent under a former one.

        `monotonic`: seconds since some moment, which no setting of the clock changes.
        """
        self._held = held
        self._make_sequence = sequence
        self._sequences: dict[str, Sequence] = {}
        self._drops = drops
        self._monotonic = monotonic
        self._random = random
        self._session = messages.new_session(random)
        self._start = monotonic()
        self._lock = threading.Lock()
        self._reports = 0

    def open(self, arguments: Mapping[str, Any]) -> Opened:
        """Open what came as the arguments of the call `sealed`.  Nothing of it may be carried out
        before it was taken.

        :raises NotSealed: it is not authentic; it was counted.
        """
        key = self._held.current().key
        if key is None:
            self._drops.count(Reason.NO_KEY)
            raise NotSealed
        try:
            if arguments.keys() != {'envelope'}:
                raise NotAuthentic('it has other arguments than an envelope')  # noqa: TRY301 - one end for all that is not
            envelope = Envelope.from_wire(arguments['envelope'])
            content = envelopes.unseal(key, MessageDirection.TO_GUEST, envelope)
            return Opened(messages.Request.from_bytes(content), envelope.digest, key)
        except NotAuthentic:
            self._drops.count(Reason.NOT_AUTHENTIC)
            raise NotSealed from None

    def take(self, opened: Opened) -> messages.Refusal | None:
        """Return None once for each request of this session, in the order of their numbers; that is
        durable then.

        :raises StepFailed: MARK_NOT_WRITTEN; the request must not be carried out.
        """
        self._held.prove(opened.key)
        if opened.request.session != self._session:
            self._drops.count(Reason.SESSION)
            return messages.Refusal.SESSION
        if opened.request.latest < self._moment():
            self._drops.count(Reason.LATE)
            return messages.Refusal.LATE
        if not self._sequence(opened.key.id).take(opened.request.number):
            self._drops.count(Reason.NUMBER)
            return messages.Refusal.NUMBER
        return None

    def answer(
        self, opened: Opened, refused: messages.Refusal | None, content: Mapping[str, Any] | None
    ) -> dict[str, str]:
        """Return the sealed answer as it travels; either `refused` or `content` is None."""
        answer = messages.Answer(
            request=opened.digest,
            session=self._session,
            highest=self._sequence(opened.key.id).highest,
            moment=self._moment(),
            refused=refused,
            content=content,
        )
        return self._sealed(opened.key, answer.to_bytes()).to_wire()

    def report(self, heartbeat: guests.Heartbeat) -> Envelope | None:
        """Return a sealed heartbeat; None: the guest has no key."""
        key = self._held.current().key
        if key is None:
            return None
        with self._lock:
            self._reports += 1
            number = self._reports
        return self._sealed(
            key, messages.Report(self._session, number, heartbeat.to_wire()).to_bytes()
        )

    def is_sealed_only(self) -> bool:
        """Return whether nothing unsealed is sent or taken now."""
        return self._held.current().sealed_only

    def require_unsealed_allowed(self) -> None:
        """Let a call of RPC 1.0 or 1.1 in.

        :raises GuestSealed: this guest takes none; it was counted.
        """
        if self.is_sealed_only():
            self._drops.count(Reason.UNSEALED)
            raise GuestSealed

    def tell_drops(self) -> None:
        """Log what was dropped since the last line, where that is due."""
        self._drops.tell()

    def _sequence(self, key_id: str) -> Sequence:
        """Return the one of this key: two of them would take one number twice."""
        with self._lock:
            if key_id not in self._sequences:
                self._sequences[key_id] = self._make_sequence(key_id)
            return self._sequences[key_id]

    def _moment(self) -> int:
        """Return the milliseconds of this session; never 0, which no request may be begun at."""
        return int((self._monotonic() - self._start) * 1000) + 1

    def _sealed(self, key: GuestKey, message: bytes) -> Envelope:
        return envelopes.seal(key, MessageDirection.TO_TASKMANAGER, message, self._random)
