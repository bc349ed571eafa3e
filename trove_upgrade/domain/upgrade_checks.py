# SPDX-License-Identifier: Apache-2.0
"""A preflight report: what would stand in the way of an upgrade."""

import dataclasses
import datetime
import enum
from typing import Self

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.states import Extensible


class CheckOutcome(enum.StrEnum):
    """Outcomes of one check, from which the report's `allowed` follows."""

    OK = 'ok'
    WARNING = 'warning'  #: the upgrade would begin all the same
    REFUSED = 'refused'
    UNKNOWN = 'unknown'  #: it could not be found out; the upgrade would not begin


#: With these alone an upgrade begins.
PASSING: frozenset[str] = frozenset({CheckOutcome.OK, CheckOutcome.WARNING})


class CheckState(Extensible):
    """States of a report, from accepted to made or failed."""

    PENDING = 'PENDING'
    RUNNING = 'RUNNING'
    COMPLETED = 'COMPLETED'
    FAILED = 'FAILED'


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One line of a preflight report."""

    name: str  #: e.g. 'server_active', 'guest_disk_space'
    outcome: str  #: a CheckOutcome; a guest of a later release may know others, which do not pass
    message: str
    code: str | None = None  #: stable; set where the outcome is not OK

    @classmethod
    def ok(cls, name: str, message: str) -> Self:
        """Make the result of a check that holds."""
        return cls(name=name, outcome=CheckOutcome.OK, message=message)

    @classmethod
    def warning(cls, name: str, message: str, code: str | None) -> Self:
        """A check that the tenant should read, and that forbids nothing."""
        return cls(name=name, outcome=CheckOutcome.WARNING, message=message, code=code)

    @classmethod
    def refused(cls, name: str, message: str, code: str | None) -> Self:
        """A check that forbids the upgrade."""
        return cls(name=name, outcome=CheckOutcome.REFUSED, message=message, code=code)

    @classmethod
    def unknown(cls, name: str, message: str, code: str | None) -> Self:
        """A check that could not be made."""
        return cls(name=name, outcome=CheckOutcome.UNKNOWN, message=message, code=code)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpgradeCheck:
    """Preflight report of an instance for a target version, as it is stored."""

    id: str
    instance_id: str
    project_id: str
    target_version_id: str
    state: CheckState
    created_at: datetime.datetime
    updated_at: datetime.datetime
    results: tuple[CheckResult, ...] = ()
    error_code: str | None = None
    cause: str | None = None

    @property
    def allowed(self) -> bool | None:
        """Return whether the upgrade would begin; None while the report is not there yet."""
        if self.state is not CheckState.COMPLETED:
            return None
        return all(result.outcome in PASSING for result in self.results)


class CheckTaken(exceptions.LeaseLost):
    """Another taskmanager makes the check, or it has ended."""

    template = (
        'Upgrade check {check_id} is made by another taskmanager, or has ended. Nothing was '
        'written; ask for the check to see its report.'
    )
