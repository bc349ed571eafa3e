# SPDX-License-Identifier: Apache-2.0
"""Picture of a run on a terminal of any width: lines for its counts, and one for each member that
is worked on.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from typing import TypeVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from trove_upgrade.bridge.report.durations import in_words
from trove_upgrade.domain.bridge_overview import EndedMember, Held, Overview
from trove_upgrade.domain.bridge_runs import MemberState, RunState
from trove_upgrade.domain.pace import CANARY, WAITS, Wait
from trove_upgrade.domain.printable import printable

#: Columns that are dropped on a terminal that is less wide: the ids and the steps stay.
_LEAST_WIDTHS: Mapping[str, int] = {'last': 70, 'name': 48, 'for': 36}
_Name = TypeVar('_Name', bound=str)
_WIDE = 120
_SHORT_ID, _WIDEST_BAR = 8, 60
_GAP = 2  #: between two columns
#: Of the columns, the widest step, "upgrade back", and time, "59 min 59 s".
_STEP, _FOR = 12, 11
_WIDEST_NAME = 40
#: Lines at most that are not of members.
_OTHERS = 9
_LEAST = 3
_STYLES: Mapping[MemberState, str] = {
    MemberState.COMPLETED: 'green',
    MemberState.FAILED: 'bold red',
    MemberState.ABORTED: 'magenta',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """All that a picture shows."""

    run_id: str
    overview: Overview
    now: datetime.datetime  #: by the clock of this host, as beginnings of steps are
    elapsed_seconds: float  #: since this process works on it
    per_hour: float | None
    seconds_left: float | None
    waits: Mapping[Wait, int]
    messages: Mapping[str, str]  #: the last one of each member here, by instance
    trouble: str | None  #: why the picture is not of now


@dataclasses.dataclass(frozen=True)
class Picture:
    """Renders itself for the width and the height that the terminal has at that moment."""

    shown: Shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        yield from _head(self.shown, width)
        rows = max(height - _OTHERS, _LEAST)
        held = self.shown.overview.held
        if held:
            yield _members(self.shown, held[:rows], width)
        if len(held) > rows:
            yield _line(f'and {len(held) - rows} others that are worked on', 'dim')
        if self.shown.trouble is not None:
            yield _line(self.shown.trouble, 'bold yellow')


def of_ended(member: EndedMember) -> Text:
    """Return the line of a member that has come to its end."""
    text = Text(f'{member.instance_id} {printable(member.name)}: ', overflow='fold')
    text.append(str(member.state), _STYLES.get(member.state, ''))
    if member.error_code is not None:
        text.append(f' {member.error_code}', 'bold')
    if member.cause is not None:
        text.append(f' {printable(member.cause)}')
    return text


def _line(text: str, style: str = '') -> Text:
    """Return one line, cut at the terminal's edge."""
    return Text(printable(text), style, no_wrap=True, overflow='ellipsis')


def _head(shown: Shown, width: int) -> Iterator[Text | Table]:
    seen = shown.overview
    yield Text()
    state = '' if seen.state is RunState.RUNNING else f' {seen.state}'
    yield _line(
        f'Run {shown.run_id}{state}{_wave(seen)}, {in_words(shown.elapsed_seconds)}', 'bold'
    )
    yield _progress(shown, width)
    yield _counts(shown)
    if seen.failures:
        told = ', '.join(f'{count} {code}' for code, count in _most(seen.failures))
        yield _line(f'failed: {told}', 'red')
    if shown.waits:
        told = ', '.join(f'{count} as {WAITS[wait]}' for wait, count in _most(shown.waits))
        yield _line(f'waiting: {told}', 'dim')


def _wave(seen: Overview) -> str:
    if seen.wave is None:
        return ''
    if seen.wave == CANARY:
        return ', canary'
    return f', wave {seen.wave} of {seen.last_wave}'


def _progress(shown: Shown, width: int) -> Table:
    seen = shown.overview
    percent = 100 * seen.finished // seen.tried if seen.tried else 100
    told = f'{seen.finished}/{seen.tried} {percent} %'
    if shown.per_hour is not None:
        told += f'  {_rate(shown.per_hour)}/h'
    if shown.seconds_left is not None and seen.state is RunState.RUNNING:
        told += f'  {in_words(shown.seconds_left)} left'
    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(
        total=max(seen.tried, 1),
        completed=seen.finished,
        width=max(min(width - len(told) - 1, _WIDEST_BAR), 1),
        complete_style='green',
    )
    line.add_row(bar, told)
    return line


def _rate(per_hour: float) -> str:
    return f'{per_hour:.1f}' if per_hour < 10 else f'{per_hour:.0f}'


def _counts(shown: Shown) -> Text:
    seen = shown.overview
    states, held = seen.states, len(seen.held)
    counts = (
        (states.get(MemberState.COMPLETED, 0), 'completed', 'green'),
        (states.get(MemberState.FAILED, 0), 'failed', 'red'),
        (seen.turned_back, 'turned back', 'yellow'),
        (states.get(MemberState.ABORTED, 0), 'aborted', 'magenta'),
        (held, 'worked on', 'cyan'),
        (seen.left - held, 'waiting', ''),
        (states.get(MemberState.LEFT_OUT, 0), 'left out', 'dim'),
    )
    parts = [Text(f'{count} {name}', style) for count, name, style in counts if count > 0]
    text = Text(', ').join(parts)
    text.no_wrap, text.overflow = True, 'ellipsis'
    return text


def _most(counts: Mapping[_Name, int]) -> list[tuple[_Name, int]]:
    """Return the counts, the greatest first."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _members(shown: Shown, held: tuple[Held, ...], width: int) -> Table:
    is_wide = width >= _WIDE
    widths = _widths(width, len(held[0].instance_id) if is_wide else _SHORT_ID)
    table = Table(
        *(
            Column(name, no_wrap=True, max_width=most, justify='right' if name == 'for' else 'left')
            for name, most in widths.items()
        ),
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        header_style='dim',
    )
    for one in held:
        cells = _cells(shown, one, is_wide=is_wide)
        table.add_row(*(cells[name] for name in widths))
    return table


def _widths(width: int, of_id: int) -> Mapping[str, int]:
    """Return the columns with their greatest widths, which fit together: rich would narrow the ids
    as well.
    """
    rest = width - of_id - _GAP
    step = max(min(_STEP, rest), 1)
    rest -= step + _GAP + _FOR + _GAP
    is_last_shown = width >= _LEAST_WIDTHS['last']
    name = min(width // 5, _WIDEST_NAME) if is_last_shown else max(rest, 1)
    columns = {
        'instance': of_id,
        'name': name,
        'step': step,
        'for': _FOR,
        'last': max(rest - name - _GAP, 1),
    }
    return {one: most for one, most in columns.items() if width >= _LEAST_WIDTHS.get(one, 0)}


def _cells(shown: Shown, one: Held, *, is_wide: bool) -> Mapping[str, Text]:
    step = f'{one.step} back' if one.is_undoing else str(one.step)
    return {
        'instance': Text(one.instance_id if is_wide else one.instance_id[-_SHORT_ID:]),
        'name': Text(printable(one.name)),
        'step': Text(step, 'yellow' if one.is_undoing else ''),
        'for': Text(_since(one, shown.now)),
        'last': Text(printable(shown.messages.get(one.instance_id, ''))),
    }


def _since(one: Held, now: datetime.datetime) -> str:
    return '-' if one.since is None else in_words((now - one.since).total_seconds())
