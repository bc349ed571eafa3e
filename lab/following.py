# SPDX-License-Identifier: Apache-2.0
"""Follows an upgrade to its end by what the API tells any user, for tests and benchmarks."""

import datetime
import time
from collections.abc import Callable
from typing import Any

from lab import errors
from trove_upgrade import terminal

POLL_SECONDS = 0.4
FINAL = frozenset({'COMPLETED', 'ABORTED', 'ROLLED_BACK', 'FAILED'})


class Follower:
    """Prints a line per change of a step: when, how long, how far."""

    def __init__(
        self,
        get: Callable[[str], Any],
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._get = get
        self._tell = tell
        self._sleep = sleep
        self._told: set[str] = set()

    def latest(self, instance_id: str) -> dict[str, Any]:
        """The newest upgrade of an instance.

        :raises LabError: there is none.
        """
        found = self._get(f'/instances/{instance_id}/upgrades')['upgrades']
        if not found:
            raise errors.LabError(f'Instance {instance_id} has no upgrade.', code='lab_no_upgrade')
        newest: dict[str, Any] = found[0]
        return newest

    def until_ended(self, instance_id: str, timeout_seconds: float) -> dict[str, Any]:
        """Follow the newest upgrade of the instance to its end.

        :raises NotReady: it did not end in time; the last state is in the message.
        """
        upgrade_id = self.latest(instance_id)['id']
        deadline = time.monotonic() + timeout_seconds
        while True:
            upgrade: dict[str, Any] = self._get(f'/upgrades/{upgrade_id}')['upgrade']
            for run in upgrade['steps']:
                self._show(run)
            if upgrade['state'] in FINAL:
                return upgrade
            if time.monotonic() > deadline:
                raise errors.NotReady(
                    f'Upgrade {upgrade_id} did not end within {timeout_seconds:.0f} s: {upgrade}'
                )
            self._sleep(POLL_SECONDS)

    def _show(self, run: dict[str, Any]) -> None:
        percent = '' if run.get('percent') is None else f' {run["percent"]} %'
        if run.get('ended_at'):
            line = (
                f'  {run["step"]:<9} {run["outcome"]} in {seconds(run):.1f} s, {run["runs"]} runs'
            )
        else:
            line = f'  {run["step"]:<9}{percent} {run.get("message") or ""}'.rstrip()
        if line not in self._told:
            self._told.add(line)
            self._tell(terminal.printable(line))


def seconds(run: dict[str, Any]) -> float:
    """Return how long a step took."""
    start, end = (datetime.datetime.fromisoformat(run[name]) for name in ('started_at', 'ended_at'))
    return (end - start).total_seconds()
