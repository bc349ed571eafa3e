# SPDX-License-Identifier: Apache-2.0
"""Contents of an envelope: a request, its answer, or a report of a guest that nothing has asked
for.

Freshness rests on no time of day.  An agent draws a session when it starts, and takes requests of
that session alone, each with a higher number than the one before; a taskmanager takes reports
alike.  An answer names its request by the digest of the request's envelope, and tells the moment of
its session: a request names the latest one at which it may be begun.
"""

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.sealing.envelope import NotAuthentic
from trove_upgrade.sealing.keys import RandomBytes

#: The method that a sealed call alone has: it does nothing, and its answer proves the guest's key.
GREET = 'greet'
#: What a BigInteger column holds.
LARGEST_NUMBER = 2**63 - 1
_BYTES = 8_000_000
_SESSION_BYTES = 16
_SESSION = re.compile(r'[0-9a-f]{32}')
_DIGEST = re.compile(r'[0-9a-f]{64}')
#: The session of a request to a guest whose session is not known yet: none has it, and the refusal
#: tells the right one.
NO_SESSION = '0' * 2 * _SESSION_BYTES


class Refusal(enum.StrEnum):
    """Reasons not to carry out an authentic request. Its sender may send it again, made anew."""

    SESSION = 'SESSION'  #: it belongs to another start of the agent
    NUMBER = 'NUMBER'  #: its number is not above the highest that was seen
    LATE = 'LATE'  #: the moment until which it may be begun has passed


def new_session(random: RandomBytes) -> str:
    """Draw the session of an agent's start."""
    return random(_SESSION_BYTES).hex()


def is_session(value: object) -> bool:
    """Return whether `value` can be a session."""
    return isinstance(value, str) and _SESSION.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A call of a taskmanager's.  `arguments` are those of the method's own version, GuestCall's
    with attempt, generation and deadline.
    """

    method: str
    session: str
    number: int
    #: milliseconds of the session; 0: its moment is not known yet, the refusal tells it
    latest: int
    arguments: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return the message for an envelope."""
        return _dumped(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a request that the box held.

        :raises NotAuthentic: a field is missing or has another form.
        """
        fields = _fields(cls, content)
        _require(isinstance(fields['method'], str) and fields['method'].isidentifier())
        _require(isinstance(fields['arguments'], Mapping) and _is_number(fields['latest']))
        _require_place(fields)
        return cls(**fields)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A guest's answer to one request: its content, or why it was refused."""

    request: str  #: the digest of the request's envelope
    session: str  #: of the agent that answers
    highest: int  #: number of the requests that were taken
    moment: int  #: milliseconds of the session, when it was answered
    refused: Refusal | None = None
    content: Mapping[str, Any] | None = None  #: a GuestAnswer's form on the wire; None: refused

    def to_bytes(self) -> bytes:
        """Return the message for an envelope."""
        return _dumped(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse an answer that the box held.

        :raises NotAuthentic: a field is missing or has another form.
        """
        fields = _fields(cls, content)
        _require(
            isinstance(fields['request'], str) and _DIGEST.fullmatch(fields['request']) is not None
        )
        _require(is_session(fields['session']))
        _require(_is_number(fields['highest']) and _is_number(fields['moment']))
        _require(fields['content'] is None or isinstance(fields['content'], Mapping))
        _require((fields['refused'] is None) != (fields['content'] is None))
        if fields['refused'] is not None:
            _require(fields['refused'] in list(Refusal))
            fields['refused'] = Refusal(fields['refused'])
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class Report:
    """A heartbeat, in the form that it has on the wire."""

    session: str
    number: int
    heartbeat: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return the message for an envelope."""
        return _dumped(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a report that the box held.

        :raises NotAuthentic: a field is missing or has another form.
        """
        fields = _fields(cls, content)
        _require(isinstance(fields['heartbeat'], Mapping))
        _require_place(fields)
        return cls(**fields)


def _dumped(message: Any) -> bytes:
    fields = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return json.dumps(fields, default=dict).encode()


def _fields(cls: type[Any], content: bytes) -> dict[str, Any]:
    """Parse the fields of a message; only the form is not believed: the other side has written it,
    and may be another release's.

    What is nested in arguments, content and heartbeat is checked by what reads these, as in a
    message that is not sealed.
    """
    _require(len(content) <= _BYTES)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise NotAuthentic('what is in it cannot be read') from None
    names = {field.name for field in dataclasses.fields(cls)}
    _require(isinstance(document, dict) and document.keys() >= names)
    return {name: document[name] for name in names}


def _require(condition: bool) -> None:
    if not condition:
        raise NotAuthentic('what is in it has another form')


def _require_place(fields: Mapping[str, Any]) -> None:
    """Check the session and the number in it."""
    _require(is_session(fields['session']) and _is_number(fields['number']))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER
