# SPDX-License-Identifier: Apache-2.0
"""Looks at upgrades that are HELD: one whose time has come proceeds; one that was held for too
long ends, and one whose instance has gone or is another one by now.

Nothing is claimed: each of these is one transaction, and one of two taskmanagers does it.
"""

import contextlib
import dataclasses
from collections.abc import Callable

from trove_upgrade.domain import exceptions, holds, logs, ports, refusals
from trove_upgrade.domain.actions import Action, UpgradeActions, UpgradeHolds
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.metrics import NO_METRICS, Metrics
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.domain.turn import Turn
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.taskmanager.agenda import Again
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

_WORK = 'A held upgrade could not be looked at'


@dataclasses.dataclass(frozen=True, kw_only=True)
class HoldWatch:
    """Looks at one held upgrade at a time; safe to share between threads."""

    upgrades: ports.UpgradeRepository
    actions: UpgradeActions
    held: UpgradeHolds
    clock: ports.Clock
    put_upgrade: Callable[[Turn], None]  #: one that has proceeded is worked on at once
    on_event: Callable[[], None]
    outages: Outages = dataclasses.field(default_factory=Outages)
    metrics: Metrics = NO_METRICS

    def run(self, upgrade_id: str) -> Again | None:
        """Look at it.  Never raises: the edge of a worker's thread."""
        with contextlib.ExitStack() as request:
            try:
                found = self.upgrades.get(upgrade_id)
                request.enter_context(logs.of_request(found.request_id))
                if found.state is UpgradeState.HELD:
                    self._look(found)
            except (refusals.ActionOvertaken, refusals.ProceedRefused) as error:
                LOG.debug('%s', error.message)
            except Exception as error:  # noqa: BLE001 - the edge of a worker's thread; `outages` logs it
                self.outages.met(_WORK, error, row=upgrade_id)
                return None
        self.outages.over(_WORK)
        return None

    def _look(self, held: Upgrade) -> None:
        hold, choices, now = held.progress.hold, held.progress.choices, self.clock.now()
        obstacle = self.actions.instance_obstacle(held)
        if isinstance(obstacle, refusals.ENDS_OF_HOLD):
            self._end(held, obstacle.cause, obstacle.code)
        elif hold.until is not None and now >= hold.until:
            last = '' if hold.kept_by is None else f' When it was last tried: {hold.kept_by}'
            cause = (
                f'It was held until {hold.until.isoformat(timespec="seconds")}, and did not '
                f'proceed.{last} Nothing was changed. Begin a new one.'
            )
            self._end(held, cause, Code.HOLD_EXPIRED)
        elif holds.has_come(choices, now):
            self._proceed(held)
        else:
            seconds = holds.look_in_seconds(choices, hold.until, now)
            self.held.look_again(held.id, max(seconds, 1.0))

    def _proceed(self, held: Upgrade) -> None:
        try:
            self.actions.take(Action.PROCEED, held.id)
        except exceptions.InstanceBusy as error:
            LOG.info(
                'Upgrade %s of instance %s stays HELD: %s',
                held.id,
                held.instance_id,
                error.message,
            )
            self.held.stay(held, holds.BUSY_SECONDS, error.message)
        except refusals.ENDS_OF_HOLD as error:
            self._end(held, error.cause, error.code)
        else:
            LOG.info(
                'Upgrade %s of instance %s: RUNNING, was HELD: its time has come',
                held.id,
                held.instance_id,
            )
            self.put_upgrade(Turn(held.id, held.project_id))

    def _end(self, held: Upgrade, cause: str, error_code: str) -> None:
        self.metrics.attempt_ended(self.actions.expire(held, cause, error_code))
        LOG.info(
            'Upgrade %s of instance %s: ABORTED, was HELD: %s: %s',
            held.id,
            held.instance_id,
            error_code,
            cause,
        )
        self.on_event()
