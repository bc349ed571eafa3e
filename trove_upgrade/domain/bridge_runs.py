# SPDX-License-Identifier: Apache-2.0
"""Runs of the bridge and their members, as they travel between the database and the bridge.

The membership is frozen when a run begins.  Each member moves through its steps by itself, under a
lease, so that any host may go on where another one stopped.
"""

import dataclasses
import datetime
import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, Self

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.inventory import Listed, Obstacle
from trove_upgrade.domain.pace import (
    DEFAULT_PACE,
    NO_HOSTS,
    Hosts,
    LimitChanges,
    Pace,
    RunStopped,
    Stop,
    Turn,
    Wait,
)
from trove_upgrade.domain.states import Extensible
from trove_upgrade.domain.verified import Verified


class RunScope(Extensible):
    """Steps that the members of a run go through."""

    REACH = 'reach'  #: into the guest and out again: nothing is changed there
    AGENT = 'agent'  #: our agent is brought in beside the old one, and is heard
    UPGRADE = 'upgrade'  #: then the instance is upgraded and looked at


class RunState(Extensible):
    """States of a run."""

    RUNNING = 'RUNNING'
    STOPPED = 'STOPPED'  #: too many have failed: those that were begun come to their end, no other
    ENDED = 'ENDED'  #: every member has ended
    ABORTED = 'ABORTED'  #: an operator ended it; members that had not ended are ABORTED, too


class MemberState(Extensible):
    """States of a member."""

    PENDING = 'PENDING'  #: no host has worked on it
    RUNNING = 'RUNNING'
    COMPLETED = 'COMPLETED'
    #: its port is closed, and what was pushed is removed, unless an upgrade was asked for
    FAILED = 'FAILED'
    ABORTED = 'ABORTED'  #: as FAILED, by an operator's word, or by what a client has done
    LEFT_OUT = 'LEFT_OUT'  #: nothing is there to be tried; the cause names the reason


class MemberStep(Extensible):
    """Steps of a member, in this order."""

    OPEN = 'open'
    REACH = 'reach'
    PUSH = 'push'
    PROVE = 'prove'
    CLOSE = 'close'
    UPGRADE = 'upgrade'
    VERIFY = 'verify'


STEPS: tuple[MemberStep, ...] = tuple(MemberStep)
#: Steps of a member whose port is closed.
AFTER_CLOSE: frozenset[MemberStep] = frozenset({MemberStep.UPGRADE, MemberStep.VERIFY})
#: Steps of each scope.
STEPS_OF: dict[RunScope, frozenset[MemberStep]] = {
    RunScope.REACH: frozenset({MemberStep.OPEN, MemberStep.REACH, MemberStep.CLOSE}),
    RunScope.AGENT: frozenset(
        {
            MemberStep.OPEN,
            MemberStep.REACH,
            MemberStep.PUSH,
            MemberStep.PROVE,
            MemberStep.CLOSE,
        }
    ),
    RunScope.UPGRADE: frozenset(STEPS),
}

#: No host works on a member in one of these any more.
ENDED: frozenset[MemberState] = frozenset(MemberState) - {MemberState.PENDING, MemberState.RUNNING}


class StepEnd(enum.StrEnum):
    """The end of one run of a step."""

    DONE = 'done'
    FAILED = 'failed'


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemberStepRun:
    """One run of a step: when, and how it ended."""

    step: MemberStep
    started_at: datetime.datetime
    ended_at: datetime.datetime | None = None
    end: StepEnd | None = None  #: None while it goes on, or when its process was killed
    message: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nic:
    """A NIC of a member's server, as it was before the upgrade."""

    port_id: str
    security_groups: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """Findings of the steps, which later ones and a report need."""

    port_id: str | None = None
    address: str | None = None
    route: str | None = None  #: in words, e.g. "through qdhcp-... on node-1"
    source: str | None = None
    #: of the bundle that was begun to be pushed; committed before the first byte is written
    bundle: str | None = None
    key_id: str | None = None  #: of the key that came with it
    target_version_id: str | None = None  #: frozen when the run began
    #: before the upgrade was asked for
    nics: tuple[Nic, ...] = ()
    addresses: tuple[str, ...] = ()  #: those that the service shows, too
    #: the instance's latest upgrade before ours was asked for, `NO_UPGRADE` where it had none;
    #: committed before the request is sent
    asked_after: str | None = None
    upgrade_id: str | None = None
    verified: tuple[Verified, ...] = ()
    check_user: str | None = None  #: of the database; committed before it is created
    not_removed: str | None = None  #: why what was pushed is still in the guest

    @property
    def is_begun(self) -> bool:
        """Return whether a port may have been opened, or an upgrade asked for."""
        return self.port_id is not None or self.is_handed_over

    @property
    def is_handed_over(self) -> bool:
        """Return whether an upgrade may have begun: from then on the agent is the upgrade's."""
        return self.asked_after is not None

    @property
    def is_in_guest(self) -> bool:
        """Return whether something may be in the guest that the end of a run has to remove."""
        return self.bundle is not None and self.upgrade_id is None

    @property
    def may_have_begun(self) -> bool:
        """Return whether an upgrade was about to be asked for, and none is known."""
        return self.is_handed_over and self.upgrade_id is None


#: `asked_after` of an instance that had no upgrade.
NO_UPGRADE = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A row of `upgrade_bridge_members`, as it was when read."""

    run_id: str
    instance_id: str
    name: str
    project_id: str
    server_id: str | None
    state: MemberState
    step: MemberStep
    is_undoing: bool  #: the steps lead back: what was pushed goes, the port is closed
    generation: int  #: raised by each claim
    wave: int | None = None  #: None: LEFT_OUT
    hosts: Hosts = NO_HOSTS
    owner: str | None = None
    lease_until: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    error_code: str | None = None
    cause: str | None = None
    facts: MemberFacts = MemberFacts()
    steps: tuple[MemberStepRun, ...] = ()

    def evolve(self, **changes: Any) -> Self:
        """Return it with these fields changed."""
        return dataclasses.replace(self, **changes)

    def learned(self, **facts: Any) -> Self:
        """Return it with these facts changed."""
        return self.evolve(facts=dataclasses.replace(self.facts, **facts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A row of `upgrade_bridge_runs`, with the count of its members by state."""

    id: str
    state: RunState
    scope: RunScope
    created_at: datetime.datetime
    updated_at: datetime.datetime
    ended_at: datetime.datetime | None
    members: dict[MemberState, int]
    pace: Pace = DEFAULT_PACE
    accepted_failures: int = 0  #: that an operator has seen and goes on with


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """Answer to a host that asks for work."""

    member: Member | None
    #: why those that no host has are not begun, by instance
    waits: Mapping[str, Wait] = dataclasses.field(default_factory=dict)
    stop: Stop | None = None

    @property
    def is_to_ask_again(self) -> bool:
        """Return whether the end of another member lets one of these begin."""
        return any(wait is not Wait.STOPPED for wait in self.waits.values())


class RunNotFound(exceptions.TroveUpgradeError):
    """No run of this id."""

    code = 'BRIDGE_RUN_NOT_FOUND'
    template = (
        'There is no run {run_id} of the bridge. List them with "trove-upgrade-bridge status".'
    )


class NoRoom(exceptions.TroveUpgradeError):
    """A member has turned out to be to load hosts for which enough others are worked on."""

    code = 'BRIDGE_NO_ROOM'
    template = (
        'Instance {instance_id} of run {run_id} is not begun now: {found}. It is begun when '
        'another one has ended.'
    )


class MemberLost(exceptions.TroveUpgradeError):
    """Another host works on a member: this one's lease was over."""

    code = 'BRIDGE_MEMBER_LOST'
    template = (
        'Instance {instance_id} of run {run_id} is not worked on here any more: its lease was '
        'over, and another host has it or has ended it. Look at it with '
        '"trove-upgrade-bridge status".'
    )


class InstanceInOtherRun(exceptions.TroveUpgradeError):
    """An instance is a member of a run that has not ended."""

    code = 'INSTANCE_IN_OTHER_RUN'
    template = (
        'No run begins: instance {instance_id} is a member of run {run_id}, which has not ended. '
        'Resume or abort that run.'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Decisions for a run that is to begin, by instance where it has several."""

    #: datastore version that it is to be upgraded to; none: nothing is upgraded
    targets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pace: Pace = DEFAULT_PACE
    #: hosts that the work on it will load; unknown ones load none until the guest is entered
    loaded: Mapping[str, Hosts] = dataclasses.field(default_factory=dict)


class RunRepository(Protocol):
    """`upgrade_bridge_runs`, `upgrade_bridge_members` and `upgrade_bridge_steps`."""

    def begin(self, members: Sequence[Listed], scope: RunScope, plan: RunPlan = ...) -> Run:
        """Freeze the membership; those with an obstacle are LEFT_OUT.

        :raises InstanceInOtherRun: one of the others is a member of a run that has not ended.
        """

    def get(self, run_id: str) -> Run:
        """Return a run.

        :raises RunNotFound: there is none.
        """

    def members(self, run_id: str) -> list[Member]:
        """Return all members, by instance id, with their steps."""

    def member(self, run_id: str, instance_id: str) -> Member:
        """Return a member as it is now."""

    def claim(
        self, run_id: str, owner: str, lease_seconds: float, passed_over: Collection[str] = ()
    ) -> Claim:
        """Take the next member that the run's pace lets begin; a run with too many failures is
        STOPPED.

        `passed_over`: instances that are not taken.
        """

    def turn(self, run_id: str) -> Turn:
        """Return why members wait, and whether the run has stopped."""

    def settle(self, member: Member, hosts: Hosts) -> Member:
        """Write which hosts the work on a member loads.

        :raises NoRoom: enough others load them.
        :raises MemberLost: another host has it.
        """

    def change_limits(self, run_id: str, changes: LimitChanges) -> Run:
        """Change them, for every host at its next claim."""

    def accept_failures(self, run_id: str) -> Run:
        """Let a run that was STOPPED begin others again: what has failed so far counts no more.
        Another one stays as it is.
        """

    def save(self, member: Member) -> Member:
        """Write what its holder may change, and its steps.

        :raises MemberLost: another host has claimed it, or it has ended.
        """

    def keep(self, member: Member, lease_seconds: float) -> None:
        """Let the lease end that many seconds from now.  Raises as `save`."""

    def release(self, member: Member) -> None:
        """Let any host go on with it at once.  Raises as `save`."""

    def end(self, member: Member, state: MemberState) -> Member:
        """Write the end of a member; the run ends with its last one.  Raises as `save`."""

    def abort(self, run_id: str, *, leaves_agents: bool = False) -> Run:
        """Turn every member that a host works on back; the others end at once, but those in whose
        guest something may be: `resume` removes it.  An upgrade that was begun goes on.

        `leaves_agents`: these end at once, too, and what is in their guests stays there.
        """


def first_step(listed: Listed) -> MemberStep:
    """Return where a member begins: one in whose guest our agent was heard is only upgraded."""
    return MemberStep.OPEN if listed.agent_version is None else MemberStep.UPGRADE


def stays_cause(facts: MemberFacts) -> str | None:
    """Return in words what an end without removal leaves behind; None: nothing."""
    if facts.upgrade_id is not None:
        return f'Upgrade {facts.upgrade_id} goes its own way.'
    return 'Our agent stays in the guest.' if facts.bundle is not None else None


def stopped(run: Run, found: Turn) -> RunStopped | None:
    """Return why a run begins no other member, and what to do; None: it does, or has ended."""
    told = found.stop_told(run.pace.stop)
    if told is None or run.state not in {RunState.RUNNING, RunState.STOPPED}:
        return None
    return RunStopped(run_id=run.id, found=told)


def left_out_cause(obstacle: Obstacle) -> str:
    """Return the cause of a member that is LEFT_OUT."""
    return f'The inventory found {obstacle}.'
