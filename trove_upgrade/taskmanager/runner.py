# SPDX-License-Identifier: Apache-2.0
"""The runner: claim an upgrade, run its step, commit, go on; a step that waits lets go of it.

Whatever dies between two commits is found again by the next claim: steps look at
the world before they act.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping

from trove_upgrade.domain import admission, exceptions, holds, logs, ports, stalls, states
from trove_upgrade.domain.actions import UpgradeHolds
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.events import EventKind
from trove_upgrade.domain.instances import ServiceStatus
from trove_upgrade.domain.metrics import NO_METRICS, Metrics
from trove_upgrade.domain.outcomes import Broken, Done, GoTo, Outcome, Wait, WaitReason
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.endings import Endings
from trove_upgrade.taskmanager.holdings import Holdings
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.step_runner import RunnableStep, StepRunner

LOG = logs.get_logger(__name__)

_S = states.UpgradeState
_WORK = 'An upgrade could not be worked on until its lease has run out'

#: With these a guest itself has told that its database does not serve.
_TOLD_DOWN = frozenset({Code.DATABASE_NOT_SERVING, Code.UNDO_NOT_SERVING})


@dataclasses.dataclass(frozen=True)
class _GoesOn:
    """The upgrade is saved, and this taskmanager holds it still."""

    upgrade: Upgrade


@dataclasses.dataclass(frozen=True)
class _Stops:
    """The upgrade is let go of: it has ended (None), or is to be run again."""

    again: Again | None = None


_Next = _GoesOn | _Stops
_ENDED = _Stops()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs one upgrade at a time; safe to share between threads."""

    upgrades: ports.UpgradeRepository
    instances: ports.InstanceRepository
    steps: Mapping[states.Step, RunnableStep]
    undo: RunnableStep
    step_runner: StepRunner
    endings: Endings
    held: UpgradeHolds
    clock: ports.Clock
    holdings: Holdings
    #: the operator's choice, where the user has made none: what fails with its data untouched goes
    #: back by itself
    rolls_back: bool = False
    #: False beside a taskmanager of an earlier release: its end would go before the opening
    tells_openings: Callable[[], bool] = lambda: True
    longest_hold_seconds: float = holds.LONGEST_SECONDS
    is_stopping: Callable[[], bool] = lambda: False
    outages: Outages = dataclasses.field(default_factory=Outages)
    metrics: Metrics = NO_METRICS

    def run(self, upgrade_id: str) -> Again | None:
        """Run it until it waits or ends.  Return when it is to be run again; None: not by this
        process.

        Never raises: the edge of a worker's thread.
        """
        with contextlib.ExitStack() as request:
            try:
                with self.holdings.claimed(upgrade_id, self.upgrades.claim) as upgrade:
                    request.enter_context(logs.of_request(upgrade.request_id))
                    if upgrade.generation == 1:
                        _log_first_claim(upgrade)
                        self.endings.on_event()
                    again = self._work(upgrade)
            except exceptions.LeaseLost as error:
                LOG.debug('%s', error.message)
                return None
            except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
                self.outages.met(_WORK, error, row=upgrade_id)
                return None
        self.outages.over(_WORK)
        return again

    def _work(self, upgrade: Upgrade) -> Again | None:
        while True:
            upgrade = self._begin(upgrade)
            step = self.undo if upgrade.is_undoing else self.steps[upgrade.step]
            self.holdings.works(upgrade.id, step.hold_seconds)
            began = self.clock.monotonic()
            result = self.step_runner.run(upgrade, step)
            result = _counted(result, self.clock.monotonic() - began)
            following = self._commit(upgrade, result)
            if isinstance(following, _Stops):
                return following.again
            if self.is_stopping():
                self.upgrades.save(following.upgrade, release_for_seconds=0)
                return None
            upgrade = following.upgrade

    def _begin(self, upgrade: Upgrade) -> Upgrade:
        """Journal the beginning of a step or of a new attempt, if it has not been."""
        if upgrade.is_undoing or upgrade.current_run is not None:
            return upgrade
        upgrade = upgrade.renewed()
        step = upgrade.step
        is_new_attempt = all(run.attempt != upgrade.attempt for run in upgrade.steps)
        tells = step not in states.BEFORE_REBUILD and is_new_attempt
        return self.upgrades.save(self._at(upgrade, step), status=self._status(tells=tells))

    def _status(self, *, tells: bool) -> ServiceStatus | None:
        """Return the service status that is written with the row: that of an upgrade, or none."""
        return self.endings.with_a_save(ServiceStatus.UPGRADING) if tells else None

    def _at(self, upgrade: Upgrade, step: states.Step) -> Upgrade:
        LOG.info(
            'Upgrade %s of instance %s: RUNNING at %s, was %s, attempt %d',
            upgrade.id,
            upgrade.instance_id,
            step,
            upgrade.steps[-1].step if upgrade.steps else 'PENDING',
            upgrade.attempt,
        )
        return upgrade.began(step, self.clock.now(), self.steps[step].timeout_seconds)

    def _commit(self, before: Upgrade, result: Outcome | Broken) -> _Next:
        match result:
            case Broken():
                return self._broken_off(result.upgrade, result.error)
            case Done():
                return self._done(result.upgrade, result.message)
            case GoTo():
                upgrade = self._ended(result.upgrade, states.StepOutcome.REPEATED, result.message)
                return self._waits(self._at(upgrade, result.step), result.seconds)
            case Wait():
                upgrade = result.upgrade.ran(result.message, result.percent)
                # with the row that tells of it: an end before this leaves the status that stood
                # there, and so does an abort
                tells = upgrade.guest_told_in_attempt != before.guest_told_in_attempt
                rests = result.reason is WaitReason.SILENT_GUEST
                return self._waits(upgrade, result.seconds, rests=rests, tells=tells)

    def _waits(
        self, upgrade: Upgrade, seconds: float, *, rests: bool = False, tells: bool = False
    ) -> _Next:
        status = self._status(tells=tells)
        if seconds <= 0:
            return _GoesOn(self.upgrades.save(upgrade, status=status))
        self.upgrades.save(upgrade, release_for_seconds=seconds, status=status)
        return _Stops(Again(seconds, is_slow=upgrade.stalls > 0, rests=rests))

    def _done(self, upgrade: Upgrade, message: str | None) -> _Next:
        if upgrade.is_undoing:
            self._end_with(upgrade, _S.ABORTED)
            return _ENDED
        upgrade = self._ended(upgrade, states.StepOutcome.DONE, message)
        if upgrade.step is states.Step.PRECHECK and upgrade.is_to_be_held:
            return self._hold(upgrade)
        following = states.next_step(upgrade.step)
        if following is not None:
            return _GoesOn(self._saved_on_its_way(upgrade, following))
        self._end_with(upgrade, _S.ROLLED_BACK if upgrade.is_rolling_back else _S.COMPLETED)
        return _ENDED

    def _hold(self, upgrade: Upgrade) -> _Next:
        """Let it wait; where the time that was waited for has come already, go on."""
        now = self.clock.now()
        plan = holds.plan(upgrade.progress.choices, now, self.longest_hold_seconds)
        if plan is None:
            onward = upgrade.evolve(progress=upgrade.progress.hold_over(now))
            return _GoesOn(self._saved_on_its_way(onward, states.Step.QUIESCE))
        waits = upgrade.evolve(progress=upgrade.progress.held(now, plan.until))
        try:
            self.held.hold(waits, plan.look_in_seconds)
        except exceptions.InstanceChanged as error:
            return self._broken_off(upgrade, exceptions.StepRefused(error.message, error.code))
        LOG.info(
            'Upgrade %s of instance %s: HELD until %s, was RUNNING at %s, attempt %d',
            upgrade.id,
            upgrade.instance_id,
            plan.until.isoformat(timespec='seconds'),
            upgrade.step,
            upgrade.attempt,
        )
        self.endings.on_event()
        return _ENDED

    def _saved_on_its_way(self, upgrade: Upgrade, following: states.Step) -> Upgrade:
        """Save it at its next step, and tell listeners in the same write that clients are let in
        again, once in an attempt.
        """
        is_opening = upgrade.is_open_untold and upgrade.step is states.Step.RESTORE
        if not is_opening or not self.tells_openings():
            return self.upgrades.save(self._at(upgrade, following))
        told = upgrade.evolve(progress=upgrade.progress.open_told(upgrade.attempt))
        saved = self.upgrades.save(self._at(told, following), event=EventKind.OPEN)
        self.endings.on_event()
        return saved

    def _end_with(self, upgrade: Upgrade, state: states.UpgradeState) -> None:
        """End with a database that serves, and with the reason of the direction if it has one."""
        direction = upgrade.progress.direction
        self.endings.write(
            upgrade,
            state,
            cause=direction.cause,
            error_code=direction.error_code,
            status=ServiceStatus.HEALTHY,
        )

    def _broken_off(self, upgrade: Upgrade, error: exceptions.TroveUpgradeError) -> _Next:
        """End an upgrade that was broken off: undone, failed, or, where the instance is deleted,
        without asking a guest that is gone or going.
        """
        is_going = self.instances.holder(upgrade.instance_id).is_going
        if isinstance(error, exceptions.InstanceDeleted) or is_going:
            upgrade = self._ended(upgrade, states.StepOutcome.FAILED, error.message)
            self.endings.write(upgrade, _S.FAILED, error_code=error.code)
            return _ENDED
        if isinstance(error, exceptions.StepRefused):
            return self._refused(upgrade, error)
        return self._failed(upgrade, error)

    def _refused(self, upgrade: Upgrade, error: exceptions.StepRefused) -> _Next:
        """Give up an upgrade that has rebuilt nothing, and let the guest undo what it has done."""
        if upgrade.is_undoing or upgrade.former_guest_is_gone:
            return self._failed(upgrade, error)
        upgrade = self._ended(upgrade, states.StepOutcome.REFUSED, error.message)
        if upgrade.guest_told_in_attempt is None:
            down = isinstance(error, exceptions.NotServingBefore)
            self.endings.write(
                upgrade,
                _S.ABORTED,
                cause=error.message,
                error_code=error.code,
                status=ServiceStatus.SHUTDOWN if down else None,
            )
            return _ENDED
        LOG.info(
            'Upgrade %s of instance %s: undoing, was %s, attempt %d: %s',
            upgrade.id,
            upgrade.instance_id,
            upgrade.step,
            upgrade.attempt,
            error.message,
        )
        given_up = upgrade.progress.given_up(upgrade.attempt, error.message, error.code)
        upgrade = upgrade.evolve(progress=given_up)
        return _GoesOn(
            self.upgrades.save(upgrade.due_in(self.undo.timeout_seconds, self.clock.now()))
        )

    def _failed(self, upgrade: Upgrade, error: exceptions.TroveUpgradeError) -> _Next:
        """End a failed upgrade; or, where the operator chose so and the data is untouched, turn it
        back.
        """
        upgrade = self._ended(upgrade, states.StepOutcome.FAILED, error.message)
        if self._turns_back(upgrade):
            LOG.warning(
                'Upgrade %s of instance %s: rolling back, was %s, attempt %d: %s: %s',
                upgrade.id,
                upgrade.instance_id,
                upgrade.step,
                upgrade.attempt,
                error.code,
                error.message,
            )
            back = upgrade.turned_back(error.message, error.code)
            return _GoesOn(self.upgrades.save(self._at(back, back.step)))
        status = None
        if upgrade.guest_told_in_attempt is not None:
            down = error.code in _TOLD_DOWN
            status = ServiceStatus.SHUTDOWN if down else ServiceStatus.UNKNOWN
        self.endings.write(
            upgrade,
            _S.FAILED,
            cause=_whole_cause(upgrade, error),
            error_code=error.code,
            status=status,
        )
        return _ENDED

    def _turns_back(self, upgrade: Upgrade) -> bool:
        return (
            upgrade.progress.choices.rolls_back(self.rolls_back)
            and upgrade.step in states.MAY_TURN_BACK
            and not upgrade.is_undoing
            and not upgrade.is_rolling_back
            and admission.why_no_rollback(upgrade) is None
        )

    def _ended(self, upgrade: Upgrade, outcome: states.StepOutcome, message: str | None) -> Upgrade:
        ended = upgrade.step_ended(self.clock.now(), outcome, message)
        if upgrade.current_run is not None:
            self.metrics.step_ended(ended.steps[-1])
        return ended


