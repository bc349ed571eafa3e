# SPDX-License-Identifier: Apache-2.0
"""Choices of the user who asks for an upgrade, and the hold that may come of them: all that can be
prepared is done, and then the upgrade waits.
"""

import dataclasses
import datetime
import enum


class OnFailure(enum.StrEnum):
    """Consequences of a failure at which the former image could serve again."""

    ERROR = 'error'  #: it ends FAILED, and an operator decides
    ROLLBACK = 'rollback'  #: it goes back to the former image by itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """Choices of a user for one upgrade."""

    on_failure: OnFailure | None = None  #: None: as the operator's option has it
    hold: bool = False  #: wait for `proceed` once it is prepared
    not_before: datetime.datetime | None = None  #: aware UTC; the same, and it begins by itself

    @property
    def asks_for_hold(self) -> bool:
        """Return whether the upgrade may have to wait."""
        return self.hold or self.not_before is not None

    def rolls_back(self, default: bool) -> bool:
        """Return whether a failure turns the upgrade back; `default`: the operator's option."""
        return default if self.on_failure is None else self.on_failure is OnFailure.ROLLBACK


#: As of a client that knows none of them.
NO_CHOICES = Choices()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hold:
    """The time in which an upgrade waits."""

    since: datetime.datetime | None = None  #: None: it has not begun
    until: datetime.datetime | None = None  #: it ends by itself then; None: it proceeds by itself
    over_at: datetime.datetime | None = None  #: it has proceeded, and is not held again
    #: why it could not proceed when it was last tried, its time having come
    kept_by: str | None = None


NO_HOLD = Hold()

#: How long one may last, unless an operator has set it.
LONGEST_SECONDS = 7 * 86400.0
#: How long a time to begin at may be over when it is asked for: clocks differ, and requests take
#: their time.
LATE = datetime.timedelta(minutes=5)
#: A hold is looked at at least that often: its instance may have been deleted.
_LOOK_SECONDS = 3600.0
#: Another action has the instance when the time has come: it is asked again.
BUSY_SECONDS = 15.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A hold that begins now."""

    until: datetime.datetime
    look_in_seconds: float


def has_come(choices: Choices, now: datetime.datetime) -> bool:
    """Return whether the time at which the upgrade is to begin is there or over."""
    return choices.not_before is not None and choices.not_before <= now


def plan(choices: Choices, now: datetime.datetime, longest_seconds: float) -> Plan | None:
    """Return the hold that these choices lead to; None: what was to be waited for has come.

    One that waits for a time has the longest time of a hold from then on: another action may have
    the instance just then.
    """
    if has_come(choices, now):
        return None
    until = (choices.not_before or now) + datetime.timedelta(seconds=longest_seconds)
    return Plan(until=until, look_in_seconds=look_in_seconds(choices, until, now))


def look_in_seconds(
    choices: Choices, until: datetime.datetime | None, now: datetime.datetime
) -> float:
    """Return after how many seconds a hold is to be looked at again."""
    moments = [moment for moment in (choices.not_before, until) if moment is not None]
    left = ((moment - now).total_seconds() for moment in moments)
    return min(_LOOK_SECONDS, max(0.0, min(left, default=_LOOK_SECONDS)))
