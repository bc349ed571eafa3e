# SPDX-License-Identifier: Apache-2.0
"""Which mutants are tried, and what the tries come to."""

import dataclasses
import enum
import itertools
import random
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str  #: below the package
    operator: str
    occurrence: int  #: in the module, among the places where the operator changes something
    line: int


class Verdict(enum.StrEnum):
    """The end of one try."""

    KILLED = 'killed'  #: a test failed
    ENDLESS = 'endless'  #: the tests took several times as long as without the change: noticed, too
    SURVIVED = 'survived'


def drawn(mutants: Mapping[str, Sequence[Mutant]], count: int, seed: int) -> list[Mutant]:
    """`count` of them, by chance, and the same for the same seed: one of each module after the
    other, so that a run that is cut short has met all modules.

    What is drawn of a module does not depend on the others.
    """
    decks = [
        random.Random(f'{seed} {module}').sample(all_of_it, len(all_of_it))  # noqa: S311 - no secret
        for module, all_of_it in mutants.items()
    ]
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*decks))
    return [mutant for mutant in rounds if mutant is not None][:count]


@dataclasses.dataclass
class Score:
    """The tries so far."""

    planned: int
    verdicts: list[Verdict] = dataclasses.field(default_factory=list)

    @property
    def killed(self) -> int:
        """Number of changes that the tests have noticed."""
        return sum(verdict is not Verdict.SURVIVED for verdict in self.verdicts)

    def holds(self, percent: float) -> bool:
        """Return whether something was tried, and at least so many of a hundred were killed."""
        tried = len(self.verdicts)
        return tried > 0 and 100 * self.killed >= percent * tried

    def __str__(self) -> str:
        tried = len(self.verdicts)
        share = f' ({100 * self.killed / tried:.1f} %)' if tried else ''
        left = self.planned - tried
        return f'{self.killed} of {tried} mutants killed{share}' + (
            f'; {left} not tried, the time is over' if left else ''
        )
