# SPDX-License-Identifier: Apache-2.0
"""Display of a run of data migrations: a bar on a terminal, one line per batch in a log."""

import contextlib
from collections.abc import Iterator
from typing import Protocol, TextIO

import rich.console
import rich.progress

from trove_upgrade.db.migrations.data.runs import Progress

_MINUTE, _HOUR = 60, 3600


class Reporter(Protocol):
    """Port that is told how a run of data migrations gets on."""

    def progress(self, progress: Progress) -> None:
        """Show the progress, after each batch and at the end of each migration."""

    def waiting(self, line: str) -> None:
        """Show that other transactions hold the locks of a batch, which is tried again."""


@contextlib.contextmanager
def reporter(stream: TextIO) -> Iterator[Reporter]:
    """Yield the reporter that fits the stream; a bar stays on the screen as it was at the end."""
    console = rich.console.Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(stream)
        return
    with rich.progress.Progress(
        rich.progress.TextColumn('{task.description}'),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn('{task.fields[text]}'),
        console=console,
        expand=False,
    ) as bars:
        yield Bars(bars)


class Lines:
    """One line per batch, at once: a reader of the log sees it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def progress(self, progress: Progress) -> None:
        """Print one line for the batch."""
        print(
            f'{progress.name}: {progress.found} found, {progress.done} done, {_rest(progress)}',
            file=self._stream,
            flush=True,
        )

    def waiting(self, line: str) -> None:
        """Print the line that says what the run waits for."""
        print(line, file=self._stream, flush=True)


class Bars:
    """Reporter on a terminal, with one bar per migration."""

    def __init__(self, bars: rich.progress.Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, rich.progress.TaskID] = {}

    def progress(self, progress: Progress) -> None:
        """Show how many of all rows are done, by former runs, too."""
        if progress.name not in self._tasks:
            self._tasks[progress.name] = self._bars.add_task(progress.name, text='')
        total = progress.done + progress.rows_left
        # where nothing was to be done at all, a bar of 0 rows would stay empty
        self._bars.update(
            self._tasks[progress.name],
            total=total or 1,
            completed=progress.done if total else 1,
            text=_rest(progress),
        )

    def waiting(self, line: str) -> None:
        """A line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False)


def _rest(progress: Progress) -> str:
    if progress.finished:
        return f'no row is left{_at(progress.rate)}'
    eta = '' if progress.eta_seconds is None else f', {duration(progress.eta_seconds)} to go'
    return f'{progress.rows_left} left{_at(progress.rate)}{eta}'


def _at(rate: float | None) -> str:
    return '' if rate is None else f', {rate:.0f} rows/s' if rate >= 1 else f', {rate:.2f} rows/s'


def duration(seconds: float) -> str:
    """Format seconds as '2 h 5 min', '2 min 1 s' or '7 s': no more than is needed of an
    estimate.
    """
    whole = round(seconds)
    if whole >= _HOUR:
        return f'{whole // _HOUR} h {whole % _HOUR // _MINUTE} min'
    return f'{whole // _MINUTE} min {whole % _MINUTE} s' if whole >= _MINUTE else f'{whole} s'
