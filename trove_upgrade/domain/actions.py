# SPDX-License-Identifier: Apache-2.0
"""Actions on an upgrade: which are possible now, which have been taken already, and why the others
are not.

The repository asks here, with what it has read of the instance: for a verdict that the API and
`trove-upgrade-manage` show, and once more inside the transaction of the action.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trove_upgrade.domain import admission, refusals, states
from trove_upgrade.domain.exceptions import TroveUpgradeError
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState

#: How long a guest may take to undo its part, unless an operator has set it.
UNDO_SECONDS = 3600.0


class Action(enum.StrEnum):
    """Actions that a user or an operator can take on an upgrade."""

    ABORT = 'abort'  #: give it up before the rebuild
    PROCEED = 'proceed'  #: end its hold
    RETRY = 'retry'  #: try one that has FAILED again
    ROLLBACK = 'rollback'  #: lead one that has FAILED back to the former image


class Reason(enum.StrEnum):
    """Codes of a verdict that no refusal has."""

    POSSIBLE = 'ACTION_POSSIBLE'
    FORBIDDEN = 'FORBIDDEN_BY_POLICY'
    TAKEN = 'ACTION_TAKEN'  #: its effect is under way, or done: asking again changes nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Judgement of an action on an upgrade as it is now."""

    action: Action
    allowed: bool
    code: str
    sentence: str  #: what it would do; or why not, and what can be done instead


@dataclasses.dataclass(frozen=True)
class Taken:
    """An upgrade after an action."""

    upgrade: Upgrade
    is_new: bool  #: False: the action was taken before, and nothing was changed


class UpgradeActions(Protocol):
    """Port of the actions, each in one transaction."""

    def take(self, action: Action, upgrade_id: str, project_id: str | None = None) -> Taken:
        """Take an action, unless it is taken already.

        :raises UpgradeNotFound: none, or of another project than `project_id` where that is given.
        :raises AbortRefused, ProceedRefused, RetryRefused, RollbackRefused: its state does not
            allow it; nothing was written.
        :raises InstanceBusy, InstanceChanged: the instance does not; nothing was written.
        """

    def verdicts(self, found: Upgrade) -> Sequence[Verdict]:
        """Judge each action as `take` would now, by the upgrade and by its instance."""

    def instance_obstacle(self, found: Upgrade) -> TroveUpgradeError | None:
        """Return what its instance does not allow of one that is HELD or FAILED; None: nothing."""

    def expire(self, held: Upgrade, cause: str, error_code: str) -> Upgrade:
        """HELD -> ABORTED, for that reason.

        :raises ActionOvertaken: it is HELD no more; nothing was written.
        """


class UpgradeHolds(Protocol):
    """Port of the holds: begun by the holder of the lease, then held by none."""

    def hold(self, held: Upgrade, look_in_seconds: float) -> Upgrade:
        """RUNNING -> HELD, the instance's task UPGRADING -> NONE, 'held' event: one transaction.

        :raises LeaseLost: overtaken; nothing was written.
        :raises InstanceChanged: another action has the instance; nothing was written.
        """

    def due(self, limit: int) -> Sequence[Turn]:
        """Return those that are HELD and are to be looked at now, the oldest first."""

    def look_again(self, upgrade_id: str, seconds: float) -> None:
        """Let one that is HELD be looked at that many seconds from now."""

    def stay(self, held: Upgrade, seconds: float, why: str) -> None:
        """Look at it again as `look_again` does, and record why it did not proceed at its time; one
        that is HELD no more stays as it is.
        """


_OF_LATER_RELEASE = 'A later release has written this: use the tools of that release.'
_AFTER_ITS_END = {
    _S.COMPLETED: 'The new version serves: there is nothing left to do.',
    _S.ABORTED: 'The former version serves. Begin a new one.',
    _S.ROLLED_BACK: 'The former version serves. Begin a new one.',
    _S.FAILED: 'When the cause is mended it can be retried, or rolled back.',
}


def abort_obstacle(found: Upgrade) -> refusals.AbortRefused | None:
    """Return why the upgrade cannot be aborted: Nova was asked for the rebuild, a step of a later
    release works on it, or it has ended.
    """
    if found.state in {_S.PENDING, _S.HELD}:
        return None
    if found.state is not _S.RUNNING:
        why, advice = f'it is {found.state}', _after(found.state)
    elif not found.step.is_known:
        why, advice = f'it is at {found.step}, a step of a later release', _OF_LATER_RELEASE
    elif found.can_be_undone:
        return None
    else:
        why, advice = _after_the_rebuild(found)
    return refusals.AbortRefused(upgrade_id=found.id, found=why, advice=advice)


