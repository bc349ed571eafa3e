# SPDX-License-Identifier: Apache-2.0
"""Healing: Nova cannot be fenced, so a rebuild that was asked twice may come after the upgrade has
COMPLETED or was ROLLED_BACK.

The agent of such a guest finds its root disk without the "restored" mark and says so with every
heartbeat; post_upgrade runs again from the stash, which is kept for hours.  Nothing is journalled
here: the next heartbeat asks again.

A guest that is silent rests as an upgrade does, for as long as this process remembers it.  Nothing
claims a healing, so there is no row that would carry it to another taskmanager:
each learns it by one call.
"""

import contextlib
import dataclasses
import random

from trove_upgrade.domain import exceptions, logs, ports, silence, stalls, states
from trove_upgrade.domain.guests import GuestAnswer, Heartbeat, JobState
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.outages import Outages
from trove_upgrade.taskmanager.steps.calls import Calls

LOG = logs.get_logger(__name__)

_HEAL = 'A guest could not be restored again'
_SERVED = frozenset({states.UpgradeState.COMPLETED, states.UpgradeState.ROLLED_BACK})


@dataclasses.dataclass(frozen=True)
class _Rest:
    stalls: int
    until: float  #: by the monotonic clock


@dataclasses.dataclass(frozen=True, kw_only=True)
class Healer:
    """Runs post_upgrade again for an upgrade that ended with a serving guest."""

    upgrades: ports.UpgradeRepository
    guests: ports.GuestRepository
    agent: ports.Guest
    calls: Calls
    timeout_seconds: float
    outages: Outages = dataclasses.field(default_factory=Outages)
    longest_rest_seconds: float = 30.0
    uniform: stalls.Uniform = random.uniform
    #: by upgrade; one run of each at a time
    _rests: dict[str, _Rest] = dataclasses.field(default_factory=dict)

    def run(self, upgrade_id: str) -> Again | None:
        """Heal a guest; return when it is asked again, None: nothing to heal, or it rests. Logs
        every error: it is the edge of a worker's thread.
        """
        with contextlib.ExitStack() as request:
            return self._run(upgrade_id, request)

    def _run(self, upgrade_id: str, request: contextlib.ExitStack) -> Again | None:
        rest = self._rests.get(upgrade_id)
        if rest is not None and self.calls.clock.monotonic() < rest.until:
            return None
        try:
            row = self.upgrades.get(upgrade_id)
            request.enter_context(logs.of_request(row.request_id))
            heartbeat = self.guests.heartbeat(row.instance_id)
            if not needs_healing(row, heartbeat):
                self._rests.pop(upgrade_id, None)
                return None
            answer = self.agent.post_upgrade(self.calls.plain(row, seconds=self.timeout_seconds))
        except (exceptions.GuestUnavailable, exceptions.UpgradeNotFound) as error:
            LOG.warning(
                (
                    'Upgrade %s: its guest was booted with an empty root disk again and '
                    'could not be restored: %s'
                ),
                upgrade_id,
                error.message,
            )
            self._rest(upgrade_id, rest, error)
            return None  # the next heartbeat afterwards asks again
        except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
            self.outages.met(_HEAL, error, row=upgrade_id)
            return None
        self.outages.over(_HEAL)
        self._rests.pop(upgrade_id, None)
        return self._after(row, answer)

    def _rest(
        self, upgrade_id: str, before: _Rest | None, error: exceptions.TroveUpgradeError
    ) -> None:
        if silence.is_of_outage(error):
            seconds = stalls.outage_seconds(self.longest_rest_seconds, self.uniform)
            self._rests[upgrade_id] = _Rest(
                0 if before is None else before.stalls, self.calls.clock.monotonic() + seconds
            )
            return
        count = stalls.after(0 if before is None else before.stalls, kept_waiting=True)
        seconds = stalls.rest_seconds(count, self.longest_rest_seconds, self.uniform)
        self._rests[upgrade_id] = _Rest(count, self.calls.clock.monotonic() + seconds)

    def _after(self, upgrade: Upgrade, answer: GuestAnswer) -> Again | None:
        match answer.state:
            case JobState.RUNNING:
                return Again(self.calls.poll_seconds, is_slow=True)
            case JobState.DONE:
                LOG.warning(
                    (
                        'Upgrade %s of instance %s: its guest was booted with an empty root disk '
                        'again; its files were restored again'
                    ),
                    upgrade.id,
                    upgrade.instance_id,
                )
            case _:
                LOG.error(
                    (
                        'Upgrade %s of instance %s: its guest was booted with an empty root disk '
                        'again and cannot be restored (%s): %s'
                    ),
                    upgrade.id,
                    upgrade.instance_id,
                    answer.code,
                    answer.message,
                )
        return None


def needs_healing(upgrade: Upgrade, heartbeat: Heartbeat | None) -> bool:
    """The guest runs the last rebuild of an upgrade that has COMPLETED or was ROLLED_BACK, and its
    root disk was never restored.
    """
    return (
        upgrade.state in _SERVED
        and heartbeat is not None
        and not heartbeat.restored
        and heartbeat.marker == upgrade.marker
        # a word of before the restore, which came late
        and heartbeat.boot_id != upgrade.progress.restore.boot_id
    )
