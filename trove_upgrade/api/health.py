# SPDX-License-Identifier: Apache-2.0
"""Health of an API alone, for a load balancer: whether its database answers.

A backend of oslo.middleware's healthcheck.  /healthcheck needs no token, so whatever is asked there
costs the database one statement in two seconds at most, and its answer names no address.
"""

import time
from typing import Any

from oslo_config import cfg
from oslo_middleware.healthcheck import pluginbase

from trove_upgrade.db import faults
from trove_upgrade.db.service_heartbeat import ImpatientRegistry
from trove_upgrade.domain import logs
from trove_upgrade.domain.bounded import Bounded
from trove_upgrade.domain.codes import Code

LOG = logs.get_logger(__name__)

_HEALTHY = 'OK'


class DatabaseHealth(pluginbase.HealthcheckBaseExtension):
    """The backend `trove_upgrade_database`: unhealthy while the database cannot be read."""

    def __init__(self, oslo_conf: cfg.ConfigOpts, conf: dict[str, Any]) -> None:
        super().__init__(oslo_conf, conf)
        self._database = Bounded('The database', ImpatientRegistry(oslo_conf).ask, time.monotonic)

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:  # noqa: ARG002 - the base class names it
        """Return whether the database has answered in time."""
        obstacle = obstacle_of(self._database)
        return pluginbase.HealthcheckResult(available=obstacle is None, reason=obstacle or _HEALTHY)


def obstacle_of(database: Bounded[None]) -> str | None:
    """Return why the database does not serve, as any client may read it: a code without an address,
    and the log has the rest.  None: it serves.
    """
    try:
        database.answer()
    except Exception as error:  # noqa: BLE001 - the edge of a request
        known = faults.explain(error)
        LOG.warning('The API is not healthy: %s', faults.words(error))
        return f'The database does not serve: {known.code if known else Code.INTERNAL_ERROR}.'
    return None
