# SPDX-License-Identifier: Apache-2.0
"""Admission: which upgrade may begin, be retried or be rolled back.

The repository asks inside its transaction, with what it has read there.
"""

import dataclasses
import datetime
import enum

from trove_upgrade.domain import exceptions, instances, refusals, silence, states
from trove_upgrade.domain.progress import Way
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState


#: An upgrade that ended thus in its checks has changed nothing at its instance.
ENDED_UNTOUCHED = (_S.ABORTED, _S.FAILED)
UNTOUCHED_STEP = states.Step.PRECHECK


class RollbackLimit(enum.StrEnum):
    """The act up to which an upgrade can be led back to the former image.

    No clock ends it: the guest keeps its stash until the upgrade is COMPLETED or ROLLED_BACK.
    """

    RESTORE = 'restore'  #: the target's guest is told to restore, and may start its server
    RETRY = 'retry'  #: an operator retries the upgrade


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatestUpgrade:
    """The newest upgrade of an instance that may have changed anything there: not one that ended in
    its checks.
    """

    id: str
    has_failed: bool
    former_version_id: str
    error_code: str | None
    is_past_no_return: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewestUpgrade:
    """The upgrade of an instance that began last, whatever it did."""

    id: str
    state: states.UpgradeState
    error_code: str | None
    target_number: str


@dataclasses.dataclass(frozen=True)
class AgentHeard:
    """Time at which our agent in the guest was heard last, and whether that is lately enough."""

    seen_at: datetime.datetime | None  #: None: it never was
    is_lately: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakenInstance:
    """An instance as the transaction finds it that has just taken its task."""

    latest: LatestUpgrade | None
    backup_running: bool
    agent: AgentHeard | None  #: None: the precheck asks the guest itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundInstance:
    """An instance as the transaction finds it that could not take its task."""

    task: instances.Task
    has_server: bool
    newest: NewestUpgrade | None = None
    failed_upgrade_id: str | None = None  #: the newest that is FAILED
    failed_upgrade_code: str | None = None


def why_not_begin(
    target: instances.Instance, taken: TakenInstance
) -> exceptions.TroveUpgradeError | None:
    """Return why no upgrade of `target` may begin though its task could be taken; None: it may."""
    half = half_upgraded(target, taken.latest)
    if half is not None:
        return half
    if taken.backup_running:
        return exceptions.InstanceBusy(instance_id=target.id, status='BACKUP')
    if taken.agent is None or taken.agent.is_lately:
        return None
    kind = refusals.GuestAgentMissing
    seen_at = taken.agent.seen_at
    heard = kind.never if seen_at is None else kind.silent.format(seen_at=silence.moment(seen_at))
    return kind(instance_id=target.id, heard=heard)


def why_not_leave(
    target: instances.Instance, newest: NewestUpgrade | None, latest: LatestUpgrade | None
) -> exceptions.InstanceBusy | None:
    """Return why an upgrade may not be left to Trove's own: two at once would work on one volume.

    One of ours that has FAILED holds the instance as long as its task is that upgrade's, or its
    data may be half-upgraded; else nothing could end it.
    """
    if newest is not None and states.holds_instance(newest.state):
        return upgrade_in_the_way(target, newest)
    half = half_upgraded(target, latest)
    if half is not None:
        return half
    if (
        newest is not None
        and newest.state is _S.FAILED
        and target.task is instances.Task.UPGRADING_ERROR
    ):
        return _needs_retry(target, newest.id, newest.error_code)
    return None


def upgrade_in_the_way(
    target: instances.Instance, newest: NewestUpgrade | None
) -> exceptions.InstanceBusy:
    """Return why no upgrade may begin beside one that holds the instance."""
    if newest is None or newest.state in states.ENDED:
        return exceptions.InstanceBusy(instance_id=target.id, status='UPGRADE')
    kind = refusals.InstanceHeld if newest.state is _S.HELD else refusals.InstanceUpgrading
    return kind(
        instance_id=target.id,
        status='UPGRADE',
        upgrade_id=newest.id,
        target_number=newest.target_number,
    )


