# SPDX-License-Identifier: Apache-2.0
"""Outcomes of a step, and the interface of every step."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from trove_upgrade.domain import exceptions, upgrade

Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Done:
    """The step has done its part.  `data` is added to the row's,
    `changes` are fields of the row.
    """

    message: str | None = None
    data: Json = dataclasses.field(default_factory=dict)
    changes: Json = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Wait:
    """Run again in `seconds`; with 0 at once, after `data` and `changes` have been committed."""

    seconds: float
    message: str | None = None
    percent: int | None = None
    data: Json = dataclasses.field(default_factory=dict)
    changes: Json = dataclasses.field(default_factory=dict)


class Step(Protocol):
    """Interface of a step."""

    @property
    def timeout_seconds(self) -> float:
        """From its first run to its end."""

    @property
    def hold_seconds(self) -> float:
        """Return how long one run may take: the lease is at least this long when it begins."""

    def run(self, row: upgrade.Upgrade) -> Done | Wait:
        """Look, do one thing, say how it stands."""

    def expired(self, row: upgrade.Upgrade, found: str) -> exceptions.TroveUpgradeError:
        """Return what the time-out means: a StepRefused or a StepFailed.  `found` is what
        the last run waited for.
        """
