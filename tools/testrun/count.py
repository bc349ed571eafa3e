# SPDX-License-Identifier: Apache-2.0
"""Result of one suite, and of several together."""

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Count:
    """What a suite has come to."""

    passed: int = 0
    failures: tuple[str, ...] = ()  #: their names
    skipped: int = 0

    @property
    def failed(self) -> int:
        """Number of failures."""
        return len(self.failures)

    def __str__(self) -> str:
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


def total(counts: Iterable[Count]) -> Count:
    """All of them together."""
    found = list(counts)
    return Count(
        sum(one.passed for one in found),
        tuple(name for one in found for name in one.failures),
        sum(one.skipped for one in found),
    )
