# SPDX-License-Identifier: Apache-2.0
"""Outages of upgrades whose taskmanager is killed in the middle, by step, and started again."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.outage import case
from benchmarks.outage.service import Services
from lab import errors
from lab.instances import LabInstance
from lab.stage import Stage
from trove_upgrade.waiting import wait_until

STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')
ROWS = 100_000
STEP_SECONDS = 300.0
#: What the unit in etc/trove-upgrade/systemd waits before it starts a service again.
UNIT_SECONDS = 2.0
#: At most so much longer than an upgrade that is left alone.
LONGER_SECONDS = 10.0
UNDISTURBED = 'left alone'


class Killed:
    """Upgrades of new instances whose taskmanager dies at a step."""

    def __init__(self, stage: Stage, services: Services) -> None:
        self._product = stage.product
        self._services = services

    def measure(self) -> list[case.Case]:
        """One that is left alone, and one that loses its taskmanager at each step."""
        ways = {UNDISTURBED: self._services.ours} | {
            f'killed in {step}': self._at(step) for step in STEPS
        }
        return [self._services.measure(name, ROWS, way) for name, way in ways.items()]

    def _at(self, step: str) -> Callable[[LabInstance], dict[str, Any]]:
        def upgrade(instance: LabInstance) -> dict[str, Any]:
            upgrade_id = self._services.ask(instance)
            if not wait_until(
                lambda: self._runs(upgrade_id, step), STEP_SECONDS, interval_seconds=0.02
            ):
                raise errors.NotReady(
                    f'Upgrade {upgrade_id} did not come to {step} within {STEP_SECONDS:.0f} s.'
                )
            self._product.kill_taskmanager()
            time.sleep(UNIT_SECONDS)  # as systemd does
            self._product.start_taskmanager()
            return self._services.until_completed(instance)

        return upgrade

    def _runs(self, upgrade_id: str, step: str) -> bool:
        """Return whether the upgrade has come to this step, or is past it: one that is over before
        it was seen has still lost its taskmanager as early as can be.
        """
        return any(run['step'] == step for run in self._services.upgrade(upgrade_id)['steps'])


def table(cases: list[case.Case]) -> str:
    """For a terminal: the outage of each, and how much longer it was."""
    alone = cases[0].downtime_seconds
    lines = [
        f'{found.name:<24} {found.downtime_seconds:>8.1f} {found.downtime_seconds - alone:>+8.1f} '
        f'{found.lost:>5}'
        for found in cases
    ]
    return '\n'.join([f'{"taskmanager":<24} {"down s":>8} {"longer":>8} {"lost":>5}', *lines])


def holds(cases: list[case.Case]) -> bool:
    """Return whether no outage was much longer, and no acknowledged row was lost."""
    most = cases[0].downtime_seconds + LONGER_SECONDS
    return all(found.downtime_seconds <= most and not found.lost for found in cases)
