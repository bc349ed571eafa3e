# SPDX-License-Identifier: Apache-2.0
"""Precheck: everything that could refuse the upgrade, asked again under the claim;
nothing is changed.
"""

import dataclasses

from trove_upgrade.domain import exceptions, guest, notes, upgrade
from trove_upgrade.taskmanager.key_delivery import FORMER_HAD_KEY
from trove_upgrade.taskmanager.preflight import Preflight, refusals
from trove_upgrade.taskmanager.steps.calls import Calls
from trove_upgrade.taskmanager.steps.outcome import Done, Wait
from trove_upgrade.taskmanager.steps.task import require_our_task

#: What a guest's check, or its undoing, calls a database that does not answer.
NOT_SERVING = 'DATABASE_NOT_SERVING'


@dataclasses.dataclass(frozen=True)
class Precheck:
    """The whole preflight report must hold."""

    preflight: Preflight
    calls: Calls
    timeout_seconds: float
    hold_seconds: float

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """:raises StepRefused: the first check that says no; the message has all of them.

        :raises NotServingBefore: the same, and one of them is that the database does not serve.
        """
        require_our_task(
            self.preflight.instances, row
        )  # else the checks would say "busy" of an instance that was taken from us
        report = self.preflight.report(row, lambda: self.calls.with_facts(row))
        refused = refusals(report.results)
        if refused:
            down = any(result.code == NOT_SERVING for result in refused)
            kind = exceptions.NotServingBefore if down else exceptions.StepRefused
            raise kind(
                ' '.join(result.message for result in refused), refused[0].code or 'CHECK_REFUSED'
            )
        if report.answer is None or report.picture is None or report.image is None:
            raise exceptions.StepRefused(
                f'Upgrade {row.id} cannot begin: its checks are not complete. Try again.',
                'CHECK_INCOMPLETE',
            )
        if report.answer.state is guest.JobState.RUNNING:
            return self.calls.ask_again(row, report.answer)
        warnings = notes.Notes.of(
            {
                notes.WARNINGS: [
                    vars(result) for result in report.results if result.outcome == 'warning'
                ]
            }
        ).warnings
        return Done(
            f'{len(report.results)} checks were made, {len(warnings)} with a warning.',
            data={
                'former_boot_id': report.answer.boot_id,
                'former_server_version': report.answer.server_version,
                'former_agent_version': report.answer.agent_version,
                FORMER_HAD_KEY: self.preflight.key_delivery.has_key(row.instance_id),
                notes.WARNINGS: [warning.to_row() for warning in warnings],
            },
            changes={
                'former_image_id': report.picture.server.image_id,
                'target_image_id': report.image.id,
            },
        )

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Nothing was changed."""
        return exceptions.StepRefused(
            f'Upgrade {row.id} cannot begin: its checks were not complete after '
            f'{self.timeout_seconds:g} s ({found}). Nothing was changed; '
            'mend that and upgrade again.',
            'PRECHECK_TIMEOUT',
        )