def half_upgraded(
    target: instances.Instance, latest: LatestUpgrade | None
) -> exceptions.InstanceNeedsRetry | None:
    """Return why no upgrade may begin, whatever the task: the new server may have been started on
    the data, and only the retry of the upgrade that did may start one there again.

    Not once the instance has another version than that upgrade began with: it would be refused its
    retry.
    """
    if (
        latest is None
        or not latest.has_failed
        or not latest.is_past_no_return
        or latest.former_version_id != target.version.id
    ):
        return None
    return _needs_retry(target, latest.id, latest.error_code)


def refusal(
    target: instances.Instance, found: FoundInstance | None, latest: LatestUpgrade | None
) -> exceptions.TroveUpgradeError:
    """Return why the task of `target` could not be taken.  `found` None: it is deleted."""
    if found is None:
        return exceptions.InstanceNotFound(instance_id=target.id)
    half = half_upgraded(target, latest)
    if half is not None:
        return half
    if found.task is instances.Task.UPGRADING_ERROR and found.failed_upgrade_id is not None:
        return _needs_retry(target, found.failed_upgrade_id, found.failed_upgrade_code)
    return _task_in_the_way(target, found)


def _task_in_the_way(
    target: instances.Instance, found: FoundInstance
) -> exceptions.TroveUpgradeError:
    if found.task is instances.Task.UPGRADING:  # of ours, or of Trove's own
        return upgrade_in_the_way(target, found.newest)
    if not found.has_server:
        if found.task is instances.Task.NONE:
            return refusals.InstanceHasNoServer(instance_id=target.id)
        return exceptions.InstanceBusy(instance_id=target.id, status='BUILD, it has no server')
    return exceptions.InstanceBusy(instance_id=target.id, status=status_of(found.task))


def retried(found: Upgrade) -> Upgrade:
    """Return the upgrade as its next attempt begins; one with a failed rollback goes to the
    target again.

    :raises RetryRefused, RetryLeadsBack, RetryOfLaterRelease: see `retry_obstacle`.
    """
    obstacle = retry_obstacle(found)
    if obstacle is not None:
        raise obstacle
    return found.turned_forward() if found.is_rolling_back else found


def retry_obstacle(found: Upgrade) -> exceptions.TroveUpgradeError | None:
    """Return why the upgrade cannot be retried: RetryRefused, it has not FAILED; RetryLeadsBack,
    the former server may have written since; RetryOfLaterRelease, it is at a step of one.
    """
    if found.state is not _S.FAILED:
        return retry_refused(found)
    if found.is_rolling_back:
        if found.may_have_served_again:
            return exceptions.RetryLeadsBack(upgrade_id=found.id)
        return None
    if not found.step.is_known:
        return exceptions.RetryOfLaterRelease(upgrade_id=found.id, step=found.step)
    return None


def rolled_back(found: Upgrade) -> Upgrade:
    """Return the upgrade as its way back begins, or goes on.

    :raises RollbackRefused: see `rollback_obstacle`.
    """
    obstacle = rollback_obstacle(found)
    if obstacle is not None:
        raise obstacle
    if found.is_rolling_back:
        return found
    return found.turned_back(found.cause, found.error_code)


def rollback_obstacle(found: Upgrade) -> exceptions.RollbackRefused | None:
    """Return why an operator cannot roll the upgrade back: it has not FAILED, the way is not open,
    or a rollback stands at a step of a later release.
    """
    if found.state is not _S.FAILED:
        return rollback_refused(found)
    obstacle = why_no_rollback(found)
    if obstacle is not None:
        advice = (
            'Mend the cause and retry it: by the action, or with "trove-upgrade-manage upgrade '
            f'retry {found.id}".'
        )
        return exceptions.RollbackRefused(upgrade_id=found.id, found=obstacle, advice=advice)
    if found.is_rolling_back and not found.step.is_known:
        return exceptions.RollbackRefused(
            upgrade_id=found.id,
            found=f'it failed at {found.step}, a step of a later release',
            advice='Roll it back with the tools of that release, while its taskmanagers run.',
        )
    return None


