# SPDX-License-Identifier: Apache-2.0
"""An upgrade as it travels between the database, the API and a taskmanager."""
import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain import states

#: Anything that JSON can hold: the frozen dataclasses keep what they do not interpret in such a mapping.
Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class StepRun:
    """One step of one attempt: when, how often, and how it ended."""

    step: states.Step
    attempt: int
    started_at: datetime.datetime
    ended_at: datetime.datetime | None = None
    runs: int = 0                    #: how often a taskmanager has run the step
    outcome: str | None = None       #: 'done', 'refused', 'failed'; None while it goes on
    percent: int | None = None       #: 0 to 100 where the step can tell
    message: str | None = None       #: what it waits for or did, for a person


@dataclasses.dataclass(frozen=True)
class Upgrade:
    """A row of `instance_upgrades`, as it was when read.  Change it with `evolve` and save it under its generation."""

    id: str
    instance_id: str
    project_id: str
    instance_name: str
    server_id: str
    state: states.UpgradeState
    step: states.Step
    attempt: int                     #: 1 at first, raised by each operator's retry or rollback
    rebuild_attempt: int             #: 0 before the first rebuild is asked; part of the marker
    former_version_id: str
    target_version_id: str
    former_image_id: str | None      #: what the server ran when precheck looked; None before
    target_image_id: str             #: frozen at begin: repointing the version does not move a running upgrade
    datastore_manager: str           #: e.g. mariadb
    target_number: str               #: the version that verify wants to hear from the server, e.g. 11.8.6
    generation: int                  #: raised by each claim; travels in every guest call
    created_at: datetime.datetime
    updated_at: datetime.datetime
    owner: str | None = None
    lease_until: datetime.datetime | None = None
    next_run_at: datetime.datetime | None = None
    step_deadline: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    steps: tuple[StepRun, ...] = ()
    data: Json = dataclasses.field(default_factory=dict)
    #: what steps hand on: 'former_boot_id', 'upgrade_info', 'fingerprint', 'undoing', 'downtime_seconds', ...
    cause: str | None = None
    error_code: str | None = None
    request_id: str | None = None
    user_id: str | None = None

    @property
    def marker(self) -> str:
        """What the server's metadata and user data carry, so that nobody asks Nova twice for one rebuild."""
        return f'{self.id}:{self.rebuild_attempt}'

    def evolve(self, **changes: Any) -> Self:
        """A copy with `changes`."""
        return dataclasses.replace(self, **changes)

    def with_data(self, **entries: Any) -> Self:
        """A copy whose `data` has `entries` besides what it had."""
        return dataclasses.replace(self, data={**self.data, **entries})


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One line of a preflight report."""

    name: str            #: e.g. 'server_active', 'guest_disk_space'
    outcome: str         #: 'ok', 'warning', 'refused' or 'unknown'
    message: str
    code: str | None = None   #: stable; set where the outcome is not 'ok'


@dataclasses.dataclass(frozen=True)
class UpgradeCheck:
    """A stored preflight report."""

    id: str
    instance_id: str
    project_id: str
    target_version_id: str
    state: str                       #: PENDING, RUNNING, COMPLETED, FAILED
    created_at: datetime.datetime
    updated_at: datetime.datetime
    results: tuple[CheckResult, ...] = ()
    error_code: str | None = None
    cause: str | None = None

    @property
    def allowed(self) -> bool | None:
        """Whether the upgrade would begin; None while the report is not there yet."""
        if self.state != 'COMPLETED':
            return None
        return all(result.outcome in {'ok', 'warning'} for result in self.results)


@dataclasses.dataclass(frozen=True)
class OutboxEvent:
    """Something that must be sent at least once.

    `kind` is 'start', 'end', 'error' (notifications) or 'finish' (the guest's finish_upgrade).
    """

    id: str                          #: the event_id that receivers tell repetitions by
    upgrade_id: str
    kind: str
    attempt: int
    payload: Json
    created_at: datetime.datetime
