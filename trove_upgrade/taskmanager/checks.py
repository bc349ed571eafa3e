# SPDX-License-Identifier: Apache-2.0
"""Runs stored upgrade checks: the whole preflight, in Nova and in the guest, nothing changed."""

import dataclasses
import datetime
from collections.abc import Callable

from trove_upgrade.domain import checks, exceptions, instances, logs, ports, silence
from trove_upgrade.domain.guests import (
    GuestAnswer,
    GuestCall,
    Heartbeat,
    JobState,
    Method,
    whole_seconds,
)
from trove_upgrade.domain.upgrade_checks import CheckResult, CheckState, UpgradeCheck
from trove_upgrade.taskmanager.holdings import Holdings
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.preflight import Preflight, Report, Subject
from trove_upgrade.taskmanager.steps.calls import Calls

LOG = logs.get_logger(__name__)

_WORK = 'An upgrade check could not be worked on until its lease has run out'
_LATER = 'Ask for another check later.'


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckRunner:
    """Runs one check at a time; safe to share between threads."""

    checks: ports.UpgradeCheckRepository
    preflight: Preflight
    calls: Calls
    pause: Callable[[float], None]  #: waits so many seconds, less if the service stops
    holdings: Holdings
    timeout_seconds: float
    guests: ports.GuestRepository
    outages: Outages = dataclasses.field(default_factory=Outages)

    def run(self, check_id: str) -> None:
        """Claim, check, store the report.  Never raises: the edge of a worker's thread."""
        try:
            with self.holdings.claimed(check_id, self.checks.claim) as check:
                self._make(check)
        except exceptions.LeaseLost as error:
            LOG.debug('%s', error.message)
        except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
            self.outages.met(_WORK, error, row=check_id)
        else:
            self.outages.over(_WORK)

    def _make(self, check: UpgradeCheck) -> None:
        self.holdings.works(check.id, self.timeout_seconds * 2)
        results = self._results_or_cause(check)
        done = dataclasses.replace(check, state=CheckState.COMPLETED, results=results)
        self.checks.finish(done, self.holdings.owner)
        LOG.info(
            'Upgrade check %s of instance %s: COMPLETED, %d results',
            check.id,
            check.instance_id,
            len(results),
        )

    def _results_or_cause(self, check: UpgradeCheck) -> tuple[CheckResult, ...]:
        """The report; where something that no check expects ended it, one that says so: the tenant
        waits for its end.

        Raises what only the database can end.
        """
        try:
            return self._results(check)
        except exceptions.LeaseLost:
            raise
        except Exception as error:
            if self.outages.is_known(error):
                raise
            LOG.exception(
                'Upgrade check %s of instance %s ended in an unexpected error',
                check.id,
                check.instance_id,
            )
            found = checks.unknown(
                'check',
                'The checks ended in an error that the taskmanager did not expect; its log says '
                'which. Ask for a new check when the operator has mended it.',
                exceptions.TroveUpgradeError.code,
            )
            return (found,)

    def _results(self, check: UpgradeCheck) -> tuple[CheckResult, ...]:
        subject = Subject(
            instance_id=check.instance_id,
            target_version_id=check.target_version_id,
            target_image_id='',
            expected_task=instances.Task.NONE,
            marker=f'{check.id}:0',
        )
        try:
            before = self.preflight.outside(subject)
        except exceptions.ComputeUnavailable as error:
            LOG.warning(
                'Upgrade check %s of instance %s: %s', check.id, check.instance_id, error.message
            )
            before = Report(
                results=(checks.unknown('compute', f'{error.public_message} {_LATER}', error.code),)
            )
        try:
            return self._with_guest(check, before).results
        except exceptions.GuestUnavailable as error:
            found = silence.explained(error, self.guests.last_word(check.instance_id))
            return (*before.results, checks.unknown('guest', found.public_message, found.code))
        except exceptions.DatastoreVersionNotFound:
            return before.results

    def _with_guest(self, check: UpgradeCheck, before: Report) -> Report:
        """Ask the guest until it answers, for `timeout_seconds` at most.

        :raises GuestUnavailable: it does not answer, or is not ready in time.
        """
        call = self._call(check)
        until = self.calls.clock.monotonic() + self.timeout_seconds
        while self.calls.clock.monotonic() < until:
            self.holdings.require(check.id)
            report = self.preflight.with_guest(before, call)
            if report.answer is None or report.answer.state is not JobState.RUNNING:
                self._remember(check, report.answer)
                return report
            self.pause(self.calls.poll_seconds)
        raise exceptions.GuestStillWorking(
            instance_id=check.instance_id,
            method=Method.CHECK_UPGRADE,
            timeout_seconds=self.timeout_seconds,
        )

    def _remember(self, check: UpgradeCheck, answer: GuestAnswer | None) -> None:
        """A guest that answers has our agent, also where its heartbeats were lost.  What one of
        them said is not overwritten.
        """
        if answer is None:
            return
        if self.guests.heartbeat(check.instance_id) is not None:
            self.guests.keep_known(check.instance_id)
        else:
            self.guests.record(
                Heartbeat(
                    instance_id=check.instance_id,
                    boot_id=answer.boot_id,
                    marker=None,
                    restored=False,
                    agent_version=answer.agent_version,
                    server_version=answer.server_version,
                    server_state=answer.server_state,
                )
            )

    def _call(self, check: UpgradeCheck) -> GuestCall:
        """Make the call of a check, with the check's id in the place of an upgrade's.

        :raises DatastoreVersionNotFound: the report says so already.
        """
        target = self.preflight.datastores.version_by_id(check.target_version_id)
        return GuestCall(
            instance_id=check.instance_id,
            upgrade_id=check.id,
            attempt=1,
            generation=0,
            deadline=self.calls.clock.now() + datetime.timedelta(seconds=self.timeout_seconds),
            target=self.calls.facts(target.id, target.manager, target.number),
            options=self.calls.options,
            seconds=whole_seconds(self.timeout_seconds),
        )
