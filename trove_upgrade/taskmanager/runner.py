# SPDX-License-Identifier: Apache-2.0
"""The runner: claim a row, run its step, commit, go on; a step that waits lets go of the row.

Whatever dies between two commits is found again by the next claim: steps look at
the world before they act.
"""

import dataclasses
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from trove_upgrade.domain import exceptions, logs, origin, ports, silence, stalls, states, upgrade
from trove_upgrade.taskmanager import journal
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.steps import outcome, precheck, quiesce, rebuild, undo

LOG = logs.get_logger(__name__)

_S = states.UpgradeState
_WORK = 'An upgrade could not be worked on until its lease has run out'

_ASKED_AGAIN = 'It is asked again.'
#: An unexpected error: the row rests this long, so that a fault of ours makes no storm.
_CRASH_SECONDS = 5.0

#: From what fails here there may be a way back to the former image.
_MAY_TURN_BACK = frozenset({states.Step.REBUILD, states.Step.BOOT, states.Step.RESTORE})

#: Service statuses as Trove calls them (service_statuses.status_description).
_UPGRADING, _SERVES, _DOWN, _NOBODY_KNOWS = 'upgrading', 'healthy', 'shutdown', 'unknown'
#: With these a guest itself has said that its database does not serve.
_SAID_DOWN = frozenset({precheck.NOT_SERVING, undo.NOT_SERVING})


@dataclasses.dataclass(frozen=True)
class _Unanswered(outcome.Wait):
    """A guest gave no answer: the row rests."""


@dataclasses.dataclass(frozen=True)
class _Outage(outcome.Wait):
    """Nova or the broker gave none: nothing is known of this guest, nothing is counted, and a nudge
    may come sooner.
    """


