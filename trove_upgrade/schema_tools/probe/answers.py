# SPDX-License-Identifier: Apache-2.0
"""Answers about one statement: what waits for it, what work it is, and how that is known."""

import dataclasses
import enum


class Blocks(enum.StrEnum):
    """Waiters while the statement runs."""

    NOTHING = 'nothing'  #: for longer than a moment
    ROWS = 'writes to the rows it changes'
    WRITES = 'writes'  #: reads go on
    EVERYTHING = 'reads and writes'
    DATABASE = 'the whole database'  #: SQLite's lock is the file's
    UNKNOWN = 'unknown'


class Work(enum.StrEnum):
    """Amount of the server's work, which tells how long it may take."""

    NONE = 'none'  #: the statement is passed over, or concerns no data
    METADATA = 'metadata'  #: the same for any number of rows
    SCAN = 'scan'  #: reads every row
    INDEX = 'index'  #: reads every row and writes an index
    REBUILD = 'rebuild'  #: writes the whole table anew
    ROWS = 'rows'  #: changes rows
    UNKNOWN = 'unknown'


class Source(enum.StrEnum):
    """Source of an answer: this server, or what is known of all of its kind."""

    ASKED = 'asked'  #: this server did it to an empty copy of the table
    KNOWN = 'known'  #: it is the same on every server of this kind, and cannot be tried on a copy
    NOT_ASKED = 'not asked'  #: `detail` says why


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Answer about one statement: what it blocks, what it does, and how that is known."""

    blocks: Blocks
    work: Work
    lock: str  #: the server's own name of the lock, '' where none is named
    source: Source
    detail: str = ''  #: why it was not asked, or what else there is to say

    @property
    def rebuilds(self) -> bool | None:
        """Return whether the table is written anew; None where that is not known."""
        return None if self.work is Work.UNKNOWN else self.work is Work.REBUILD


def not_asked(reason: str) -> Answer:
    """Make the answer about a statement of which nothing is known."""
    return Answer(
        blocks=Blocks.UNKNOWN, work=Work.UNKNOWN, lock='', source=Source.NOT_ASKED, detail=reason
    )


def already_there(what: str) -> Answer:
    """A revision that died half way has done it: the next run passes it over."""
    return Answer(
        blocks=Blocks.NOTHING,
        work=Work.NONE,
        lock='',
        source=Source.ASKED,
        detail=f'done already: {what}',
    )


NEW_TABLE = Answer(
    blocks=Blocks.NOTHING,
    work=Work.NONE,
    lock='',
    source=Source.KNOWN,
    detail='a new table, that no service uses yet',
)
