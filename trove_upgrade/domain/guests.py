# SPDX-License-Identifier: Apache-2.0
"""Messages between a taskmanager and a guest agent (guest RPC 1.1), and their form on the wire.

Guest work is a job in the guest, journalled under (upgrade id, attempt, method): a call starts or
joins the job and answers within seconds with RUNNING, or with the result.  A second call
never does the work twice.
"""

import dataclasses
import datetime
import enum
import math
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain import answers, states
from trove_upgrade.domain.guest_options import DEFAULT, GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.domain.wire import fields_of

#: Some 68 years.
_MOST_SECONDS = 2**31 - 1


def whole_seconds(seconds: float) -> int:
    """Round up to what a call carries: not below 0, and no more than every agent reads."""
    return math.ceil(min(max(seconds, 0), _MOST_SECONDS))


class Method(enum.StrEnum):
    """Guest method of RPC 1.1."""

    CHECK_UPGRADE = 'check_upgrade'
    PRE_UPGRADE = 'pre_upgrade'
    ABORT_UPGRADE = 'abort_upgrade'
    POST_UPGRADE = 'post_upgrade'
    VERIFY_UPGRADE = 'verify_upgrade'
    FINISH_UPGRADE = 'finish_upgrade'


class JobState(enum.StrEnum):
    """State of a guest's job."""

    RUNNING = 'RUNNING'  #: ask again
    DONE = 'DONE'
    REFUSED = 'REFUSED'  #: a check said no; the database serves as before
    FAILED = 'FAILED'  #: it could not be done; the message says what was found

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """A state that only a later agent has is no end: it is asked again, until the step's
        time-out.
        """
        return cls.RUNNING if states.is_name(value) else None


class ServerState(enum.StrEnum):
    """The database server in the guest, as the agent sees it now."""

    RUNNING = 'running'
    STOPPED = 'stopped'
    UNKNOWN = 'unknown'

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """A state that only a later agent has tells this release nothing."""
        return cls.UNKNOWN if states.is_name(value) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestCall:
    """The arguments of every guest method of RPC 1.1."""

    instance_id: str
    upgrade_id: str
    attempt: int
    generation: int
    deadline: datetime.datetime  #: aware UTC, for agents that know no `seconds`
    target: TargetFacts
    options: GuestOptions = DEFAULT  #: the operator's choices
    #: pre_upgrade's result, for the later methods
    upgrade_info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: from when the call comes: then the guest gives up and undoes what it can; None: at the
    #: deadline, by the guest's own clock
    seconds: int | None = None

    def seconds_from(self, now: datetime.datetime) -> float:
        """Return how long the work may last that is begun now."""
        return (self.deadline - now).total_seconds() if self.seconds is None else self.seconds

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready keyword arguments of the RPC call; instance_id travels in the topic, too."""
        wire = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        wire.update(
            deadline=self.deadline.isoformat(),
            target=self.target.to_wire(),
            options=self.options.to_wire(),
            upgrade_info=dict(self.upgrade_info),
        )
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The reverse of `to_wire`.  Unknown keys are dropped here; a guest's calls come in through
        `guest_call.read`, which refuses them: a new argument takes a new minor version of RPC.

        :raises KeyError, TypeError, ValueError: a key is missing or of the wrong form.
        """
        known = fields_of(cls, wire)
        known['deadline'] = datetime.datetime.fromisoformat(wire['deadline'])
        known['target'] = TargetFacts.from_wire(known['target'])
        known['options'] = GuestOptions.from_wire(known.get('options', {}))
        return cls(**known)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuestAnswer:
    """Answer of every guest method of RPC 1.1."""

    state: JobState
    message: str  #: for a person: what is done, or what was found and what to do next
    boot_id: str  #: of the running kernel, or of the namespaced guest
    server_state: ServerState
    agent_version: str
    #: as the server says it over SQL, e.g. 10.11.14-MariaDB; None if not running
    server_version: str | None = None
    percent: int | None = None
    code: str | None = None  #: stable; set where the state is REFUSED or FAILED
    serving: bool = False  #: the database answers clients (after an undo: whether it serves again)
    #: point of no return: the new server has been started on the data directory; None: it cannot be
    #: told, the volume is not seen
    server_started_on_data: bool | None = None
    #: check_upgrade: {'checks': [{name, outcome, message, code}]};
    #: pre_upgrade: {'upgrade_info': {...}};
    #: post_upgrade: {'fingerprint': {...}, 'settings_changed': [...]};
    #: verify_upgrade: {'server_version': ..., 'checks': [...]}
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON-ready dictionary."""
        wire = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        wire.update(
            state=str(self.state), server_state=str(self.server_state), result=dict(self.result)
        )
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The reverse of `to_wire`, within the bounds of `domain.answers`; unknown keys of a newer
        agent are dropped.

        :raises KeyError, TypeError, ValueError: a key is missing or of the wrong form.
        """
        answers.require_size(wire, answers.LARGEST_ANSWER)
        known = answers.answer(fields_of(cls, wire))
        known['state'] = JobState(wire['state'])
        known['server_state'] = ServerState(wire['server_state'])
        return cls(**known)


@dataclasses.dataclass(frozen=True)
class LastWord:
    """Time at which a guest's agent was last heard, by the database's clock, and in which boot."""

    seen_at: datetime.datetime
    boot_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Cast to the taskmanagers by a guest that is in an upgrade or has just booted."""

    instance_id: str
    boot_id: str
    marker: str | None  #: the upgrade marker of its user data
    restored: bool  #: this root disk has the "restored" mark
    agent_version: str
    server_version: str | None
    server_state: ServerState

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON-ready dictionary."""
        wire = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        wire.update(server_state=str(self.server_state))
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The reverse of `to_wire`, within the bounds of `domain.answers`;
        unknown keys are dropped.

        :raises KeyError, TypeError, ValueError: a key is missing or of the wrong form.
        """
        answers.require_size(wire, answers.LARGEST_HEARTBEAT)
        known = answers.heartbeat(fields_of(cls, wire))
        known['server_state'] = ServerState(wire['server_state'])
        return cls(**known)
