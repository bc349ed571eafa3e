# SPDX-License-Identifier: Apache-2.0
"""Result of one check."""

import dataclasses
import enum
from typing import Self


class Outcome(enum.StrEnum):
    """Outcomes of a check."""

    OK = 'OK'
    FAILED = 'FAILED'
    NOT_OFFERED = 'NOT_OFFERED'  #: the service has nothing of the kind


@dataclasses.dataclass(frozen=True)
class Verified:
    """One check of an instance, with a sentence for a person."""

    name: str
    outcome: Outcome
    message: str

    @classmethod
    def ok(cls, name: str, message: str) -> Self:
        """Make the result of a check that holds."""
        return cls(name, Outcome.OK, message)

    @classmethod
    def failed(cls, name: str, message: str) -> Self:
        """Make the result of one that does not."""
        return cls(name, Outcome.FAILED, message)

    @property
    def is_failure(self) -> bool:
        """Return whether something is not as it should be."""
        return self.outcome is Outcome.FAILED