def _counted(result: Outcome | Broken, seconds: float) -> Outcome | Broken:
    """Add the stalls after a run of so many seconds. It is written with what the run found."""
    reason = result.reason if isinstance(result, Wait) else WaitReason.WORK
    if reason is WaitReason.OUTAGE:
        return result
    slow = reason is WaitReason.SILENT_GUEST or seconds >= stalls.SLOW_SECONDS
    count = stalls.after(result.upgrade.stalls, kept_waiting=slow)
    return dataclasses.replace(result, upgrade=result.upgrade.evolve(stalls=count))


def _whole_cause(upgrade: Upgrade, error: exceptions.TroveUpgradeError) -> str:
    """Return the cause, with the reason for the way on which the upgrade has failed."""
    cause = upgrade.progress.direction.cause
    if upgrade.is_undoing:
        return f'{error.message} It was to be undone because: {cause}'
    if upgrade.is_rolling_back:
        return f'{error.message} It was to be rolled back because: {cause}'
    return error.message


def _log_first_claim(upgrade: Upgrade) -> None:
    LOG.info(
        'Upgrade %s of instance %s: RUNNING, was PENDING; version %s, attempt %d',
        upgrade.id,
        upgrade.instance_id,
        upgrade.target_number,
        upgrade.attempt,
    )
