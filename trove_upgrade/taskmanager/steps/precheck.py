# SPDX-License-Identifier: Apache-2.0
"""Precheck: everything that could refuse the upgrade, asked again under the claim;
nothing is changed.

Before a hold the guest also brings the target's container image here.  It is a job of its own,
under an attempt that no step has: after the hold the checks are made anew.
"""

import dataclasses
from collections.abc import Sequence

from trove_upgrade.domain import exceptions, guests, notes
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.outcomes import Done, Outcome, Wait
from trove_upgrade.domain.progress import FormerGuest
from trove_upgrade.domain.upgrade_checks import CheckOutcome, CheckResult
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.preflight import Preflight, refusals
from trove_upgrade.taskmanager.steps.calls import Calls
from trove_upgrade.taskmanager.steps.task import require_our_task

#: Of the guest's job that prepares a hold; the attempts of an upgrade begin with 1.
_BEFORE_A_HOLD = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Precheck:
    """The whole preflight report must hold."""

    preflight: Preflight
    calls: Calls
    timeout_seconds: float
    hold_seconds: float
    bring_seconds: float = 0.0  #: more than that, where the container image is brought

    def run(self, upgrade: Upgrade) -> Outcome:
        """Make all checks, under the upgrade's claim.

        :raises StepRefused: the first check that says no; the message has all of them.

        :raises NotServingBefore: the same, and one of them is that the database does not serve.
        """
        # else the checks would say "busy" of an instance that was taken from us
        require_our_task(self.preflight.instances, upgrade)
        upgrade = self._with_time_to_bring(upgrade)
        asked = _with_the_image_of_now(upgrade)
        report = self.preflight.report(asked, lambda: self._call(asked))
        refused = refusals(report.results)
        if refused and _ended_hold(upgrade) and _pass_by_themselves(refused):
            return Wait(
                upgrade=upgrade, seconds=self.calls.poll_max_seconds, message=refused[0].message
            )
        _require_passed(refused)
        if report.answer is None or report.description is None or report.image is None:
            raise exceptions.StepRefused(
                f'Upgrade {upgrade.id} cannot begin: its checks are not complete. Try again.',
                'CHECK_INCOMPLETE',
            )
        if report.answer.state is guests.JobState.RUNNING:
            return self.calls.ask_again(upgrade, report.answer)
        warnings = _warnings(report.results)
        former = self._former(upgrade, report.answer, cannot_return=report.cannot_return)
        return Done(
            upgrade.evolve(
                former_image_id=report.description.server.image_id,
                target_image_id=report.image.id,
                progress=upgrade.progress.checked(former, warnings),
            ),
            f'{len(report.results)} checks were made, {len(warnings)} with a warning.',
        )

    def _former(
        self, upgrade: Upgrade, answer: guests.GuestAnswer, *, cannot_return: bool
    ) -> FormerGuest:
        return FormerGuest(
            boot_id=answer.boot_id,
            server_version=answer.server_version,
            agent_version=answer.agent_version,
            had_key=self.preflight.key_delivery.has_key(upgrade.instance_id),
            cannot_return=cannot_return,
        )

    def _with_time_to_bring(self, upgrade: Upgrade) -> Upgrade:
        now = upgrade.current_run
        if not upgrade.is_to_be_held or now is None:
            return upgrade
        return upgrade.due_in(self._seconds(upgrade), now.started_at)

    def _seconds(self, upgrade: Upgrade) -> float:
        """Return how long its checks may take, before a hold with what is brought then."""
        return self.timeout_seconds + (self.bring_seconds if upgrade.is_to_be_held else 0.0)

    def _call(self, upgrade: Upgrade) -> guests.GuestCall:
        call = self.calls.with_facts(upgrade)
        if not upgrade.is_to_be_held:
            return call
        options = dataclasses.replace(call.options, bring_image=True)
        return dataclasses.replace(call, attempt=_BEFORE_A_HOLD, options=options)

    def expired(self, upgrade: Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Refuse the upgrade; nothing was changed."""
        return exceptions.StepRefused(
            f'Upgrade {upgrade.id} cannot begin: its checks were not complete after '
            f'{self._seconds(upgrade):g} s ({found}). Nothing was changed; '
            'mend that and upgrade again.',
            'PRECHECK_TIMEOUT',
        )


def _with_the_image_of_now(upgrade: Upgrade) -> Upgrade:
    """Return a copy whose target image is found anew after a hold, in which days may have passed:
    the version may have been given another one, and the one of then be gone.
    """
    if not _ended_hold(upgrade) or upgrade.guest_told_in_attempt is not None:
        return upgrade
    return upgrade.evolve(target_image_id='')


def _ended_hold(upgrade: Upgrade) -> bool:
    return upgrade.progress.hold.since is not None


def _pass_by_themselves(refused: Sequence[CheckResult]) -> bool:
    """Return whether a moment later all may be well: the one who set the time is asleep."""
    return all(result.code == Code.SERVER_BUSY for result in refused)


def _require_passed(refused: Sequence[CheckResult]) -> None:
    if refused:
        down = any(result.code == Code.DATABASE_NOT_SERVING for result in refused)
        kind = exceptions.NotServingBefore if down else exceptions.StepRefused
        raise kind(
            ' '.join(result.message for result in refused), refused[0].code or Code.CHECK_REFUSED
        )


def _warnings(results: Sequence[CheckResult]) -> tuple[notes.Note, ...]:
    entries = [vars(result) for result in results if result.outcome == CheckOutcome.WARNING]
    return notes.Notes.of({notes.WARNINGS: entries}).warnings
