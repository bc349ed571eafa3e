# SPDX-License-Identifier: Apache-2.0
"""View of a run while this process works on it: live on a terminal, else lines."""

import argparse
import datetime
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from trove_upgrade.bridge.crew import Watcher
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.lines import Lines, Output, of_ending, of_outage
from trove_upgrade.cmd.bridge.picture import Picture, Shown, of_ended
from trove_upgrade.cmd.bridge.rate import Rate
from trove_upgrade.domain import logs
from trove_upgrade.domain.bridge_overview import Overview, OverviewSource
from trove_upgrade.domain.bridge_runs import Claim, Member
from trove_upgrade.domain.pace import Wait
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.printable import printable

LOG = logs.get_logger(__name__)

_LOOK_SECONDS = 1.0
#: Reasons to wait are asked for less often: they need a look at each member.
_WAITS_SECONDS = 5.0
#: An end may be committed so long after its moment.
_LATE = datetime.timedelta(seconds=30)


class View(Watcher, Protocol):
    """Shows a run while it is entered.  Called from any thread."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what is printed then comes after it."""

    def tell(self, member: Member, message: str) -> None:
        """Take note of the end of a step, or of what one waits for."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option of how a run is shown."""
    parser.add_argument(
        '--plain', action='store_true', help='print a line per step, on a terminal, too'
    )


def of(run: Context, run_id: str, *, is_plain: bool) -> View:
    """Return the view for what stdout is."""
    console = Console()
    # rich takes a pipe for a terminal where the environment wants colours
    is_terminal = sys.stdout.isatty() and console.is_terminal
    is_able = console.encoding.lower().startswith('utf') and not console.is_dumb_terminal
    if is_plain or not (is_terminal and is_able):
        return PlainView()
    return LiveView(run_id, run.repositories.bridge_overview, SystemClock(), console)


class PlainView(Lines):
    """Implements View by lines."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def tell(self, member: Member, message: str) -> None:
        self._output(f'{member.instance_id} {member.step}: {message}')


class LiveView:
    """Implements View: a picture at the bottom of the terminal, above it a line for each member
    that has ended, whichever host has worked on it.
    """

    def __init__(
        self,
        run_id: str,
        source: OverviewSource,
        clock: Clock,
        console: Console,
        look_seconds: float | None = _LOOK_SECONDS,
    ) -> None:
        """Make it.

        :param look_seconds: between two looks; None: `tick` alone looks.
        """
        self._run_id, self._source, self._clock = run_id, source, clock
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._output = Output()
        self._lock = threading.Lock()
        self._began = clock.monotonic()
        self._rate = Rate()
        self._messages: dict[str, str] = {}
        self._waits: Mapping[Wait, int] = {}
        self._waits_at: float | None = None
        self._overview: Overview | None = None
        self._first: datetime.datetime | None = None  #: moment of the first look
        self._told: set[str] = set()  #: instances whose end was told
        self._trouble: str | None = None
        self._ticker = None if look_seconds is None else Ticker(self.tick, look_seconds)

    def __enter__(self) -> Self:
        try:
            self._output.attempt(self._live.start)
            self.tick()
            if self._ticker is not None:
                self._ticker.start()
        except BaseException:  # an interruption: `__exit__` is not called
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._ticker is not None:
                self._ticker.stop()
            self.tick()  # the ends since the last one
        finally:
            self._stop()

    def _stop(self) -> None:
        """Take the picture away, and show the cursor again."""
        try:
            self._output.attempt(self._live.stop)
        except IndexError:  # it had not begun whole
            self._output.attempt(self._console.show_cursor)

    def waits(self, claim: Claim) -> None:
        with self._lock:
            self._waits = Counter(claim.waits.values())
            self._waits_at = self._clock.monotonic()

    def outage(self, error: Exception, patience_seconds: float) -> None:
        self._print(Text(printable(of_outage(error, patience_seconds)), 'yellow'))

    def ending(self, run_id: str, held: int) -> None:
        self._print(Text(of_ending(run_id, held), 'bold yellow'))

    def tell(self, member: Member, message: str) -> None:
        with self._lock:
            self._messages[member.instance_id] = message

    def tick(self) -> None:
        """Look at the run, print what has ended, and draw it anew.  Where the database gives no
        answer, the last picture stays, and tells it.
        """
        try:
            self._look()
            self._trouble = None
        except Exception as error:  # noqa: BLE001 - a view ends no work; the crew meets it, too
            LOG.debug('The view of run %s was not renewed: %s', self._run_id, error)
            self._trouble = self._trouble or (
                f'As it was at {self._clock.now():%H:%M:%S} UTC: the database gives no answer.'
            )
        if self._overview is not None:
            picture = Picture(self._shown(self._overview))
            self._show(lambda: self._live.update(picture, refresh=True))

    def _look(self) -> None:
        now = self._clock.monotonic()
        seen = self._overview = self._source.look(self._run_id, self._since())
        self._first = self._first or seen.now
        self._rate.note(now, seen.finished)
        ended = [one for one in seen.ended if one.instance_id not in self._told]
        if ended:
            self._told.update(one.instance_id for one in ended)
            self._print(Group(*map(of_ended, ended)))
        if self._waits_at is None or now - self._waits_at >= _WAITS_SECONDS:
            waits = self._source.waits(self._run_id)
            with self._lock:
                self._waits, self._waits_at = waits, now
        held = {member.instance_id for member in seen.held}
        with self._lock:
            for gone in self._messages.keys() - held:
                del self._messages[gone]

    def _print(self, text: Text | Group) -> None:
        """Print above the picture."""
        self._show(lambda: self._console.print(text))

    def _show(self, write: Callable[[], object]) -> None:
        """Write to the terminal, unless it took nothing before: rich would keep all of it."""
        if not self._output.has_failed:
            self._output.attempt(write)

    def _since(self) -> datetime.datetime | None:
        if self._first is None or self._overview is None:
            return None
        return max(self._first, self._overview.now - _LATE)

    def _shown(self, seen: Overview) -> Shown:
        now = self._clock.monotonic()
        with self._lock:
            return Shown(
                run_id=self._run_id,
                overview=seen,
                now=self._clock.now(),
                elapsed_seconds=now - self._began,
                per_hour=self._rate.per_hour(now),
                seconds_left=self._rate.seconds_left(now, seen.left),
                waits=dict(self._waits),
                messages=dict(self._messages),
                trouble=self._trouble,
            )


class Ticker:
    """Thread that does one thing again and again."""

    def __init__(self, tick: Callable[[], None], seconds: float) -> None:
        self._tick, self._seconds = tick, seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='bridge-view', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being done."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._tick()
            except Exception:
                LOG.exception('The run is shown no more; the work goes on')
                return
