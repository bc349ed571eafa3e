# SPDX-License-Identifier: Apache-2.0
"""Resources of the service, as records. Field by field they are what the API's reference describes;
a field that an earlier release does not answer is None.
"""

import dataclasses
import enum

from troveupgradeclient.v1.times import Time


class State(enum.StrEnum):
    """States of an upgrade that this release of the client knows."""

    PENDING = 'PENDING'
    RUNNING = 'RUNNING'
    HELD = 'HELD'
    COMPLETED = 'COMPLETED'
    ABORTED = 'ABORTED'
    ROLLED_BACK = 'ROLLED_BACK'
    FAILED = 'FAILED'


#: An upgrade in one of these goes on by an operator's action alone, or not at all.
ENDED = frozenset({State.COMPLETED, State.ABORTED, State.ROLLED_BACK, State.FAILED})

#: Steps in their order.
STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')


class OnFailure(enum.StrEnum):
    """Ends of an upgrade that fails after the server was replaced."""

    ERROR = 'error'
    ROLLBACK = 'rollback'


class ActionName(enum.StrEnum):
    """Actions on an upgrade."""

    ABORT = 'abort'
    PROCEED = 'proceed'
    RETRY = 'retry'
    ROLLBACK = 'rollback'


class CheckState(enum.StrEnum):
    """States of a preflight report."""

    PENDING = 'PENDING'
    RUNNING = 'RUNNING'
    COMPLETED = 'COMPLETED'
    FAILED = 'FAILED'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """A datastore version; only its id where the operator has deleted it."""

    id: str
    name: str | None = None
    version: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpectedDowntime:
    """Downtime that earlier upgrades let expect."""

    median_seconds: float
    percentile_90_seconds: float
    basis: str
    upgrades: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Downtime:
    """Parts of the downtime in seconds."""

    stop: float | None = None
    rebuild: float | None = None
    boot: float | None = None
    restore: float | None = None
    open: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of an upgrade in one attempt."""

    step: str
    attempt: int
    started_at: Time | None = None
    ended_at: Time | None = None
    runs: int = 1
    outcome: str | None = None
    percent: int | None = None
    message: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """A warning or a remark of a step."""

    step: str | None = None
    code: str
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangedSetting:
    """A variable of the database that has another value since the upgrade."""

    step: str | None = None
    code: str
    message: str
    name: str | None = None
    before: str | None = None
    after: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upgrade:
    """An upgrade of one instance."""

    id: str
    instance_id: str
    instance_name: str | None = None
    project_id: str | None = None
    state: str
    step: str | None = None
    attempt: int = 1
    cancellable: bool | None = None
    former_version: Version | None = None
    target_version: Version | None = None
    target_number: str | None = None
    on_failure: str | None = None
    hold: bool | None = None
    not_before: Time | None = None
    held_since: Time | None = None
    held_until: Time | None = None
    expected_downtime: ExpectedDowntime | None = None
    expected_seconds_left: float | None = None
    rollback_possible_until: str | None = None
    downtime_seconds: float | None = None
    downtime: Downtime | None = None
    opened_at: Time | None = None
    cause: str | None = None
    error_code: str | None = None
    warnings: tuple[Note, ...] | None = None
    remarks: tuple[Note, ...] | None = None
    settings_changed: tuple[ChangedSetting, ...] | None = None
    steps: tuple[Step, ...] = ()
    created_at: Time | None = None
    updated_at: Time | None = None
    ended_at: Time | None = None
    user_id: str | None = None
    request_id: str | None = None
    former_image_id: str | None = None
    target_image_id: str | None = None

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more happens by itself; a state of a later release has ended where
        its time is there.
        """
        return self.state in ENDED or (
            self.state not in frozenset(State) and self.ended_at is not None
        )

    @property
    def percent(self) -> int | None:
        """Return how far the step that goes on is, where it can tell."""
        return self.steps[-1].percent if self.steps and not self.steps[-1].ended_at else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A version that an instance may be upgraded to, or the reason why not."""

    id: str
    name: str
    version: str | None = None
    active: bool | None = None
    current: bool | None = None
    allowed: bool
    reason_code: str | None = None
    reason: str | None = None
    expected_downtime: ExpectedDowntime | None = None
    image_is_booted: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """A check of a preflight report."""

    name: str
    outcome: str
    message: str | None = None
    code: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """A preflight report."""

    id: str
    instance_id: str
    target_version_id: str | None = None
    state: str
    allowed: bool | None = None
    expected_downtime: ExpectedDowntime | None = None
    results: tuple[CheckResult, ...] = ()
    cause: str | None = None
    error_code: str | None = None
    created_at: Time | None = None
    updated_at: Time | None = None

    @property
    def has_ended(self) -> bool:
        """Tell whether the report is there, or cannot be made."""
        return self.state in {CheckState.COMPLETED, CheckState.FAILED}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """An action on an upgrade, and whether the caller can take it now."""

    action: str
    allowed: bool
    reason_code: str | None = None
    reason: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectDrift:
    """Instances of one project whose booted image is not their version's current one."""

    project_id: str
    instances: int
    drifted: int
    unknown: int = 0
    oldest: Time | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceDrift:
    """An instance whose booted image is not its version's current one."""

    instance_id: str
    instance_name: str | None = None
    datastore_version: Version | None = None
    booted_image_id: str | None = None
    current_image_id: str | None = None
    since: Time | None = None


@dataclasses.dataclass(frozen=True)
class Instance:
    """An instance of Trove."""

    id: str
    name: str
