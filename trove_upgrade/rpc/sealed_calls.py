# SPDX-License-Identifier: Apache-2.0
"""Sealed calls: a request and its answer under the key of the guest, over a broker that each guest
has an account of.

What is not sealed with the guest's key is no answer, whatever it tells: each account of the broker
can send one.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.drops import DropReason, Drops
from trove_upgrade.rpc.moments import Moments
from trove_upgrade.sealing import envelope as envelopes
from trove_upgrade.sealing import messages
from trove_upgrade.sealing.envelope import Envelope, NotAuthentic
from trove_upgrade.sealing.keys import GuestKey, MessageDirection, RandomBytes
from trove_upgrade.sealing.ports import GuestKeys, KnownKey

VERSION = '1.2'
METHOD = 'sealed'

#: Names of errors, as an answer of oslo.messaging has them: an agent of a release before this one,
#: and one with another key.
_TOO_OLD = frozenset({'UnsupportedVersion', 'NoSuchMethod'})
_OTHER_KEY = frozenset({'NotSealed'})
#: A request that was refused is made anew once: for the session, the number and the moment that the
#: guest has told.
_TRIES = 2
#: A count of the taskmanagers' that was restored from a backup lags behind a guest's; a guest that
#: lies uses up no more than this.
_LARGEST_STEP = 2**20

#: Calls a method of a version of an instance's agent.  Raises RemoteError, UnsupportedVersion,
#: GuestUnavailable and `Unreadable`.
Call = Callable[[str, str, str, dict[str, Any]], Any]


class Unreadable(Exception):
    """A guest has sent no answer; its cause has the guest's words, and is for no log."""


class Reason(DropReason):
    """Reasons to drop an answer, as the log has them."""

    UNSEALED = 'answers to sealed calls that were errors and not sealed'
    TOO_OLD = 'answers to sealed calls that told, unsealed, of an agent that knows none'
    OTHER_KEY = 'answers to sealed calls that told, unsealed, of another key'
    NOT_AUTHENTIC = (
        'answers to sealed calls that were not sealed with the key of the guest, or '
        'belonged to another request'
    )

    @property
    def subject(self) -> str:
        return 'answer'


_FOUND: Mapping[Reason, str] = {
    Reason.UNSEALED: 'an error that is not sealed',
    Reason.TOO_OLD: 'the word, not sealed, that its agent knows no sealed calls',
    Reason.OTHER_KEY: 'the word, not sealed, that its agent has another key',
    Reason.NOT_AUTHENTIC: 'an answer that its key does not open',
}


class AnswerNotAuthentic(exceptions.GuestUnavailable):
    """Answer of which nothing is believed."""

    code = 'GUEST_ANSWER_NOT_AUTHENTIC'
    template = (
        'The guest of instance {instance_id} did not answer {method} under its key: {found} came. '
        'Either another program of the message broker has answered in its place, or the agent in '
        'the guest is older than its key or has another one. It is asked again. If this lasts, '
        'look at the log of the agent in the guest and at "trove-upgrade-manage guest-key list".'
    )

    def __init__(self, reason: Reason, **facts: Any) -> None:
        super().__init__(found=_FOUND[reason], **facts)
        self.reason = reason


class SealedCalls:
    """Asks guests that have a key.  Safe to share between threads."""

    def __init__(
        self,
        call: Call,
        keys: GuestKeys,
        drops: Drops,
        *,
        timeout_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        random: RandomBytes = os.urandom,
    ) -> None:
        """`timeout_seconds`: how long `call` waits; a request that comes later is not begun."""
        self._call = call
        self._keys = keys
        self._drops = drops
        self._timeout = timeout_seconds
        self._moments = Moments(monotonic)
        self._random = random

    def ask(self, known: KnownKey, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the guest has answered under its key.

        :raises AnswerNotAuthentic: something else came in its place; it was counted.
        :raises GuestUnavailable: nothing came, or the guest has taken others' requests before this
            one twice.
        """
        key, session, highest = known.key, known.session or messages.NO_SESSION, 0
        for _ in range(_TRIES):
            number = self._keys.next_number(key.instance_id, highest)
            latest = self._moments.latest(key.id, session, self._timeout)
            request = messages.Request(
                method=method, session=session, number=number, latest=latest, arguments=arguments
            )
            answer = self._asked(key, method, request)
            if answer.session != session:
                self._keys.met(key, answer.session, session)
            if answer.content is not None:
                return answer.content
            session, highest = answer.session, min(answer.highest, number + _LARGEST_STEP)
        raise exceptions.GuestUnavailable(
            instance_id=key.instance_id, method=method, timeout_seconds=self._timeout
        )

    def _asked(self, key: GuestKey, method: str, request: messages.Request) -> messages.Answer:
        sealed = envelopes.seal(key, MessageDirection.TO_GUEST, request.to_bytes(), self._random)
        sent = self._moments.now()
        try:
            wire = self._call(METHOD, VERSION, key.instance_id, {'envelope': sealed.to_wire()})
        except oslo_messaging.RemoteError as error:
            raise self._dropped(_reason(error.exc_type), key, method) from None
        except oslo_messaging.UnsupportedVersion:
            raise self._dropped(Reason.TOO_OLD, key, method) from None
        except Unreadable:
            raise self._dropped(Reason.UNSEALED, key, method) from None
        try:
            content = envelopes.unseal(
                key, MessageDirection.TO_TASKMANAGER, Envelope.from_wire(wire)
            )
            answer = messages.Answer.from_bytes(content)
        except NotAuthentic:
            raise self._dropped(Reason.NOT_AUTHENTIC, key, method) from None
        if answer.request != sealed.digest:
            raise self._dropped(Reason.NOT_AUTHENTIC, key, method)
        # not before it was published: no answer waits longer, but a connection may have been made
        sent = max(sent, self._moments.now() - self._timeout)
        self._moments.met(key.id, answer.session, answer.moment, sent)
        return answer

    def _dropped(self, reason: Reason, key: GuestKey, method: str) -> AnswerNotAuthentic:
        self._drops.count(reason)
        self._keys.dropped(key.instance_id, 1)
        return AnswerNotAuthentic(
            reason, instance_id=key.instance_id, method=method, timeout_seconds=self._timeout
        )


def _reason(exc_type: object) -> Reason:
    """The name can be of any type: its sender chooses it."""
    if not isinstance(exc_type, str):
        return Reason.UNSEALED
    if exc_type in _TOO_OLD:
        return Reason.TOO_OLD
    return Reason.OTHER_KEY if exc_type in _OTHER_KEY else Reason.UNSEALED
