# SPDX-License-Identifier: Apache-2.0
"""Pace of a run: how many members are worked on at once and where, in which waves they begin, and
how many failures end the beginning of others.

The first wave is the canary.  A wave begins when the one before has ended.
"""

import dataclasses
import enum
import types
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from trove_upgrade.domain import exceptions

CANARY = 0  #: number of the first wave


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """Hosts that the work on a member loads; None: not known, and not limited."""

    node: str | None = None  #: host whose namespace leads to the guest
    hypervisor: str | None = None  #: Nova's name of the host of its server


NO_HOSTS = Hosts()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Members that hosts may work on at one moment, all hosts of the bridge together."""

    at_once: int = 4
    per_node: int = 4
    per_hypervisor: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitChanges:
    """Limits that an operator has named; None: as before."""

    at_once: int | None = None
    per_node: int | None = None
    per_hypervisor: int | None = None

    def of(self, limits: Limits) -> Limits:
        """Return the limits with these changes."""
        named = {name: number for name, number in vars(self).items() if number is not None}
        return dataclasses.replace(limits, **named)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StopRule:
    """Failures that a run goes on with: the greater of the two."""

    count: int = 2
    percent: int = 5  #: of its members, LEFT_OUT ones not counted

    def allowed(self, members: int) -> int:
        """Return the number of failures that a run of so many members goes on with."""
        return max(self.count, members * self.percent // 100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """Rules of one run, for every host that works on it."""

    limits: Limits = Limits()
    canary: int = 1  #: members of the first wave; 0: there is none
    wave_size: int = 20  #: members of every other wave; 0: all that are left
    stop: StopRule = StopRule()


#: Where an operator has named nothing else.
DEFAULT_PACE = Pace()


class Wait(enum.StrEnum):
    """Reason why a member that no host works on waits."""

    WAVE = 'WAVE'  #: an earlier wave has not ended
    AT_ONCE = 'AT_ONCE'
    NODE = 'NODE'
    HYPERVISOR = 'HYPERVISOR'
    STOPPED = 'STOPPED'  #: the run has had too many failures
    TURN = 'TURN'  #: nothing is in its way: it is taken next


#: The same in words that follow "as".
WAITS: Mapping[Wait, str] = types.MappingProxyType(
    {
        Wait.WAVE: 'an earlier wave has not ended',
        Wait.AT_ONCE: 'enough guests are worked on',
        Wait.NODE: 'enough guests are worked on through the same network node',
        Wait.HYPERVISOR: 'enough guests of the same hypervisor are worked on',
        Wait.STOPPED: 'the run has stopped',
        Wait.TURN: 'nothing is in the way any more',
    }
)


class Stop(enum.StrEnum):
    """Reason why a run begins no other member."""

    CANARY_FAILED = 'CANARY_FAILED'
    TOO_MANY_FAILED = 'TOO_MANY_FAILED'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Standing of a member, as far as it counts for the pace."""

    instance_id: str
    wave: int
    hosts: Hosts = NO_HOSTS
    tries: int = 0  #: how often a host has taken it
    is_ended: bool = False
    is_held: bool = False  #: a host works on it, whose lease is not over
    is_begun: bool = False  #: something may have been done: it is brought to its end in any case
    is_upgrading: bool = False  #: an upgrade may be under way, also where no host looks at it
    is_undoing: bool = False
    has_failed: bool = False  #: also one that is being turned back because of that

    @property
    def holds_its_wave(self) -> bool:
        """Return whether the next wave waits for it.  One that is turned back and that no host can
        end now, as its guest cannot be entered, does not hold up the others.
        """
        return not self.is_ended and (self.is_held or not self.is_undoing)

    @property
    def is_load(self) -> bool:
        """Return whether its hosts are loaded: an upgrade goes on without a host of the bridge."""
        return not self.is_ended and (self.is_held or self.is_upgrading)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """Members that may be taken now, the first one first, and why the others wait."""

    takeable: tuple[str, ...]
    waits: Mapping[str, Wait]  #: of each member that has not ended and is not held
    stop: Stop | None
    failed: int = 0  #: that no operator has accepted
    members: int = 0

    def stop_told(self, rule: StopRule) -> str | None:
        """Return in words why no other member is begun; None: one may be."""
        if self.stop is None:
            return None
        if self.stop is Stop.CANARY_FAILED:
            return 'one of its canary has failed'
        return (
            f'{self.failed} of {self.members} have failed, and it goes on with '
            f'{rule.allowed(self.members)}'
        )


