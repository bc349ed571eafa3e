# SPDX-License-Identifier: Apache-2.0
"""View of a run while this process works on it: live on a terminal, else lines."""

import argparse
import datetime
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from trove_upgrade.bridge.crew import Watcher
from trove_upgrade.clock import SystemClock
from trove_upgrade.cmd.bridge.context import Context
from trove_upgrade.cmd.bridge.lines import Lines
from trove_upgrade.cmd.bridge.picture import Picture, Shown, of_ended
from trove_upgrade.cmd.bridge.rate import Rate
from trove_upgrade.cmd.console.printing import print_line
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
    if is_plain or not console.is_terminal or console.is_dumb_terminal:
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
        print_line(f'{member.instance_id} {member.step}: {message}')


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
        self._live.__enter__()
        self.tick()
        if self._ticker is not None:
            self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ticker is not None:
            self._ticker.stop()
        try:
            self.tick()  # the ends since the last one
        finally:
            self._live.__exit__(kind, error, trace)

    def waits(self, claim: Claim) -> None:
        with self._lock:
            self._waits = Counter(claim.waits.values())
            self._waits_at = self._clock.monotonic()

    def outage(self, error: Exception, patience_seconds: float) -> None:
        told = f'{error} Asked again for {patience_seconds:.0f} s at most.'
        self._console.print(Text(printable(told), 'yellow'))

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
            self._live.update(Picture(self._shown(self._overview)), refresh=True)

    def _look(self) -> None:
        now = self._clock.monotonic()
        seen = self._overview = self._source.look(self._run_id, self._since())
        self._first = self._first or seen.now
        self._rate.note(now, seen.finished)
        for member in seen.ended:
            if member.instance_id not in self._told:
                self._told.add(member.instance_id)
                self._console.print(of_ended(member))
        if self._waits_at is None or now - self._waits_at >= _WAITS_SECONDS:
            waits = self._source.waits(self._run_id)
            with self._lock:
                self._waits, self._waits_at = waits, now
        held = {member.instance_id for member in seen.held}
        with self._lock:
            for gone in self._messages.keys() - held:
                del self._messages[gone]

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
