# SPDX-License-Identifier: Apache-2.0
"""One run of one step: what its errors mean for the upgrade, and how long the upgrade rests."""

import dataclasses
import random
from typing import Protocol

from trove_upgrade.domain import exceptions, logs, origin, ports, silence, stalls, states
from trove_upgrade.domain.outcomes import Broken, Done, Outcome, Wait, WaitReason
from trove_upgrade.domain.upgrades import Upgrade

LOG = logs.get_logger(__name__)

_ASKED_AGAIN = 'It is asked again.'
#: An unexpected error: the upgrade rests this long, so that a fault of ours makes no storm.
_CRASH_SECONDS = 5.0


class RunnableStep(Protocol):
    """Interface of a step.

    A step looks at the world first, does one thing, and returns an outcome, which is committed
    before anything else happens.
    """

    @property
    def timeout_seconds(self) -> float:
        """Seconds from the step's first run to its end."""

    @property
    def hold_seconds(self) -> float:
        """Return how long one run may take: the lease is renewed for as long, and no longer."""

    def run(self, upgrade: Upgrade) -> Outcome:
        """Look, do one thing, tell how it stands.

        :raises StepRefused: nothing that matters has been changed: the upgrade ends ABORTED, undone
            where needed.
        :raises StepFailed: an operator must look.
        :raises ComputeUnavailable, GuestUnavailable, MessagingUnavailable: asked again.
        """

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Return what the time-out means: a StepRefused or a StepFailed.  `found` is what
        the last run waited for.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepRunner:
    """Runs steps within their time. Safe to share between threads."""

    instances: ports.InstanceRepository
    guests: ports.GuestRepository
    clock: ports.Clock
    longest_rest_seconds: float = 30.0  #: after calls without answer
    uniform: stalls.Uniform = random.uniform

    def run(self, upgrade: Upgrade, step: RunnableStep) -> Outcome | Broken:
        """Return the step's outcome, or what it refused or failed with.

        :raises LeaseLost: another taskmanager has the upgrade.
        """
        try:
            result = step.run(upgrade)
        except (
            exceptions.ComputeUnavailable,
            exceptions.GuestUnavailable,
            exceptions.MessagingUnavailable,
        ) as error:
            result = self._waiting(upgrade, error)
            if self._is_going(upgrade):  # no guest will answer any more
                return _deleted(upgrade)
        except exceptions.LeaseLost:
            raise
        except exceptions.TroveUpgradeError as error:
            return Broken(upgrade, _classified(upgrade, error))
        except Exception as error:  # noqa: BLE001 - the step's edge; it is logged by `_report`
            message = origin.unexpected(
                f'Step {upgrade.step} failed and is tried again',
                error,
                "the taskmanager's log",
            )
            _report(upgrade, error, message)
            # the step may have been broken off after its call to Nova
            unknown = upgrade.nova_perhaps_asked()
            result = Wait(upgrade=unknown, seconds=_CRASH_SECONDS, message=message)
        return self._within_time(upgrade, step, result)

    def _within_time(
        self, upgrade: Upgrade, step: RunnableStep, result: Outcome
    ) -> Outcome | Broken:
        """Return the result, or an error where it waits for what will not come any more."""
        if isinstance(result, Done) or result.seconds <= 0:
            return result
        if upgrade.step in states.WITHOUT_CALLS and self._is_going(upgrade):
            return _deleted(upgrade)
        if upgrade.step_deadline is not None and self.clock.now() >= upgrade.step_deadline:
            # with what this run has found: Nova may just have accepted a rebuild
            error = step.expired(result.upgrade, result.message or 'no reason was given')
            return Broken(result.upgrade, error)
        return result

    def _is_going(self, upgrade: Upgrade) -> bool:
        return self.instances.holder(upgrade.instance_id).is_going

    def _waiting(self, upgrade: Upgrade, error: exceptions.TroveUpgradeError) -> Wait:
        """Wait longer each time where this guest is silent; an outage hits all upgrades, and its
        end must find none of them resting.
        """
        message = self._unanswered(upgrade, error)
        if silence.is_of_outage(error):
            seconds = stalls.outage_seconds(self.longest_rest_seconds, self.uniform)
            return Wait(upgrade=upgrade, seconds=seconds, message=message, reason=WaitReason.OUTAGE)
        unanswered = stalls.after(upgrade.stalls, kept_waiting=True)
        seconds = stalls.rest_seconds(unanswered, self.longest_rest_seconds, self.uniform)
        return Wait(
            upgrade=upgrade, seconds=seconds, message=message, reason=WaitReason.SILENT_GUEST
        )

    def _unanswered(self, upgrade: Upgrade, error: exceptions.TroveUpgradeError) -> str:
        """Return what the step waits for.  The log has it once,
        not at each try: the step's message tells since when.
        """
        if isinstance(error, exceptions.GuestUnavailable):
            last_word = self.guests.last_word(upgrade.instance_id)
            error = silence.explained(error, last_word, upgrade.known_boot_id)
        message = f'{error.public_message} {_ASKED_AGAIN}'
        if _is_new(upgrade, message):
            LOG.warning(
                'Upgrade %s of instance %s at %s: %s %s',
                upgrade.id,
                upgrade.instance_id,
                upgrade.step,
                error.message,
                _ASKED_AGAIN,
            )
        return message


def _classified(
    upgrade: Upgrade, error: exceptions.TroveUpgradeError
) -> exceptions.TroveUpgradeError:
    """Refused where nothing has been rebuilt, failed elsewhere, if the step has not told."""
    if isinstance(error, exceptions.StepRefused | exceptions.StepFailed):
        return error
    if upgrade.step in states.BEFORE_REBUILD and not upgrade.is_undoing:
        return exceptions.StepRefused(error.message, error.code)
    return exceptions.StepFailed(error.message, error.code)


def _deleted(upgrade: Upgrade) -> Broken:
    return Broken(
        upgrade,
        exceptions.InstanceDeleted(upgrade_id=upgrade.id, instance_id=upgrade.instance_id),
    )


def _report(upgrade: Upgrade, error: Exception, message: str) -> None:
    """The traceback once, not at each try: the step's message tells since when."""
    LOG.error(
        'Upgrade %s of instance %s: %s',
        upgrade.id,
        upgrade.instance_id,
        message,
        exc_info=error if _is_new(upgrade, message) else None,
    )


def _is_new(upgrade: Upgrade, message: str) -> bool:
    now = upgrade.current_run
    return now is None or now.message != message