def _after_the_rebuild(found: Upgrade) -> tuple[str, str]:
    """Return why one that runs cannot be undone any more, and what can be done instead."""
    if found.is_rolling_back:
        return 'it goes back to the former image already', 'Wait until it is ROLLED_BACK.'
    if found.no_return:
        return (
            'the new server may have been started on its data',
            'Wait for its end; if it is FAILED then, it can be retried.',
        )
    return (
        'Nova was asked to rebuild its server',
        'Wait for its end; if it is FAILED then, it can be rolled back or retried.',
    )


def proceed_obstacle(found: Upgrade) -> refusals.ProceedRefused | None:
    """Return why the upgrade cannot proceed: it is not held."""
    if found.state is _S.HELD:
        return None
    if found.state not in states.WORKED_ON:
        advice = _after(found.state)
    elif found.is_to_be_held:
        advice = 'Wait until it is HELD: its checks are being made.'
    else:
        advice = 'It goes on by itself: wait.'
    return refusals.ProceedRefused(
        upgrade_id=found.id,
        found=f'it is {found.state}, and only one that is HELD can',
        advice=advice,
    )


def _after(state: states.UpgradeState) -> str:
    return _AFTER_ITS_END.get(state, _OF_LATER_RELEASE)


_OBSTACLES: Mapping[Action, Callable[[Upgrade], TroveUpgradeError | None]] = {
    Action.ABORT: abort_obstacle,
    Action.PROCEED: proceed_obstacle,
    Action.RETRY: admission.retry_obstacle,
    Action.ROLLBACK: admission.rollback_obstacle,
}
_WOULD = {
    Action.ABORT: 'It is given up before its server is rebuilt: the former version serves.',
    Action.PROCEED: 'Its checks are made anew, then its database is stopped and upgraded.',
    Action.RETRY: 'It goes to the target version again, in another attempt.',
    Action.ROLLBACK: 'Its server is rebuilt with the former image, and the former version serves.',
}
_TAKEN = {
    Action.ABORT: 'It is being given up, or has been: the former version serves.',
    Action.PROCEED: 'It has proceeded already.',
    Action.RETRY: 'It was retried already.',
    Action.ROLLBACK: 'It goes back to the former image, or has come there.',
}


def is_taken(action: Action, found: Upgrade) -> bool:
    """Return whether the action's effect is under way or done, so that nothing is to be changed."""
    match action:
        case Action.ABORT:
            undone = found.state is _S.RUNNING and found.is_undoing
            return undone or found.state is _S.ABORTED
        case Action.PROCEED:
            proceeded = found.progress.hold.over_at is not None and not found.is_undoing
            return proceeded and found.state in {_S.RUNNING, _S.COMPLETED}
        case Action.RETRY:
            forward = found.attempt > 1 and not found.is_rolling_back and not found.is_undoing
            return forward and found.state in {_S.RUNNING, _S.COMPLETED}
        case Action.ROLLBACK:
            return found.is_rolling_back and found.state in {_S.RUNNING, _S.ROLLED_BACK}


def refusal(action: Action, found: Upgrade) -> TroveUpgradeError | None:
    """Return why the action cannot be taken; None: it can, or `is_taken`."""
    return None if is_taken(action, found) else _OBSTACLES[action](found)


def verdict(
    action: Action, found: Upgrade, of_instance: TroveUpgradeError | None = None
) -> Verdict:
    """Return what the action would do, as a user is told.

    `of_instance`: what the instance does not allow. An abort takes nothing of it.
    """
    if is_taken(action, found):
        return Verdict(action=action, allowed=False, code=Reason.TAKEN, sentence=_TAKEN[action])
    obstacle = _OBSTACLES[action](found)
    if obstacle is None and action is not Action.ABORT:
        obstacle = of_instance
    if obstacle is not None:
        return Verdict(action=action, allowed=False, code=obstacle.code, sentence=obstacle.message)
    return Verdict(action=action, allowed=True, code=Reason.POSSIBLE, sentence=_WOULD[action])
