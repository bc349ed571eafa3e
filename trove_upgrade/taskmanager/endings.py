# SPDX-License-Identifier: Apache-2.0
"""The end of an attempt: its row, the service status that Trove shows, and one line of the log."""

import dataclasses
import logging
from collections.abc import Callable

from trove_upgrade.domain import exceptions, leases, logs, ports, states
from trove_upgrade.domain.instances import ServiceStatus
from trove_upgrade.domain.metrics import NO_METRICS, Metrics
from trove_upgrade.domain.upgrades import Upgrade

LOG = logs.get_logger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endings:
    """Ends of upgrades, written and logged. Safe to share between threads."""

    upgrades: ports.UpgradeRepository
    held: leases.HeldUpgrades
    writes_service_status: bool
    on_event: Callable[[], None]  #: called when there is something in the outbox
    metrics: Metrics = NO_METRICS

    def tell(self, upgrade: Upgrade, status: ServiceStatus) -> None:
        """Write the service status, if this deployment wants that.

        :raises LeaseLost: another taskmanager has the upgrade.
        """
        if self.writes_service_status:
            self.held.tell(upgrade, status)

    def with_a_save(self, status: ServiceStatus) -> ServiceStatus | None:
        """Return a service status to be written with a row; None: this deployment writes none."""
        return status if self.writes_service_status else None

    def write(
        self,
        upgrade: Upgrade,
        state: states.UpgradeState,
        *,
        cause: str | None = None,
        error_code: str | None = None,
        status: ServiceStatus | None = None,
    ) -> None:
        """End the attempt.

        :param status: what a guest has told of its database; None: it was not touched, and what
            stood there stays.
        :raises LeaseLost: another taskmanager has the upgrade.
        """
        if status is not None:
            self.tell(upgrade, status)
        ending = self.upgrades.end(upgrade, state, cause=cause, error_code=error_code)
        ended = ending.upgrade
        self.metrics.attempt_ended(ended)
        failed = ended.state is states.UpgradeState.FAILED
        is_deleted = ended.error_code == exceptions.InstanceDeleted.code
        LOG.log(
            logging.ERROR if failed and not is_deleted else logging.INFO,
            'Upgrade %s of instance %s: %s%s, was RUNNING at %s, attempt %d%s',
            ended.id,
            ended.instance_id,
            ended.state,
            f' instead of {state}' if ended.state is not state else '',
            ended.step,
            ended.attempt,
            f': {ended.error_code}: {ended.cause}' if ended.cause else '',
        )
        self.on_event()
