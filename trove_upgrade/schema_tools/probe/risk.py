# SPDX-License-Identifier: Apache-2.0
"""Risk of a statement for the services that go on working, given how large the table is."""

import dataclasses
import enum

from trove_upgrade.schema_tools.probe.answers import Answer, Blocks, Source, Work
from trove_upgrade.schema_tools.probe.sizes import Size
from trove_upgrade.schema_tools.sql.changes import Kind
from trove_upgrade.schema_tools.sql.statements import Form, Statement

#: Assumed, and on the slow side: what a small server with cold caches reads and writes in a second
#: when it builds a table or an index.
BYTES_PER_SECOND = 20_000_000
ROWS_PER_SECOND = 20_000  #: assumed, for statements that change rows

_SHORT_SECONDS = 0.5  #: no caller notices
_LONG_SECONDS = 5.0  #: requests time out
_LOAD_SECONDS = 60.0  #: of work beside the service
_DESTROYING = {Kind.DROP_TABLE, Kind.DROP_COLUMN}

#: In words, where it is not 'writes wait'.
WAITING = {Blocks.NOTHING: 'services go on', Blocks.DATABASE: 'the whole database is locked'}


class Level(enum.StrEnum):
    """Severity of a risk; comparable by `rank`."""

    NONE = 'none'
    LOW = 'low'
    MEDIUM = 'medium'
    HIGH = 'high'

    @property
    def rank(self) -> int:
        """Return the place among the levels, from 0 for none."""
        return list(Level).index(self)


@dataclasses.dataclass(frozen=True)
class Risk:
    """Risk of a step: its level, with the reason in a few words."""

    level: Level
    reason: str


def assess(statement: Statement, answer: Answer, size: Size | None) -> Risk:
    """`size` is None where there is no such table, or where it may not be looked at."""
    risk = _of_waiting(answer, size)
    if answer.work is Work.NONE or not _destroys(statement):
        return risk
    gone = Risk(Level.MEDIUM, 'what is dropped is gone: only a backup brings it back')
    return (
        gone
        if risk.level.rank <= gone.level.rank
        else Risk(risk.level, f'{risk.reason}; {gone.reason}')
    )


def _of_waiting(answer: Answer, size: Size | None) -> Risk:
    if answer.work is Work.NONE:
        return Risk(Level.NONE, answer.detail or 'nothing of a table is touched')
    if size is not None and size.is_empty:
        return Risk(Level.LOW, 'the table is empty')
    if answer.source is Source.NOT_ASKED:
        return Risk(Level.HIGH, 'not known: it may lock or rebuild the table' + _of(size))
    if answer.work is Work.METADATA:
        return Risk(
            Level.LOW,
            'the same for any number of rows; waits for open transactions on the table, a short '
            'time and again',
        )
    return _of_size(answer, size)


def _of_size(answer: Answer, size: Size | None) -> Risk:
    seconds = _seconds(answer, size)
    online = answer.blocks is Blocks.NOTHING
    if seconds is None:
        return Risk(
            Level.MEDIUM if online else Level.HIGH,
            f'{_wait(answer.blocks)}; how large the table is cannot be seen',
        )
    if online:
        level = Level.LOW if seconds < _LOAD_SECONDS else Level.MEDIUM
        return Risk(
            level, f'services go on; {_duration(seconds)} of work for the server{_of(size)}'
        )
    level = (
        Level.LOW
        if seconds < _SHORT_SECONDS
        else Level.MEDIUM
        if seconds < _LONG_SECONDS
        else Level.HIGH
    )
    return Risk(level, f'{_wait(answer.blocks)} for {_duration(seconds)}{_of(size)}')


def _seconds(answer: Answer, size: Size | None) -> float | None:
    if size is None:
        return None
    if answer.work is Work.ROWS or size.bytes is None:
        return size.rows / ROWS_PER_SECOND
    return size.bytes / BYTES_PER_SECOND


def _wait(blocks: Blocks) -> str:
    return WAITING.get(blocks, f'{blocks} wait')


def _of(size: Size | None) -> str:
    return '' if size is None else f' (about {size.rows} rows)'


def _duration(seconds: float) -> str:
    return (
        'less than a second'
        if seconds < 1
        else f'some {seconds:.0f} s'
        if seconds < 120
        else f'some {seconds / 60:.0f} min'
    )


def _destroys(statement: Statement) -> bool:
    return statement.form is not Form.OTHER and any(
        change.kind in _DESTROYING for change in statement.changes
    )
