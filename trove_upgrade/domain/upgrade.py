# SPDX-License-Identifier: Apache-2.0
"""An upgrade as it travels between the database, the API and a taskmanager."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain import notes, states

#: In a row's data: why the upgrade is given up before the rebuild,
#: so that a takeover goes on giving it up.
UNDOING = 'undoing'
#: In a row's data: why it goes back to the former image, so that a takeover goes on going back:
#: {'cause', 'error_code'}.
ROLLING_BACK = 'rolling_back'
#: In a row's data: the attempt in which post_upgrade was last sent to the target's guest.  From
#: then on the point of no return counts as passed, unless that attempt's guest has said otherwise.
SENT = 'post_upgrade_sent_in_attempt'
#: In a row's data: the attempt in which the target's guest said, at its end, that no server was
#: started on the data.
UNTOUCHED = 'data_untouched_in_attempt'
#: In a row's data: the attempt in which post_upgrade was last sent to the former image's guest: its
#: server may have written.
SENT_BACK = 'rollback_sent_in_attempt'
#: In a row's data: the attempt that the current rebuild_attempt was raised for,
#: and how many were raised in it.
ASKED_FOR = 'rebuild_for_attempt'
ASKED = 'rebuilds_in_attempt'
#: In a row's data: Nova has been seen to carry our marker in this attempt;
#: the former guest is gone or going.
ACCEPTED = 'rebuild_accepted_in_attempt'

#: In a row's data: when Trove's conductor had last been told of the database before post_upgrade
#: was sent; ISO 8601.
STATUS_SEEN = 'service_status_seen_at'
#: In a row's data: the attempt in which verify has passed, and when.
VERIFIED = 'verified_in_attempt'
VERIFIED_AT = 'verified_at'

#: Anything that JSON can hold: the frozen dataclasses keep what they do not
#: interpret in such a mapping.
Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class StepRun:
    """One step of one attempt: when, how often, and how it ended."""

    step: states.Step
    attempt: int
    started_at: datetime.datetime
    ended_at: datetime.datetime | None = None
    runs: int = 0  #: how often a taskmanager has run the step
    outcome: str | None = None  #: 'done', 'refused', 'failed'; None while it goes on
    percent: int | None = None  #: 0 to 100 where the step can tell
    message: str | None = None  #: what it waits for or did, for a person


@dataclasses.dataclass(frozen=True)
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
    target_image_id: str  #: frozen at begin: repointing the version does not move a running upgrade
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
    #: what steps hand on: 'former_boot_id', 'upgrade_info', 'fingerprint', 'undoing',
    #: 'downtime_seconds', ...
    data: Json = dataclasses.field(default_factory=dict)
    cause: str | None = None
    error_code: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    stalls: int = 0  #: how often it has kept a worker waiting of late: domain.stalls

    @property
    def marker(self) -> str:
        """Return what the server's metadata and user data carry,
        so that Nova is not asked twice for one rebuild.
        """
        return f'{self.id}:{self.rebuild_attempt}'

    @property
    def is_rolling_back(self) -> bool:
        """Return whether the steps lead to the former image; stays after the end,
        for what is said to the guest later.
        """
        return ROLLING_BACK in self.data

    @property
    def wanted_image_id(self) -> str:
        """The image that the next rebuild is asked for."""
        return (self.former_image_id or '') if self.is_rolling_back else self.target_image_id

    @property
    def wanted_version_id(self) -> str:
        """The datastore version whose guest is to serve in the end."""
        return self.former_version_id if self.is_rolling_back else self.target_version_id

    @property
    def wanted_number(self) -> str:
        """Return what verify wants to hear: a way back ends at what the former server itself
        said before it was stopped.
        """
        return (
            str(self.data.get('former_server_version') or '')
            if self.is_rolling_back
            else self.target_number
        )

    @property
    def known_boot_id(self) -> str | None:
        """The boot of the guest that the row's step works with, once its agent has told it."""
        if self.step in states.BEFORE_REBUILD:
            return self.data.get('former_boot_id') or None
        return (
            (self.data.get('boot_id') or None)
            if self.step in {states.Step.RESTORE, states.Step.VERIFY}
            else None
        )

    @property
    def notes(self) -> notes.Notes:
        """Return what its tenant should learn of it besides its end."""
        return notes.Notes.of(self.data)

    def silent_seconds(self, now: datetime.datetime) -> float:
        """For how long a taskmanager should have worked on it and none has; 0 while one holds it,
        it waits, or it has ended.
        """
        since = self.lease_until or self.next_run_at or self.updated_at
        return max(0.0, (now - since).total_seconds()) if self.state in states.ACTIVE else 0.0

    @property
    def no_return(self) -> bool:
        """Return whether the new server may have been started on the data, as far as this row
        knows.
        """
        return is_past_no_return(self.data)

    @property
    def may_have_served_again(self) -> bool:
        """Return whether a rollback may have started the former server on the data: unless it was
        refused for `no_return`.
        """
        return SENT_BACK in self.data and not self.no_return

    def why_no_rollback(self) -> str | None:
        """Return what stands in the way of the former image, as far as this row knows;
        None: nothing does.
        """
        if self.no_return:
            return (
                'the new server may have been started on its data, '
                'so that the former one could damage it'
            )
        if self.data.get(ACCEPTED) is None or UNDOING in self.data:
            return 'Nova has not accepted a rebuild, so that there is nothing to go back from'
        if self.former_image_id is None:
            return 'the image that its server had is not known, as where it is booted from a volume'
        if not self.data.get('upgrade_info'):
            return 'the former guest kept nothing that could be restored'
        return None

    def turned_back(self, cause: str | None, error_code: str | None) -> Self:
        """A copy that goes back to the former image, by way of a rebuild that is asked anew."""
        return self._redirected(**{ROLLING_BACK: {'cause': cause, 'error_code': error_code}})

    def turned_forward(self) -> Self:
        """A copy that goes to the target again, by way of a rebuild that is asked anew."""
        return self._redirected()

    def _redirected(self, **entries: Any) -> Self:
        dropped = {ROLLING_BACK, ASKED_FOR, ASKED, SENT_BACK}
        kept = {key: value for key, value in self.data.items() if key not in dropped}
        return self.evolve(step=states.Step.REBUILD, data={**kept, **entries})

    def evolve(self, **changes: Any) -> Self:
        """A copy with `changes`."""
        return dataclasses.replace(self, **changes)

    def with_data(self, **entries: Any) -> Self:
        """A copy whose `data` has `entries` besides what it had."""
        return dataclasses.replace(self, data={**self.data, **entries})


