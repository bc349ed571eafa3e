# SPDX-License-Identifier: Apache-2.0
"""Cells of the commands' tables: for a person a short text, for a program the value of the API."""

import dataclasses
import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from troveupgradeclient.printable import printable
from troveupgradeclient.v1 import times
from troveupgradeclient.v1.resources import (
    ChangedSetting,
    CheckResult,
    Downtime,
    ExpectedDowntime,
    Note,
    State,
    Step,
    Upgrade,
    Version,
)

#: Formats that write what is not printable as escapes of their own.
_EXACT = frozenset({'json', 'yaml'})
#: By a shell, within double quotes; the double quote itself is escaped by the format.
_OBEYED = re.compile(r'[\\$`]')
#: By the basis of an expected downtime: which upgrades it is told by.
_BASES = {
    'like_volume': ' of like volumes',
    'any_volume': ' of any volumes',
    'too_few': ', too few to be sure',
}
_AGED = frozenset({'since', 'oldest'})
#: Aged while the upgrade is held, and no longer.
_AGED_IN_HOLD = 'held_since'


class Cell(FormattableColumn[Any]):
    """A value, with the text that a person reads."""

    def __init__(self, value: Any, text: str) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        """Return the text, without what a terminal would obey."""
        return '\n'.join(printable(line) for line in self._text.split('\n'))

    def machine_readable(self) -> Any:
        """Return the value as JSON has it."""
        return plain(self._value)


class _Escaped(Cell):
    """A cell whose text reaches a terminal or a shell also where it is a program's."""

    def __init__(self, cell: Cell, for_shell: bool) -> None:
        super().__init__(cell.machine_readable(), cell.human_readable())
        self._for_shell = for_shell

    def machine_readable(self) -> Any:
        """Return text without what a terminal, or a shell within double quotes, would obey; of
        what has parts the text of a table.
        """
        value = super().machine_readable()
        is_whole = not isinstance(value, dict | list)
        text = printable(str(value)) if is_whole else self.human_readable()
        if self._for_shell:
            return _OBEYED.sub(r'\\\g<0>', text)
        return value if is_whole and not isinstance(value, str) else text


def for_format(name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells as a format prints them: exact where the format has a way to write each
    character.
    """
    if name in _EXACT:
        return tuple(cells)
    return tuple(_Escaped(each, name == 'shell') for each in cells)


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def cell(record: Any, name: str, now: datetime.datetime) -> Cell:
    """Return the cell of a record's field; ages are those at `now`."""
    value = getattr(record, name)
    is_aged = name in _AGED or (name == _AGED_IN_HOLD and record.state == State.HELD)
    if value is not None and is_aged:
        return Cell(value, _with_age(value, value, now))
    return Cell(value, _text(value))


def row(record: Any, names: Sequence[str], now: datetime.datetime) -> tuple[Cell, ...]:
    """Return the cells of some fields."""
    return tuple(cell(record, name, now) for name in names)


def listed(upgrade: Upgrade, names: Sequence[str], now: datetime.datetime) -> tuple[Cell, ...]:
    """Return the cells of an upgrade in a list, where the state of one that is held has its age."""
    found = row(upgrade, names, now)
    if upgrade.state != State.HELD or upgrade.held_since is None:
        return found
    state = Cell(upgrade.state, _with_age(upgrade.state, upgrade.held_since, now))
    return tuple(
        state if name == 'state' else each for name, each in zip(names, found, strict=True)
    )


def field_names(kind: type) -> tuple[str, ...]:
    """Return all fields of a record."""
    return tuple(field.name for field in dataclasses.fields(kind))


def headings(names: Sequence[str]) -> tuple[str, ...]:
    """Return the headings of a list's columns."""
    words = (name.split('_') for name in names)
    return tuple(
        ' '.join('ID' if word == 'id' else word.capitalize() for word in each) for each in words
    )


def _text(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, tuple):
        return '\n'.join(_text(each) for each in value)
    return next((text(value) for kind, text in _TEXTS if isinstance(value, kind)), str(value))


def _with_age(text: str, since: str, now: datetime.datetime) -> str:
    moment = times.read(since)
    return text if moment is None else f'{text} ({times.span((now - moment).total_seconds())})'


def _step(step: Step) -> str:
    begun, ended = times.read(step.started_at), times.read(step.ended_at)
    took = f' in {times.span((ended - begun).total_seconds())}' if begun and ended else ''
    percent = f' {step.percent} %' if step.percent is not None and not step.outcome else ''
    attempt = f' (attempt {step.attempt})' if step.attempt > 1 else ''
    message = f': {step.message}' if step.message else ''
    return f'{step.step}{attempt} {step.outcome or "goes on"}{took}{percent}{message}'


def _expected(value: ExpectedDowntime) -> str:
    upgrades = f'{value.upgrades} upgrade{"" if value.upgrades == 1 else "s"}'
    basis = _BASES.get(value.basis, f', {value.basis}')
    return (
        f'{value.median_seconds:.1f} s; nine of ten within {value.percentile_90_seconds:.1f} s '
        f'({upgrades}{basis})'
    )


def _downtime(value: Downtime) -> str:
    return ', '.join(
        f'{part} {seconds:.1f} s' for part, seconds in plain(value).items() if seconds is not None
    )


def _result(value: CheckResult) -> str:
    code = f' ({value.code})' if value.code else ''
    return f'{value.outcome} {value.name}: {value.message or ""}{code}'


_TEXTS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (Version, lambda value: value.name or value.id),
    (ExpectedDowntime, _expected),
    (Downtime, _downtime),
    (Step, _step),
    ((Note, ChangedSetting), lambda value: f'{value.code}: {value.message}'),
    (CheckResult, _result),
)