_Result = outcome.Done | outcome.Wait | exceptions.TroveUpgradeError


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs one row at a time; safe to share between threads."""

    upgrades: ports.UpgradeRepository
    instances: ports.InstanceRepository
    guests: ports.GuestRepository
    steps: Mapping[states.Step, outcome.Step]
    undo: outcome.Step
    clock: ports.Clock
    owner: str
    lease_seconds: float
    writes_service_status: bool
    on_event: Callable[[], None]  #: called when there is something in the outbox
    rolls_back: bool = (
        False  #: the operator's choice: what fails with its data untouched goes back by itself
    )
    is_stopping: Callable[[], bool] = lambda: False
    outages: Outages = dataclasses.field(default_factory=Outages)
    longest_rest_seconds: float = 30.0  #: after calls without answer
    uniform: stalls.Uniform = random.uniform

    def run(self, upgrade_id: str) -> Again | None:
        """Run the row until it waits or ends.  When it wants to be looked at; None: not by us.

        Never raises: the edge of a worker's thread.
        """
        try:
            row = self.upgrades.claim(upgrade_id, self.owner, self.lease_seconds)
            if row.generation == 1:
                LOG.info(
                    'Upgrade %s of instance %s: RUNNING, was PENDING; version %s, attempt %d',
                    row.id,
                    row.instance_id,
                    row.target_number,
                    row.attempt,
                )
                self.on_event()
            again = self._work(row)
        except exceptions.LeaseLost as error:
            LOG.debug('%s', error.message)
            return None
        except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
            self.outages.met(_WORK, error, row=upgrade_id)
            return None
        self.outages.over(_WORK)
        return again

    def _work(self, row: upgrade.Upgrade) -> Again | None:
        held = self.lease_seconds
        while True:
            row = self._begin(row)
            step = self._step(row)
            if step.hold_seconds > held:
                row, held = self.upgrades.renew(row, step.hold_seconds), step.hold_seconds
            began = self.clock.monotonic()
            result = self._run(row, step)
            row = self._counted(row, result, self.clock.monotonic() - began)
            committed = self._commit(row, result)
            if not isinstance(committed, upgrade.Upgrade):
                return committed
            if self.is_stopping():
                self.upgrades.save(committed, release_for_seconds=0)
                return None
            row, held = self.upgrades.renew(committed, self.lease_seconds), self.lease_seconds

    @staticmethod
    def _counted(row: upgrade.Upgrade, result: _Result, seconds: float) -> upgrade.Upgrade:
        """With the stalls after a run of so many seconds.  It is written
        with what the run found.
        """
        if isinstance(result, _Outage):
            return row
        kept_waiting = isinstance(result, _Unanswered) or seconds >= stalls.SLOW_SECONDS
        return row.evolve(stalls=stalls.after(row.stalls, kept_waiting=kept_waiting))

    def _step(self, row: upgrade.Upgrade) -> outcome.Step:
        return self.undo if _undoing(row) else self.steps[row.step]

    def _begin(self, row: upgrade.Upgrade) -> upgrade.Upgrade:
        """Journal the beginning of a step or of a new attempt, if it has not been."""
        if _undoing(row) or journal.open_run(row) is not None:
            return row
        step = row.step
        if (
            upgrade.UNDOING in row.data
        ):  # a former attempt's: its guest has been told to serve again
            row = row.evolve(
                data={key: value for key, value in row.data.items() if key != upgrade.UNDOING}
            )
            step = min(step, states.Step.QUIESCE, key=states.STEPS.index)
        if step not in states.BEFORE_REBUILD and all(
            run.attempt != row.attempt for run in row.steps
        ):
            self._say(row, _UPGRADING)
        return self.upgrades.save(self._at(row, step))

    def _at(self, row: upgrade.Upgrade, step: states.Step) -> upgrade.Upgrade:
        LOG.info(
            'Upgrade %s of instance %s: RUNNING at %s, was %s, attempt %d',
            row.id,
            row.instance_id,
            step,
            row.steps[-1].step if row.steps else 'PENDING',
            row.attempt,
        )
        return journal.begun(row, step, self.clock.now(), self.steps[step].timeout_seconds)

    def _run(self, row: upgrade.Upgrade, step: outcome.Step) -> _Result:
        """The step's outcome, or what it refused or failed with."""
        try:
            result = step.run(row)
        except (
            exceptions.ComputeUnavailable,
            exceptions.GuestUnavailable,
            exceptions.MessagingUnavailable,
        ) as error:
            result = self._waiting(row, error)
            if self._is_going(row):  # nobody will answer any more
                return exceptions.InstanceDeleted(upgrade_id=row.id, instance_id=row.instance_id)
        except exceptions.LeaseLost:
            raise
        except (exceptions.StepRefused, exceptions.StepFailed) as error:
            return error
        except exceptions.TroveUpgradeError as error:
            kind = (
                exceptions.StepRefused
                if row.step in states.BEFORE_REBUILD and not _undoing(row)
                else exceptions.StepFailed
            )
            return kind(error.message, error.code)
        except Exception as error:  # noqa: BLE001 - the step's edge; it is logged by `_report`
            message = origin.unexpected(
                f'Step {row.step} failed and is tried again', error, "the taskmanager's log"
            )
            self._report(row, error, message)
            result = outcome.Wait(_CRASH_SECONDS, message)
        if isinstance(result, outcome.Wait) and result.seconds > 0:
            if row.step is states.Step.BOOT and self._is_going(
                row
            ):  # it waits for somebody to speak, and asks nobody
                return exceptions.InstanceDeleted(upgrade_id=row.id, instance_id=row.instance_id)
            if self._is_late(row):
                return step.expired(row, result.message or 'no reason was given')
        return result

    def _waiting(self, row: upgrade.Upgrade, error: exceptions.TroveUpgradeError) -> outcome.Wait:
        """Longer each time where this guest is silent; an outage hits all rows, and its end must
        find none of them resting.
        """
        message = self._unanswered(row, error)
        if silence.is_of_outage(error):
            return _Outage(stalls.outage_seconds(self.longest_rest_seconds, self.uniform), message)
        unanswered = stalls.after(row.stalls, kept_waiting=True)
        return _Unanswered(
            stalls.rest_seconds(unanswered, self.longest_rest_seconds, self.uniform), message
        )

    @staticmethod
    def _report(row: upgrade.Upgrade, error: Exception, message: str) -> None:
        """The traceback once, not at each try: the step's message says since when."""
        now = journal.open_run(row)
        LOG.error(
            'Upgrade %s of instance %s: %s',
            row.id,
            row.instance_id,
            message,
            exc_info=error if now is None or now.message != message else None,
        )

    def _unanswered(self, row: upgrade.Upgrade, error: exceptions.TroveUpgradeError) -> str:
        """Return what the step waits for.  The log has it once,
        not at each try: the step's message says since when.
        """
        if isinstance(error, exceptions.GuestUnavailable):
            error = silence.explained(
                error, self.guests.last_word(row.instance_id), row.known_boot_id
            )
        message = f'{error.public_message} {_ASKED_AGAIN}'
        now = journal.open_run(row)
        if now is None or now.message != message:
            LOG.warning(
                'Upgrade %s of instance %s at %s: %s %s',
                row.id,
                row.instance_id,
                row.step,
                error.message,
                _ASKED_AGAIN,
            )
        return message

    def _is_late(self, row: upgrade.Upgrade) -> bool:
        return row.step_deadline is not None and self.clock.now() >= row.step_deadline

    def _commit(self, row: upgrade.Upgrade, result: _Result) -> upgrade.Upgrade | Again | None:
        """The row if it goes on now, when it wants to run again if it waits,
        None if it has ended.
        """
        if isinstance(result, exceptions.TroveUpgradeError):
            return self._broken_off(row, result)
        row = row.evolve(data={**row.data, **result.data})
        if isinstance(result, outcome.Done):
            return self._done(row.evolve(**result.changes), result)
        return self._waits(row, result)

    def _broken_off(
        self, row: upgrade.Upgrade, error: exceptions.TroveUpgradeError
    ) -> upgrade.Upgrade | None:
        """Undone, failed, or, where the instance is deleted,
        ended without asking a guest that is gone or going.
        """
        if isinstance(error, exceptions.InstanceDeleted) or self._is_going(row):
            self._end(
                journal.ended(row, self.clock.now(), 'failed', error.message),
                _S.FAILED,
                None,
                error.code,
                None,
            )
            return None
        return (
            self._refused(row, error)
            if isinstance(error, exceptions.StepRefused)
            else self._failed(row, error)
        )

    def _is_going(self, row: upgrade.Upgrade) -> bool:
        return self.instances.hold(row.instance_id).is_going

    def _waits(self, row: upgrade.Upgrade, wait: outcome.Wait) -> upgrade.Upgrade | Again:
        row = journal.ran(row, wait.message, wait.percent)
        changes = dict(wait.changes)
        back = changes.pop('step', None)
        row = row.evolve(**changes)
        if back is not None:
            row = self._at(journal.ended(row, self.clock.now(), 'repeated', wait.message), back)
        if quiesce.TOUCHED in wait.data:  # not sooner: an end before this leaves what stood there
            self._say(row, _UPGRADING)
        if wait.seconds <= 0:
            return self.upgrades.save(row)
        self.upgrades.save(row, release_for_seconds=wait.seconds)
        return Again(wait.seconds, is_slow=row.stalls > 0, rests=isinstance(wait, _Unanswered))

    def _done(self, row: upgrade.Upgrade, done: outcome.Done) -> upgrade.Upgrade | None:
        undoing = _undoing(row)
        if undoing:
            self._end(row, _S.ABORTED, undoing['cause'], undoing['error_code'], _SERVES)
            return None
        row = journal.ended(row, self.clock.now(), 'done', done.message)
        following = states.next_step(row.step)
        if following is None:
            back = row.data.get(upgrade.ROLLING_BACK)
            if back is None:
                self._end(row, _S.COMPLETED, None, None, _SERVES)
            else:
                self._end(row, _S.ROLLED_BACK, back['cause'], back['error_code'], _SERVES)
            return None
        return self.upgrades.save(self._at(row, following))

    def _refused(
        self, row: upgrade.Upgrade, error: exceptions.StepRefused
    ) -> upgrade.Upgrade | None:
        """Nothing has been rebuilt: give it up, and let the guest undo what it has done."""
        if _undoing(row) or rebuild.former_guest_is_gone(row):
            return self._failed(row, error)
        row = journal.ended(row, self.clock.now(), 'refused', error.message)
        if row.data.get(quiesce.TOUCHED) is None:
            self._end(
                row,
                _S.ABORTED,
                error.message,
                error.code,
                _DOWN if isinstance(error, exceptions.NotServingBefore) else None,
            )
            return None
        LOG.info(
            'Upgrade %s of instance %s: undoing, was %s, attempt %d: %s',
            row.id,
            row.instance_id,
            row.step,
            row.attempt,
            error.message,
        )
        late = journal.begun(
            row, row.step, self.clock.now(), self.undo.timeout_seconds
        ).step_deadline
        row = row.with_data(
            **{
                upgrade.UNDOING: {
                    'attempt': row.attempt,
                    'cause': error.message,
                    'error_code': error.code,
                }
            }
        )
        return self.upgrades.save(row.evolve(step_deadline=late))

    def _failed(
        self, row: upgrade.Upgrade, error: exceptions.TroveUpgradeError
    ) -> upgrade.Upgrade | None:
        """None: it has ended.  Where the operator chose so and the data is untouched, it goes back
        instead: the row that does.
        """
        undoing, back = _undoing(row), row.data.get(upgrade.ROLLING_BACK)
        row = journal.ended(row, self.clock.now(), 'failed', error.message)
        if (
            self.rolls_back
            and row.step in _MAY_TURN_BACK
            and not undoing
            and back is None
            and row.why_no_rollback() is None
        ):
            LOG.warning(
                'Upgrade %s of instance %s: rolling back, was %s, attempt %d: %s: %s',
                row.id,
                row.instance_id,
                row.step,
                row.attempt,
                error.code,
                error.message,
            )
            row = row.turned_back(error.message, error.code)
            return self.upgrades.save(self._at(row, row.step))
        cause = error.message
        if undoing:
            cause = f'{cause} It was to be undone because: {undoing.get("cause")}'
        elif back is not None:
            cause = f'{cause} It was to be rolled back because: {back["cause"]}'
        found = (
            None
            if row.data.get(quiesce.TOUCHED) is None
            else _DOWN
            if error.code in _SAID_DOWN
            else _NOBODY_KNOWS
        )
        self._end(row, _S.FAILED, cause, error.code, found)
        return None

    def _say(self, row: upgrade.Upgrade, service_status: str) -> None:
        if self.writes_service_status:
            self.instances.set_service_status(row.instance_id, service_status)

    def _end(
        self,
        row: upgrade.Upgrade,
        state: states.UpgradeState,
        cause: str | None,
        code: str | None,
        service_status: str | None,
    ) -> None:
        """`service_status`: what a guest has said of its database; None: it was not touched,
        what stood there stays.
        """
        if service_status is not None:
            self._say(row, service_status)
        ended = self.upgrades.end(row, state, cause=cause, error_code=code)
        level = (
            logging.ERROR
            if ended.state is _S.FAILED and ended.error_code != exceptions.InstanceDeleted.code
            else logging.INFO
        )
        LOG.log(
            level,
            'Upgrade %s of instance %s: %s, was RUNNING at %s, attempt %d%s',
            ended.id,
            ended.instance_id,
            ended.state,
            ended.step,
            ended.attempt,
            f': {ended.error_code}: {ended.cause}' if ended.cause else '',
        )
        self.on_event()


def _undoing(row: upgrade.Upgrade) -> Mapping[str, Any]:
    """Why this attempt is being given up; empty if it is not."""
    undoing: Mapping[str, Any] = row.data.get(upgrade.UNDOING) or {}
    return undoing if undoing.get('attempt') == row.attempt else {}