def is_past_no_return(data: Json) -> bool:
    """Of a row's data: whether the new server may have been started on the instance's."""
    sent = data.get(SENT)
    return sent is not None and data.get(UNTOUCHED) != sent


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One line of a preflight report."""

    name: str  #: e.g. 'server_active', 'guest_disk_space'
    outcome: str  #: 'ok', 'warning', 'refused' or 'unknown'
    message: str
    code: str | None = None  #: stable; set where the outcome is not 'ok'


@dataclasses.dataclass(frozen=True)
class UpgradeCheck:
    """A stored preflight report."""

    id: str
    instance_id: str
    project_id: str
    target_version_id: str
    state: str  #: PENDING, RUNNING, COMPLETED, FAILED
    created_at: datetime.datetime
    updated_at: datetime.datetime
    results: tuple[CheckResult, ...] = ()
    error_code: str | None = None
    cause: str | None = None

    @property
    def allowed(self) -> bool | None:
        """Return whether the upgrade would begin; None while the report is not there yet."""
        if self.state != 'COMPLETED':
            return None
        return all(result.outcome in {'ok', 'warning'} for result in self.results)


@dataclasses.dataclass(frozen=True)
class OutboxEvent:
    """Something that must be sent at least once.

    `kind` is 'start', 'end', 'error' (notifications) or 'finish' (the guest's finish_upgrade).
    """

    id: str  #: the event_id that receivers tell repetitions by
    upgrade_id: str
    kind: str
    attempt: int
    payload: Json
    created_at: datetime.datetime
    tries: int = 0  #: how often it could not be sent
