# SPDX-License-Identifier: Apache-2.0
"""Calls a guest at that one of two places where it listens.

While guests change over to a place of their own, some listen there already and others where they
did before; a rollback takes one back.  No table tells which: the broker knows whether a queue is
there, and an answer tells the rest.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import oslo_messaging

#: The broker returns what it has no queue for, at once: the guest has never listened there, or its
#: queue has gone.
_RETURNED_IF_NO_QUEUE = oslo_messaging.TransportOptions(at_least_once=True)


@dataclasses.dataclass
class Caller:
    """Client at one place, and whether it was connected yet."""

    client: Any  #: oslo.messaging's RPC client, or a test's stand-in
    #: Raises MessagingUnavailable where no broker accepts connections; asked until the first
    #: answer: only that call could hang.
    require_broker: Callable[[], None]
    connected: bool = False


class EitherPlace:
    """Stands in for an RPC client.  Safe to share between threads.

    A call goes to the place of the last answer, at first to the guests'. Where the broker has no
    queue of the guest there, the same call goes to the other place. A call without an answer is not
    sent again, as it may have arrived: the next one goes to the other place first. So a queue that
    a guest has left behind costs one time-out, and locks nothing out.  Nor does one that another
    account has made: `doubt` an answer that was not the guest's.
    """

    def __init__(self, guests: Caller, services: Caller) -> None:
        self._guests = guests
        self._services = services
        self._lock = threading.Lock()
        self._at_services: set[str] = set()  # topics to be tried there first
        self._last = threading.local()  # `answered`: the place of a thread's last answer

    def prepare(self, **target: Any) -> 'Prepared':
        """Prepare a call as a client does; `topic` is needed."""
        return Prepared(self, target)

    def call(
        self, target: Mapping[str, Any], context: Any, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """Call as a client does, at the likely place, then at the other. Raises what the last place
        that was asked has raised.
        """
        topic = target['topic']
        with self._lock:
            at_services = topic in self._at_services
        likely, other = (
            (self._services, self._guests) if at_services else (self._guests, self._services)
        )
        returned = {**target, 'transport_options': _RETURNED_IF_NO_QUEUE}
        try:
            with self._told_by_the_end(topic, likely, other):
                return _call(likely, returned, context, method, arguments)
        except oslo_messaging.MessageUndeliverable as error:
            if type(error) is not oslo_messaging.MessageUndeliverable:
                raise  # an answer named it: the library makes a class of its own of that
        with self._told_by_the_end(topic, other, likely):
            return _call(other, target, context, method, arguments)

    def doubt(self, topic: str) -> None:
        """Send the next call to the other place first: what has answered this thread's last call
        was not the guest.
        """
        answered = getattr(self._last, 'answered', None)
        if answered is not None:
            self._next(topic, self._guests if answered is self._services else self._services)

    @contextlib.contextmanager
    def _told_by_the_end(self, topic: str, asked: Caller, other: Caller) -> Iterator[None]:
        """Remember where the next call goes first."""
        try:
            yield
        except oslo_messaging.MessagingTimeout:
            self._next(topic, other)
            raise
        except (oslo_messaging.RemoteError, oslo_messaging.UnsupportedVersion):
            self._answered(topic, asked)
            raise
        self._answered(topic, asked)

    def _answered(self, topic: str, at: Caller) -> None:
        self._last.answered = at
        self._next(topic, at)

    def _next(self, topic: str, at: Caller) -> None:
        with self._lock:
            if at is self._services:
                self._at_services.add(topic)
            else:
                self._at_services.discard(topic)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A client for one guest's topic."""

    either: EitherPlace
    target: Mapping[str, Any]

    def call(self, context: Any, method: str, **arguments: Any) -> Any:
        """Call the guest as `EitherPlace.call` does."""
        return self.either.call(self.target, context, method, arguments)


def _call(
    at: Caller, target: Mapping[str, Any], context: Any, method: str, arguments: Mapping[str, Any]
) -> Any:
    if not at.connected:
        at.require_broker()
    try:
        answer = at.client.prepare(**target).call(context, method, **arguments)
    except (
        oslo_messaging.RemoteError,
        oslo_messaging.UnsupportedVersion,
        oslo_messaging.MessageUndeliverable,
    ):
        at.connected = True
        raise
    at.connected = True
    return answer
