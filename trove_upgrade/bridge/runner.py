# SPDX-License-Identifier: Apache-2.0
"""Moves one member of a run through its steps, and back where one fails.

The member's row is committed before and after each step.  A process that is killed leaves the
member at its step; any host claims it when the lease is over, and runs that step again.
"""

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable, Mapping

from trove_upgrade.bridge.keeper import Keeper
from trove_upgrade.bridge.outages import Outages, first_line
from trove_upgrade.bridge.steps.step import Done, RunnableStep, Save, Stopped
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.bridge_ends import BY_CLIENTS, NO_FAILURES, InstanceGone, RunAborted
from trove_upgrade.domain.bridge_runs import (
    AFTER_CLOSE,
    STEPS,
    Claim,
    Member,
    MemberLost,
    MemberState,
    MemberStep,
    MemberStepRun,
    NoRoom,
    RunRepository,
    StepEnd,
    stays_cause,
)
from trove_upgrade.domain.openings import OpeningRepository
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.waits import Pause

LOG = logs.get_logger(__name__)

#: Claims of one member after which a port that was closed under it fails it.
_MOST_LAPSES = 4
#: States of members that were turned back otherwise than by a failure, by code.
_END_OF: Mapping[str | None, MemberState] = types.MappingProxyType(
    {
        None: MemberState.ABORTED,
        RunAborted.code: MemberState.ABORTED,
        **dict.fromkeys(BY_CLIENTS, MemberState.ABORTED),
        InstanceGone.code: MemberState.LEFT_OUT,
    }
)