class RunStopped(exceptions.TroveUpgradeError):
    """A run has had more failures than it goes on with."""

    code = 'BRIDGE_RUN_STOPPED'
    template = (
        'Run {run_id} begins no other instance: {found}. Look at it with "trove-upgrade-bridge '
        'report {run_id}", mend the cause, and go on with "trove-upgrade-bridge resume {run_id} '
        '--accept-failures", or end it with "abort".'
    )


def deal(kinds: Sequence[Hashable], pace: Pace) -> list[int]:
    """Return the wave of each of these members.

    `kinds`: of each, what it has in common with others.  The canary takes one of each kind before a
    second one of any, so that it tells of as many kinds as it can.
    """
    seen: Counter[Hashable] = Counter()
    ranks: list[int] = []
    for kind in kinds:
        ranks.append(seen[kind])
        seen[kind] += 1
    order = sorted(range(len(kinds)), key=lambda number: ranks[number])
    canaries = set(order[: pace.canary])
    waves = [CANARY] * len(kinds)
    rest = [number for number in range(len(kinds)) if number not in canaries]
    size = pace.wave_size or max(len(rest), 1)
    for position, number in enumerate(rest):
        waves[number] = CANARY + 1 + position // size
    return waves


def stop_of(standings: Collection[Standing], pace: Pace, accepted: int) -> Stop | None:
    """Return why a run begins no other member; None: it does.

    `accepted`: failures that an operator has seen and goes on with.
    """
    failed = sum(one.has_failed for one in standings)
    if failed <= accepted:
        return None
    if sum(one.has_failed and one.wave == CANARY for one in standings) > accepted:
        return Stop.CANARY_FAILED
    if failed - accepted > pace.stop.allowed(len(standings)):
        return Stop.TOO_MANY_FAILED
    return None


def turn(standings: Collection[Standing], pace: Pace, accepted: int = 0) -> Turn:
    """Return who is next.

    `standings`: of all members of a run but those that were LEFT_OUT.
    """
    going = [one for one in standings if not one.is_ended]
    load = _Load(pace.limits, (one.hosts for one in going if one.is_load))
    stop = stop_of(standings, pace, accepted)
    wave = min((one.wave for one in going if one.holds_its_wave), default=None)
    free = sorted(
        (one for one in going if not one.is_held),
        key=lambda one: (not one.is_upgrading, _rank(one.tries), one.wave, one.instance_id),
    )

    def wait_of(one: Standing) -> Wait:
        if not one.is_begun:
            if stop is not None:
                return Wait.STOPPED
            if wave is not None and one.wave > wave:
                return Wait.WAVE
        return load.full(one.hosts, is_counted=one.is_load) or Wait.TURN

    waits = {one.instance_id: wait_of(one) for one in free}
    takeable = tuple(one for one, wait in waits.items() if wait is Wait.TURN)
    failed = sum(one.has_failed for one in standings)
    return Turn(
        takeable=takeable,
        waits=waits,
        stop=stop,
        failed=max(failed - accepted, 0),
        members=len(standings),
    )


def _rank(tries: int) -> int:
    """Return the place in the order: one that a host has left comes first, then what was never
    taken, and what was left again comes last.
    """
    return {0: 1, 1: 0}.get(tries, tries)


def has_room(hosts: Hosts, others: Iterable[Hosts], limits: Limits) -> Wait | None:
    """Return what is full at a hosts, beside the work on others; None: there is room."""
    return _Load(limits, others).full(hosts)


class _Load:
    """Members that are worked on, by host."""

    def __init__(self, limits: Limits, loaded: Iterable[Hosts]) -> None:
        self._limits = limits
        found = list(loaded)
        self._count = len(found)
        self._nodes = Counter(one.node for one in found if one.node is not None)
        self._hypervisors = Counter(one.hypervisor for one in found if one.hypervisor is not None)

    def full(self, hosts: Hosts, *, is_counted: bool = False) -> Wait | None:
        """Return the limit that is reached; `is_counted`: the member itself is among the load."""
        own = 1 if is_counted else 0
        if self._count - own >= self._limits.at_once:
            return Wait.AT_ONCE
        if hosts.node is not None and self._nodes[hosts.node] - own >= self._limits.per_node:
            return Wait.NODE
        hypervisor = hosts.hypervisor
        if hypervisor is not None and (
            self._hypervisors[hypervisor] - own >= self._limits.per_hypervisor
        ):
            return Wait.HYPERVISOR
        return None
