# SPDX-License-Identifier: Apache-2.0
"""An upgrade as it travels between the database, the API and a taskmanager."""

import dataclasses
import datetime
from typing import Any, Self

from trove_upgrade.domain import markers, notes, states
from trove_upgrade.domain.progress import FORWARD, NOTHING, Progress, Unasked, Way


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepRun:
    """One step of one attempt: when, how often, and how it ended."""

    step: states.Step
    attempt: int
    started_at: datetime.datetime
    ended_at: datetime.datetime | None = None
    runs: int = 0  #: how often a taskmanager has run the step
    outcome: states.StepOutcome | None = None  #: None while it goes on
    percent: int | None = None  #: 0 to 100 where the step can tell
    message: str | None = None  #: for a person: what the step waits for, or did


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upgrade:
    """A row of `instance_upgrades`, as it was when read.  Change it with `evolve` and save
    it under its generation.
    """

    id: str
    instance_id: str
    project_id: str
    instance_name: str
    server_id: str
    state: states.UpgradeState
    step: states.Step
    attempt: int  #: 1 at first, raised by each operator's retry or rollback
    rebuild_attempt: int  #: 0 before the first rebuild is asked; part of the marker
    former_version_id: str
    target_version_id: str
    former_image_id: str | None  #: what the server ran when precheck looked; None before
    #: frozen at begin, and anew after a hold: repointing the version moves no upgrade that runs
    target_image_id: str
    datastore_manager: str  #: e.g. mariadb
    target_number: str  #: the version that verify wants to hear from the server, e.g. 11.8.6
    generation: int  #: raised by each claim; travels in every guest call
    created_at: datetime.datetime
    updated_at: datetime.datetime
    owner: str | None = None
    lease_until: datetime.datetime | None = None
    next_run_at: datetime.datetime | None = None
    step_deadline: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    steps: tuple[StepRun, ...] = ()
    progress: Progress = NOTHING
    cause: str | None = None
    error_code: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    stalls: int = 0  #: how often it has kept a worker waiting of late: domain.stalls
    #: the steps as the database has them, for its writer alone; None: it has to look
    stored_steps: tuple[StepRun, ...] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    @property
    def marker(self) -> str:
        """Return what the server's metadata and user data carry,
        so that Nova is not asked twice for one rebuild.
        """
        return markers.marker_of(self.id, self.rebuild_attempt)

    @property
    def is_rolling_back(self) -> bool:
        """Return whether the steps lead to the former image; stays after the end,
        for what is said to the guest later.
        """
        return self.progress.direction.way is Way.BACK

    @property
    def guest_told_in_attempt(self) -> int | None:
        """Attempt in which the guest was first told of the upgrade; from then on giving up means
        undoing.
        """
        return self.progress.quiesce.told_in_attempt

    @property
    def is_undoing(self) -> bool:
        """Return whether this attempt is being given up before the rebuild."""
        direction = self.progress.direction
        return direction.way is Way.UNDOING and direction.attempt == self.attempt

    @property
    def can_be_undone(self) -> bool:
        """Return whether giving it up still leads to the former guest: Nova was asked for nothing
        that this upgrade goes on with.
        """
        if self.is_rolling_back or self.former_guest_is_gone:
            return False
        if self.step in states.BEFORE_REBUILD:
            return True
        return self.step is states.Step.REBUILD and (
            self.rebuild_attempt == 0 or self.is_nova_unasked
        )

    @property
    def is_nova_unasked(self) -> bool:
        """Return whether it is certain that Nova was not asked for the current number."""
        rebuild, now = self.progress.rebuild, self.current_run
        if now is None or rebuild.accepted_in_attempt is not None or rebuild.post_until is not None:
            return False
        return rebuild.unasked == Unasked(self.rebuild_attempt, now.runs)

    @property
    def is_to_be_held(self) -> bool:
        """Return whether its checks are to be followed by a hold, which has not been over yet."""
        return self.progress.choices.asks_for_hold and self.progress.hold.over_at is None

    @property
    def former_guest_is_gone(self) -> bool:
        """Return whether a former attempt, or the way to the target, has seen Nova accept a
        rebuild and do it, or break off in the middle.
        """
        accepted = self.progress.rebuild.accepted_in_attempt
        return self.is_rolling_back or (accepted is not None and accepted < self.attempt)

    @property
    def wanted_image_id(self) -> str:
        """The image that the next rebuild is asked for."""
        return (self.former_image_id or '') if self.is_rolling_back else self.target_image_id

    @property
    def wanted_version_id(self) -> str:
        """The datastore version that is to serve in the end."""
        return self.former_version_id if self.is_rolling_back else self.target_version_id

    @property
    def wanted_number(self) -> str:
        """Return what verify wants to hear: a way back ends at what the former server itself
        said before it was stopped.
        """
        return (
            self.progress.former.server_version or ''
            if self.is_rolling_back
            else self.target_number
        )

    @property
    def known_boot_id(self) -> str | None:
        """The boot of the guest that the step works with, once its agent has told it."""
        if self.step in states.BEFORE_REBUILD:
            return self.progress.former.boot_id or None
        return (
            (self.progress.new.boot_id or None)
            if self.step in {states.Step.RESTORE, states.Step.VERIFY}
            else None
        )

    @property
    def notes(self) -> notes.Notes:
        """Return what its tenant should learn of it besides its end."""
        return self.progress.notes

    @property
    def is_open_untold(self) -> bool:
        """Return whether clients were let in and no listener was told of it in this attempt."""
        restore = self.progress.restore
        return restore.opened_at is not None and restore.open_told_in_attempt != self.attempt

    def overdue_seconds(self, now: datetime.datetime) -> float:
        """Return for how long a taskmanager should have worked on it, or have looked at it while it
        is held, and none has; 0 while one holds it, it waits, or it has ended.
        """
        since = self.lease_until or self.next_run_at or self.updated_at
        return max(0.0, (now - since).total_seconds()) if self.state in states.ACTIVE else 0.0

    @property
    def no_return(self) -> bool:
        """Return whether the new server may have been started on the data, as far as this row
        knows.
        """
        return self.progress.restore.is_past_no_return

    @property
    def may_have_served_again(self) -> bool:
        """Return whether a rollback may have started the former server on the data: unless it was
        refused for `no_return`.
        """
        return self.progress.restore.sent_back_in_attempt is not None and not self.no_return

    @property
    def current_run(self) -> StepRun | None:
        """The entry of the step in this attempt, if it has begun and not ended."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.ended_at is not None:
            return None
        return last if (last.step, last.attempt) == (self.step, self.attempt) else None

    def began(self, step: states.Step, now: datetime.datetime, timeout_seconds: float) -> Self:
        """Return a copy that stands at the beginning of `step`."""
        entry = StepRun(step=step, attempt=self.attempt, started_at=now)
        return self.evolve(step=step, steps=(*self.steps, entry)).due_in(timeout_seconds, now)

    def due_in(self, seconds: float, now: datetime.datetime) -> Self:
        """Return a copy whose step has a deadline so many seconds from now on."""
        return self.evolve(step_deadline=now + datetime.timedelta(seconds=seconds))

    def ran(self, message: str | None, percent: int | None) -> Self:
        """Return a copy after one more run of the step, which goes on."""
        after = self._with_run(message=message, percent=percent)
        return after.nova_unasked() if self.is_nova_unasked else after

    def nova_unasked(self) -> Self:
        """Return a copy which records that Nova was not asked for the current number."""
        now = self.current_run
        unasked = None if now is None else Unasked(self.rebuild_attempt, now.runs)
        return self.evolve(progress=self.progress.nova_unasked(unasked))

    def nova_perhaps_asked(self) -> Self:
        """Return a copy for which it is not known whether Nova was asked."""
        return self.evolve(progress=self.progress.nova_unasked(None))

    def step_ended(
        self, now: datetime.datetime, outcome: states.StepOutcome, message: str | None
    ) -> Self:
        """Return a copy after the last run of the step."""
        percent = self.steps[-1].percent if self.steps else None
        if outcome is states.StepOutcome.DONE:
            percent = 100
        elif outcome is states.StepOutcome.REPEATED:
            percent = None
        return self._with_run(ended_at=now, outcome=outcome, message=message, percent=percent)

    def _with_run(self, **changes: Any) -> Self:
        """An entry that has ended stays as it is: undo goes on after a step's own end."""
        last = self.current_run
        if last is None:
            return self
        run = dataclasses.replace(last, runs=last.runs + 1, **changes)
        return self.evolve(steps=(*self.steps[:-1], run))

    def turned_back(self, cause: str | None, error_code: str | None) -> Self:
        """A copy that goes back to the former image, by way of a rebuild that is asked anew."""
        return self.evolve(
            step=states.Step.REBUILD, progress=self.progress.turned_back(cause, error_code)
        )

    def turned_forward(self) -> Self:
        """A copy that goes to the target again, by way of a rebuild that is asked anew."""
        return self.evolve(step=states.Step.REBUILD, progress=self.progress.turned_forward())

    def renewed(self) -> Self:
        """Return it as its attempt begins: what a former attempt has undone is done again, as its
        guest has been told to serve.
        """
        if self.progress.direction.way is not Way.UNDOING or self.is_undoing:
            return self
        step = min(self.step, states.Step.QUIESCE, key=states.order)
        return self.evolve(step=step, progress=self.progress.evolve(direction=FORWARD))

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with `changes`."""
        return dataclasses.replace(self, **changes)