#: Called with a member and a line for a person after each step.
Tell = Callable[[Member, str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemberRunner:
    """Runs members one at a time; several runners may work on one run."""

    runs: RunRepository
    openings: OpeningRepository
    door: Door
    steps: Mapping[MemberStep, RunnableStep]
    #: removes from the guest what was pushed
    remove: Callable[[Member, Visit], None]
    #: forgets what is known of our agent in a guest that is gone
    forget: Callable[[Member], None]
    #: finds out whether an upgrade has begun, of ours or of another client
    settle: Callable[[Member], Member]
    #: ids of members that this process leaves to a later one; its runners share it
    kept: set[str]
    clock: Clock
    owner: str
    lease_seconds: float
    tell: Tell
    #: no fact of a member: it stays at its step until the outage is over
    is_outage: Callable[[Exception], bool]
    outages: Outages  #: of this process; its runners share it
    pause: Pause
    patience_seconds: float = 300.0  #: with an outage, where no port is open
    outage_look_seconds: float = 5.0
    is_stopping: Callable[[], bool]
    #: tells whether Trove has deleted an instance, or is about to
    is_gone: Callable[[str], bool]

    def claim(self, run_id: str) -> Claim:
        """Take the next member that may be begun, if there is one."""
        return self.runs.claim(run_id, self.owner, self.lease_seconds, tuple(self.kept))

    def work(self, member: Member) -> Member:
        """Work on a member that was claimed, to its end.

        :raises MemberLost: another host has it now.
        :raises NoRoom: enough others are worked on where it is.
        :raises Stopped: this process is to end.
        An outage is raised as it is; the member stays at its step.
        """
        visit = Visit()
        keeper = Keeper(
            self.runs,
            self.openings,
            member=member,
            visit=visit,
            lease_seconds=self.lease_seconds,
            clock=self.clock,
        )
        try:
            with keeper:
                return self._to_its_end(member, visit)
        except BaseException:  # an interruption, or an outage: another run of it goes on
            self._leave(member, visit)
            raise

    def let_go(self, member: Member) -> None:
        """Let any host take a member that this one could not finish."""
        with contextlib.suppress(MemberLost):  # one has taken it already
            self.runs.release(member)

    def _to_its_end(self, member: Member, visit: Visit) -> Member:
        if not member.is_undoing:
            member = self._forward(member, visit)
        if member.is_undoing:
            return self._back(member, visit)
        return self.runs.end(member, MemberState.COMPLETED)

    def _forward(self, member: Member, visit: Visit) -> Member:
        """Run the steps from the member's own on; a failure turns it back."""
        steps = [step for step in STEPS if step in self.steps]
        for step in steps[steps.index(member.step) :]:
            if self.is_stopping():
                raise Stopped
            member = self._begun(member, step)
            try:
                done = self._done(step, member, visit)
            except (MemberLost, NoRoom, Stopped):
                raise
            except Exception as error:
                self._require_guest(member, visit)
                if self.is_outage(error) and not self.outages.are_this_ones(member.instance_id):
                    self.outages.met_at(member.instance_id, step)
                    raise
                return self._failed(member, self._reason(member, error))
            member = self._ended(done.member, StepEnd.DONE, done.message)
        return member

    @staticmethod
    def _require_guest(member: Member, visit: Visit) -> None:
        """Tell a failure of the guest from a shell that was closed under a step, as a lease was
        over: the member is taken again, a few times at most.

        :raises MemberLost: it was.
        """
        is_again = visit.is_lapsed and member.generation < _MOST_LAPSES
        if visit.is_lost or is_again:
            raise MemberLost(run_id=member.run_id, instance_id=member.instance_id)

    def _reason(self, member: Member, error: Exception) -> exceptions.TroveUpgradeError:
        """Return why a member is turned back: first of all, that its instance is gone."""
        found = _with_code(error)
        try:
            is_gone = self.is_gone(member.instance_id)
        except Exception as away:
            if not self.is_outage(away):
                raise
            return found
        return InstanceGone(instance_id=member.instance_id) if is_gone else found

    def _done(self, step: MemberStep, member: Member, visit: Visit) -> Done:
        """Run a step.  Once the port is closed, an outage is waited for: it costs nothing then."""
        last, until = -math.inf, math.inf
        while True:
            try:
                saved = self._as_saved(member)
                self._require_forward(saved)
                return self.steps[step].run(saved, visit, self._save_forward)
            except Exception as error:
                now = self.clock.monotonic()
                if now - last > self.patience_seconds:  # the first failure, or a new outage
                    until = now + self.patience_seconds
                last = now
                if step not in AFTER_CLOSE or not self.is_outage(error) or now >= until:
                    raise
                LOG.warning('Instance %s: %s; tried again', member.instance_id, first_line(error))
            if self.is_stopping():
                raise Stopped
            self.pause.sleep(self.outage_look_seconds)

    def _as_saved(self, member: Member) -> Member:
        """Return the member with what a step has committed before an outage."""
        saved = self.runs.member(member.run_id, member.instance_id)
        if saved.generation != member.generation:
            raise MemberLost(run_id=member.run_id, instance_id=member.instance_id)
        return saved

    @property
    def _save_forward(self) -> Save:
        def save(member: Member) -> Member:
            saved = self.runs.save(member)
            self._require_forward(saved)
            return saved

        return save

    @staticmethod
    def _require_forward(member: Member) -> None:
        if member.is_undoing:
            raise RunAborted(instance_id=member.instance_id, run_id=member.run_id)

    def _begun(self, member: Member, step: MemberStep) -> Member:
        begun = MemberStepRun(step=step, started_at=self.clock.now())
        return self.runs.save(member.evolve(step=step, steps=(*member.steps, begun)))

    def _ended(self, member: Member, end: StepEnd, message: str) -> Member:
        last = dataclasses.replace(
            member.steps[-1], ended_at=self.clock.now(), end=end, message=message
        )
        saved = self.runs.save(member.evolve(steps=(*member.steps[:-1], last)))
        if end is StepEnd.DONE:
            self.outages.worked(saved.instance_id, last.step)
        self.tell(saved, message)
        return saved

    def _failed(self, member: Member, error: exceptions.TroveUpgradeError) -> Member:
        """Turn the member back, with what the step had committed meanwhile."""
        turned = self._as_saved(member).evolve(
            is_undoing=True, error_code=error.code, cause=error.message
        )
        return self._ended(turned, StepEnd.FAILED, error.message)

    def _back(self, member: Member, visit: Visit) -> Member:
        """Remove what was pushed, close the port, and end.  What cannot be removed is told; an
        outage keeps the member, so that another run of it removes the rest.

        Once an upgrade was asked for, our agent is that upgrade's, and stays.

        :raises MemberLost: another host has it: what is open and pushed may be that one's.
        """
        if visit.is_lost:
            raise MemberLost(run_id=member.run_id, instance_id=member.instance_id)
        is_operators = member.error_code in NO_FAILURES
        if member.facts.is_in_guest and (is_operators or not member.facts.is_handed_over):
            member = self.settle(member)
        kept = None
        if member.facts.is_handed_over:
            if member.step is MemberStep.UPGRADE and member.error_code not in BY_CLIENTS:
                member = _more(member, stays_cause(member.facts))
        elif member.facts.bundle is not None:
            kept = self._why_not_removed(member, visit)
            member = member.learned(not_removed=kept)
        try:
            self.door.close(member, visit)
        except exceptions.TroveUpgradeError as error:
            LOG.warning('Instance %s: %s', member.instance_id, error.message)
            told = f'The port is not closed yet; a taskmanager does it: {error.message}'
            member = _more(member, told)
        if kept is not None:
            return self._kept(member, kept)
        return self.runs.end(member, _END_OF.get(member.error_code, MemberState.FAILED))

    def _why_not_removed(self, member: Member, visit: Visit) -> str | None:
        """Remove what was pushed; return in words why it could not be, None: it is removed."""
        try:
            self.door.come_back(member, visit)
            self.remove(member, visit)
        except (MemberLost, NoRoom):
            raise
        except exceptions.ServerNotFound:  # nothing of it is there any more
            return self._why_not_forgotten(member)
        except Exception as error:
            if self.is_outage(error):
                raise
            return _with_code(error).message
        return None

    def _why_not_forgotten(self, member: Member) -> str | None:
        try:
            self.forget(member)
        except Exception as error:
            if self.is_outage(error):
                raise
            return _with_code(error).message
        return None

    def _kept(self, member: Member, why: str) -> Member:
        """Leave the member to a later process: something of ours is in its guest."""
        saved = self.runs.save(member)
        self.kept.add(member.instance_id)
        self.runs.release(saved)
        self.tell(saved, f'What was pushed could not be removed: {why} "resume" tries it again.')
        return saved

    def _leave(self, member: Member, visit: Visit) -> None:
        """Close the port at once, whatever else is away; the member stays at its step, for this
        host or another one.
        """
        try:
            self.door.leave(visit)
        except Exception as error:  # noqa: BLE001 - an error is on its way, and the reaper closes
            LOG.warning('Instance %s: %s', member.instance_id, first_line(error))
        try:
            self.runs.release(member)
        except Exception as error:  # noqa: BLE001 - the lease ends by itself
            LOG.info('Instance %s: %s', member.instance_id, first_line(error))


def _with_code(error: Exception) -> exceptions.TroveUpgradeError:
    """Return the error, or one that tells of a fault of the program, whose traceback is logged."""
    if isinstance(error, exceptions.TroveUpgradeError):
        return error
    LOG.error('A step of the bridge met an unexpected error', exc_info=error)
    return exceptions.TroveUpgradeError()


def _more(member: Member, text: str | None) -> Member:
    """Add to the cause, once; the first one stays in front."""
    if text is None or text in (member.cause or ''):
        return member
    return member.evolve(cause=f'{member.cause} {text}' if member.cause else text)
