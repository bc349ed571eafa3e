# SPDX-License-Identifier: Apache-2.0
"""The states and steps of an upgrade, and which may follow which.

Names are stored in rows and shown to users: neither a state nor a step is
ever renamed once released.
"""

import enum
import re
from typing import Any, Self

from trove_upgrade.domain import exceptions

#: Names of steps, outcomes and states, of later releases too.
_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]{0,63}')


class Extensible(enum.StrEnum):
    """Names that a later release may add to: `Step('warm_up')` is a value that no member is, and
    that is stored and shown as it was read.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not is_name(value):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = str(value).upper()
        unknown._value_ = str(value)
        return unknown

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Enum of Python 3.11 would look for a member of this name; `dataclasses.asdict` copies."""
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return type(self), (self._value_,)

    @property
    def is_known(self) -> bool:
        """Return whether this release has it."""
        return self._value_ in type(self)._value2member_map_


def is_name(value: object) -> bool:
    """Return whether `value` can be the name of a step or an outcome of some release."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


class UpgradeState(Extensible):
    """States of an upgrade, as users see it."""

    PENDING = 'PENDING'  #: accepted by the API; no taskmanager has claimed it yet
    RUNNING = 'RUNNING'  #: claimed at least once; the step says how far it is
    HELD = 'HELD'  #: checked and waits; the database serves, nothing of its guest is changed
    COMPLETED = 'COMPLETED'  #: verify passed; the instance's datastore_version_id names the target
    ABORTED = 'ABORTED'  #: ended before the rebuild; the database serves as before
    ROLLED_BACK = 'ROLLED_BACK'  #: the former image runs again on untouched data
    FAILED = 'FAILED'  #: needs an operator; cause and error_code say why


class Step(Extensible):
    """Steps of a taskmanager, in this order."""

    PRECHECK = 'precheck'
    QUIESCE = 'quiesce'
    REBUILD = 'rebuild'
    BOOT = 'boot'
    RESTORE = 'restore'
    VERIFY = 'verify'


STEPS: tuple[Step, ...] = tuple(Step)


class StepOutcome(Extensible):
    """The end of one run of a step, as the history of an upgrade has it."""

    DONE = 'done'
    REFUSED = 'refused'  #: nothing that matters has been changed
    FAILED = 'failed'
    REPEATED = 'repeated'  #: an earlier step has to be run again first


#: The steps of the former guest: Nova has not been asked for anything.
BEFORE_REBUILD: frozenset[Step] = frozenset({Step.PRECHECK, Step.QUIESCE})

#: From what fails here there may be a way back to the former image.
MAY_TURN_BACK: frozenset[Step] = frozenset({Step.REBUILD, Step.BOOT, Step.RESTORE})

#: These wait for a heartbeat and call no guest, so that none tells them that it is being deleted.
WITHOUT_CALLS: frozenset[Step] = frozenset({Step.BOOT})

_S = UpgradeState

#: A state that is a key with an empty set is final.
MOVES: dict[UpgradeState, frozenset[UpgradeState]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.ABORTED}),
    _S.RUNNING: frozenset({_S.HELD, _S.COMPLETED, _S.ABORTED, _S.ROLLED_BACK, _S.FAILED}),
    _S.HELD: frozenset({_S.RUNNING, _S.ABORTED}),
    _S.FAILED: frozenset({_S.RUNNING}),  # an operator's retry or rollback, nothing else
    _S.COMPLETED: frozenset(),
    _S.ABORTED: frozenset(),
    _S.ROLLED_BACK: frozenset(),
}

#: An upgrade in one of these holds its instance: no second one may begin.
ACTIVE: frozenset[UpgradeState] = frozenset({_S.PENDING, _S.RUNNING, _S.HELD})

#: One in these has its instance's task, and a taskmanager works on it.  Not on one that is HELD:
#: its instance is free for other actions than upgrades.
WORKED_ON: frozenset[UpgradeState] = ACTIVE - {_S.HELD}

#: An attempt that has come to one of these has an end: an event says so,
#: and no taskmanager works on it.
ENDED: frozenset[UpgradeState] = frozenset(_S) - ACTIVE


def holds_instance(state: UpgradeState) -> bool:
    """Return whether an upgrade in this state keeps others from its instance; one of a later
    release does, as nothing is known of it.
    """
    return state in ACTIVE or not state.is_known


def check_move(current: UpgradeState, new: UpgradeState) -> None:
    """Refuse a move that no rule knows.

    :raises IllegalMove: `new` cannot follow `current`.
    """
    allowed = MOVES.get(current, frozenset())
    if new not in allowed:
        raise exceptions.IllegalMove(current=current, new=new, allowed=sorted(allowed) or 'nothing')


def order(step: Step) -> int:
    """The place of a step among all; one of a later release comes last."""
    return STEPS.index(step) if step.is_known else len(STEPS)


def next_step(step: Step) -> Step | None:
    """The step after `step`; None after the last one."""
    position = STEPS.index(step) + 1
    return STEPS[position] if position < len(STEPS) else None
