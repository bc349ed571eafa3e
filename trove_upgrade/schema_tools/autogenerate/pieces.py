# SPDX-License-Identifier: Apache-2.0
"""Pieces that a change of the models becomes: pieces of an expand and of a contract, and what is to
be done to rows between them.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any


class Place(enum.IntEnum):
    """The order inside one revision."""

    TABLE = 0
    COLUMN = 1
    DROP_FOREIGN_KEY = 2
    DROP_CONSTRAINT = 3
    DROP_INDEX = 4
    ALTER = 5
    DROP_COLUMN = 6
    DROP_TABLE = 7
    INDEX = 8
    CONSTRAINT = 9
    FOREIGN_KEY = 10
    COMMENT = 11
    NOTE = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """One call of a function of `ops`, or a comment alone."""

    place: Place
    function: str = ''  #: '' where there is only something to say
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    comment: str = ''


class Work(enum.Enum):
    """Work of a data migration."""

    FILL = enum.auto()  #: give a column that is NULL a value
    COPY = enum.auto()  #: from a column to the one that follows it
    MEND = enum.auto()  #: what only a developer can say


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows that must be changed before the contract."""

    table: str
    work: Work
    column: str  #: that is written
    source: str  #: that is copied from, else ''
    why: str  #: a sentence: what the contract needs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """A change of the models, in its three phases."""

    expand: tuple[Piece, ...]
    contract: tuple[Piece, ...]
    rows: tuple[Rows, ...]
    warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not (self.expand or self.contract or self.rows)
