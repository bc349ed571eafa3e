# SPDX-License-Identifier: Apache-2.0
"""Outages of upgrades of which a process dies in the middle, by step: the taskmanager, which is
started again or left to another host, and the guest's agent.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.outage import case
from benchmarks.outage.service import Services, Upgrade
from lab import errors
from lab.instances import LabInstance
from lab.stage import Stage
from trove_upgrade.waiting import wait_until

STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')
#: Steps of which each leaves another kind of work to the next taskmanager.
STEPS_OF_ANOTHER_HOST = ('quiesce', 'rebuild', 'restore')
#: In which the agent works: on the former root disk, and on the new one.
STEPS_OF_THE_AGENT = ('quiesce', 'restore')
ROWS = 100_000
STEP_SECONDS = 300.0
#: What the unit in etc/trove-upgrade/systemd waits before it starts a service again.
UNIT_SECONDS = 2.0
#: At most so much longer than an upgrade that is left alone.
LONGER_SECONDS = 10.0
#: The same, where another host takes over: nothing tells it of the death but the lease.
LONGER_ELSEWHERE_SECONDS = 30.0
UNDISTURBED = 'left alone'
_ELSEWHERE = 'bench-other-host'
_AGENT = '/bin/trove-upgrade-guestagent'
#: The brackets keep the program that looks from finding itself.
_KILL_AGENT = (
    f'for file in $(grep -l "[/]{_AGENT[1:]}" /proc/[0-9]*/cmdline); do '
    'process=${file%/cmdline}; kill -KILL "${process#/proc/}"; done'
)


class Killed:
    """Upgrades of new instances that lose a process at a step."""

    def __init__(self, stage: Stage, services: Services) -> None:
        self._product = stage.product
        self._maker = stage.maker
        self._services = services

    def measure(self) -> list[case.Case]:
        """One that is left alone, and those that lose a process."""
        ways: dict[str, Upgrade] = {UNDISTURBED: self._services.ours}
        for step in STEPS:
            ways[f'taskmanager, {step}'] = self._at(step, self._restarted)
        for step in STEPS_OF_THE_AGENT:
            ways[f"guest's agent, {step}"] = self._at(step, self._without_agent)
        for step in STEPS_OF_ANOTHER_HOST:
            ways[f'host, {step}'] = self._at(step, self._on_another_host)
        return [self._services.measure(name, ROWS, way) for name, way in ways.items()]

    def _at(self, step: str, kill: Callable[[LabInstance], dict[str, Any]]) -> Upgrade:
        """Return an upgrade that `kill` ends, from the step on."""

        def upgrade(instance: LabInstance) -> dict[str, Any]:
            upgrade_id = self._services.ask(instance)
            if not wait_until(
                lambda: self._runs(upgrade_id, step), STEP_SECONDS, interval_seconds=0.02
            ):
                raise errors.NotReady(
                    f'Upgrade {upgrade_id} did not come to {step} within {STEP_SECONDS:.0f} s.'
                )
            return kill(instance)

        return upgrade

    def _restarted(self, instance: LabInstance) -> dict[str, Any]:
        self._product.kill_taskmanager()
        time.sleep(UNIT_SECONDS)  # as systemd does
        self._product.start_taskmanager()
        return self._services.until_completed(instance)

    def _on_another_host(self, instance: LabInstance) -> dict[str, Any]:
        """Have the other host go on alone; the first one's is started again at the end."""
        self._product.kill_taskmanager()
        self._product.start_taskmanager(_ELSEWHERE, _ELSEWHERE)
        try:
            return self._services.until_completed(instance)
        finally:
            self._product.stop(_ELSEWHERE)
            self._product.start_taskmanager()

    def _without_agent(self, instance: LabInstance) -> dict[str, Any]:
        """Have the guest's own service start its agent again, which takes 3 s."""
        self._maker.guest(instance.server_id).exec(['/bin/sh', '-ec', _KILL_AGENT])
        return self._services.until_completed(instance)

    def _runs(self, upgrade_id: str, step: str) -> bool:
        """Return whether the upgrade has come to this step, or is past it: one that is over before
        it was seen has still lost its process as early as can be.
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
    return '\n'.join([f'{"killed":<24} {"down s":>8} {"longer":>8} {"lost":>5}', *lines])


def holds(cases: list[case.Case]) -> bool:
    """Return whether no outage was much longer, and no acknowledged row was lost."""
    alone = cases[0].downtime_seconds
    return all(found.downtime_seconds <= alone + _most(found) and not found.lost for found in cases)


def _most(found: case.Case) -> float:
    return LONGER_ELSEWHERE_SECONDS if found.name.startswith('host,') else LONGER_SECONDS