def rollback_possible_until(found: Upgrade) -> RollbackLimit | None:
    """Return up to which act the former image can serve again on untouched data, by a rollback;
    None: no more, not yet, or it is on its way there.
    """
    if found.state is _S.FAILED:
        is_deleted = found.error_code == exceptions.InstanceDeleted.code
        is_possible = not is_deleted and rollback_obstacle(found) is None
        return RollbackLimit.RETRY if is_possible else None
    if found.state is not _S.RUNNING or found.is_rolling_back:
        return None
    return RollbackLimit.RESTORE if why_no_rollback(found) is None else None


def why_no_rollback(found: Upgrade) -> str | None:
    """Return what stands in the way of the former image, as far as its row knows;
    None: nothing does.
    """
    if found.no_return:
        return (
            'the new server may have been started on its data, '
            'so that the former one could damage it'
        )
    progress = found.progress
    is_undone = progress.direction.way is Way.UNDOING
    if progress.rebuild.accepted_in_attempt is None or is_undone:
        return 'Nova has not accepted a rebuild, so that there is nothing to go back from'
    if found.former_image_id is None:
        return 'the image that its server had is not known, as where it is booted from a volume'
    if progress.former.cannot_return:
        return (
            'what told its guest which instance it is, or our agent itself, was on its former root '
            'disk alone, and no agent of ours is recorded for its former image, so that this image '
            'would boot no guest that could restore anything'
        )
    if not progress.quiesce.info:
        return 'the former guest kept nothing that could be restored'
    return None


def may_continue_untasked(failed: Upgrade, latest: LatestUpgrade | None) -> bool:
    """Return whether a retry may take an instance without a task.

    Where the new server may have been started on the data nothing but a retry leads out, and an
    action of Trove's that takes the task in between (its admin rebuild) sets it to NONE at its own
    end.
    """
    return failed.no_return and latest is not None and latest.id == failed.id


def retry_refused(found: Upgrade) -> exceptions.RetryRefused:
    """Return the error for one that is not FAILED, or no more."""
    advice = _advice(found.state, 'Begin a new one with "trove upgrade".')
    return exceptions.RetryRefused(upgrade_id=found.id, state=found.state, advice=advice)


def rollback_refused(found: Upgrade) -> exceptions.RollbackRefused:
    """Return the error for one that is not FAILED, or no more."""
    return exceptions.RollbackRefused(
        upgrade_id=found.id,
        found=f'it is {found.state}, and only a FAILED one can',
        advice=_advice(found.state, 'The former version serves: there is nothing left to do.'),
    )


_ADVICE = {
    _S.PENDING: 'It has not begun yet: wait.',
    _S.RUNNING: 'It goes on by itself: wait.',
    _S.HELD: 'It is held: let it proceed, or abort it.',
    _S.COMPLETED: 'There is nothing left to do.',
}


def _advice(state: states.UpgradeState, of_an_end: str) -> str:
    if not state.is_known:
        return 'A later release has written this state: use the tools of that release.'
    return _ADVICE.get(state, of_an_end)


def _needs_retry(
    target: instances.Instance, upgrade_id: str, error_code: str | None
) -> exceptions.InstanceNeedsRetry:
    return exceptions.InstanceNeedsRetry(
        instance_id=target.id, status='ERROR', upgrade_id=upgrade_id, error_code=error_code
    )


#: Source: trove/instance/models.py, SimpleInstance.status (Trove 26).
_STATUSES = {
    'BUILDING': 'BUILD',
    'REBOOTING': 'REBOOT',
    'RESIZING': 'RESIZE',
    'UPGRADING': 'UPGRADE',
    'PROMOTING': 'PROMOTE',
    'EJECTING': 'EJECT',
    'DETACHING': 'DETACH',
    'DELETING': 'SHUTDOWN',
    'NONE': 'not the one that it was a moment ago, another action has just changed it',
}


def status_of(task: instances.Task) -> str:
    """Return the status that Trove shows for a task."""
    if task.name.endswith('_ERROR') or '_ERROR_' in task.name:
        return 'ERROR'
    return _STATUSES.get(task.name, task.name)
