# SPDX-License-Identifier: Apache-2.0
"""Progress of an upgrade in words: on a terminal one line that is drawn anew, elsewhere one line
for each change.
"""

import datetime
import math
import shlex
import shutil
from typing import TextIO

from troveupgradeclient.printable import printable
from troveupgradeclient.v1 import times
from troveupgradeclient.v1.following import Clock
from troveupgradeclient.v1.resources import STEPS, ActionName, Check, State, Upgrade

_REDRAW = '\r\x1b[K'
#: Points of a step that are worth a line where nothing is drawn anew.
_POINTS = 10
#: A line is repeated after that long without another one, so that a wait is seen to go on.
REPEAT_SECONDS = 60.0
_COMMAND = 'openstack database upgrade'


class ProgressLine:
    """Line on a stream; nothing at all where the stream is None."""

    def __init__(self, stream: TextIO | None, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._shown_at = -math.inf
        self._is_terminal = stream is not None and stream.isatty()
        self._shown: object = None
        self._is_open = False

    def show(self, text: str, change: object) -> None:
        """Show a text; elsewhere than on a terminal only where `change` is another one, or the
        last line is a minute old.
        """
        now = self._clock.monotonic()
        is_known = change == self._shown and now - self._shown_at < REPEAT_SECONDS
        if self._stream is None or (not self._is_terminal and is_known):
            return
        self._shown, self._shown_at, line = change, now, printable(text)
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f'{_REDRAW}{line[:width]}')
            self._is_open = True
        else:
            self._stream.write(f'{line}\n')
        self._stream.flush()

    def close(self) -> None:
        """Leave the line; what is written next stands below it."""
        if self._stream is not None and self._is_open:
            self._stream.write('\n')
            self._stream.flush()
            self._is_open = False


def change_of(upgrade: Upgrade) -> object:
    """Return what is the same for two looks between which nothing worth a line has happened."""
    points = None if upgrade.percent is None else upgrade.percent // _POINTS
    return upgrade.state, upgrade.step, upgrade.attempt, points


def of_upgrade(upgrade: Upgrade, now: datetime.datetime) -> str:
    """Describe how far an upgrade is."""
    name = upgrade.instance_name or upgrade.instance_id
    if upgrade.state == State.HELD:
        return f'{name}: {_held(upgrade, now)}'
    if upgrade.has_ended:
        cause = f': {upgrade.cause}' if upgrade.cause and upgrade.state != State.COMPLETED else ''
        return f'{name}: {upgrade.state}{cause}'
    parts = [upgrade.state, _step(upgrade)]
    if upgrade.percent is not None:
        parts.append(f'{upgrade.percent} %')
    if upgrade.expected_seconds_left is not None:
        parts.append(f'about {times.span(upgrade.expected_seconds_left)} left')
    return f'{name}: {", ".join(part for part in parts if part)}'


def of_what_goes_on(upgrade: Upgrade) -> str:
    """Describe what becomes of an upgrade that is not waited for any more."""
    if upgrade.state != State.HELD:
        return printable(f'The upgrade goes on. Follow it with: {_COMMAND} watch {upgrade.id}')
    begins = f', and begins by itself at {upgrade.not_before}' if upgrade.not_before else ''
    return printable(
        f'It stays held{begins}. Let it begin now with: {_COMMAND} proceed {upgrade.id}; end it '
        f'with: {_COMMAND} abort {upgrade.id}; follow it with: {_COMMAND} watch {upgrade.id}'
    )


def of_start_unseen(instance_id: str) -> str:
    """Describe what may have become of a request for an upgrade whose answer was not seen."""
    return printable(
        'The upgrade may have begun. Look at the newest one of the instance with: '
        f'{_COMMAND} show {instance_id}'
    )


def of_action_unseen(upgrade_id: str, action: ActionName) -> str:
    """Describe what may have become of a request for an action whose answer was not seen."""
    return printable(
        f'The {action} may have been accepted. Look at the upgrade with: '
        f'{_COMMAND} show {upgrade_id}'
    )


def of_check_unseen(instance_id: str, version: str) -> str:
    """Describe what may have become of a request for a report whose answer was not seen."""
    return printable(
        'A report may be made, which changes nothing. Ask for another one with: '
        f'{_COMMAND} check {instance_id} {shlex.quote(version)}'
    )


def of_check_that_goes_on(check: Check) -> str:
    """Describe what becomes of a preflight report that is not waited for any more."""
    return printable(
        f'The report goes on being made. Look at it with: {_COMMAND} check show '
        f'{check.instance_id} {check.id}'
    )


def of_check(check: Check) -> str:
    """Describe how far a preflight report is."""
    return f'preflight report {check.id}: {check.state}'


def _step(upgrade: Upgrade) -> str:
    if upgrade.step is None:
        return ''
    attempt = f', attempt {upgrade.attempt}' if upgrade.attempt > 1 else ''
    if upgrade.step not in STEPS:  # of a later release
        return f'{upgrade.step}{attempt}'
    return f'{upgrade.step} (step {STEPS.index(upgrade.step) + 1} of {len(STEPS)}){attempt}'


def _held(upgrade: Upgrade, now: datetime.datetime) -> str:
    begins = times.read(upgrade.not_before)
    if begins is not None:
        return _held_until_it_begins(upgrade, (begins - now).total_seconds())
    since = times.read(upgrade.held_since)
    age = f' for {times.span((now - since).total_seconds())}' if since else ''
    until = f'; ends ABORTED by itself at {upgrade.held_until}' if upgrade.held_until else ''
    return f'HELD{age}: proceed or abort it{until}'


def _held_until_it_begins(upgrade: Upgrade, seconds: float) -> str:
    begins = (
        f'begins in {times.span(seconds)}, at {upgrade.not_before}'
        if seconds > 0
        else f'was to begin at {upgrade.not_before}, and begins when the instance is free'
    )
    until = (
        f'; only if it could not begin by {upgrade.held_until} it ends ABORTED then'
        if upgrade.held_until
        else ''
    )
    return f'still HELD, {begins}; proceed or abort it before{until}'
