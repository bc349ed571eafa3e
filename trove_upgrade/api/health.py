# SPDX-License-Identifier: Apache-2.0
"""Health of an API alone, for a load balancer: whether its database answers.

A backend of oslo.middleware's healthcheck.  /healthcheck needs no token, so whatever is asked there
costs the database one statement in two seconds at most, and its answer names no address.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_middleware.healthcheck import pluginbase

from trove_upgrade.db import faults
from trove_upgrade.db.service_heartbeat import ImpatientRegistry
from trove_upgrade.domain import logs
from trove_upgrade.domain.codes import Code

LOG = logs.get_logger(__name__)

#: A load balancer waits for some seconds at most.
_WAIT_SECONDS = 2.0
_FRESH_SECONDS = 2.0
_NO_ANSWER = 'The database gave no answer in time.'
_HEALTHY = 'OK'


@dataclasses.dataclass
class _Look:
    """One question to the database."""

    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    obstacle: str | None = None
    ended_at: float = 0.0


class Probe:
    """Asks one thing at a time, and remembers its answer.  Safe to share between threads."""

    def __init__(
        self,
        ask: Callable[[], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """`ask` raises where the database does not serve.  It is called in a thread of its own,
        which is waited for no longer than `wait_seconds`.
        """
        self._ask = ask
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._look: _Look | None = None

    def obstacle(self) -> str | None:
        """Return why the database does not serve, without its address; None: it does."""
        look = self._present_look()
        return look.obstacle if look.ended.wait(self._wait_seconds) else _NO_ANSWER

    def _present_look(self) -> _Look:
        with self._lock:
            look = self._look
            if look is None or (
                look.ended.is_set() and self._monotonic() - look.ended_at >= _FRESH_SECONDS
            ):
                look = self._look = _Look()
                threading.Thread(target=self._run, args=(look,), name='health', daemon=True).start()
            return look

    def _run(self, look: _Look) -> None:
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001 - the edge of a thread
            look.obstacle = _obstacle(error)
        look.ended_at = self._monotonic()
        look.ended.set()


class DatabaseHealth(pluginbase.HealthcheckBaseExtension):
    """The backend `trove_upgrade_database`: unhealthy while the database cannot be read."""

    def __init__(self, oslo_conf: cfg.ConfigOpts, conf: dict[str, Any]) -> None:
        super().__init__(oslo_conf, conf)
        self._probe = Probe(ImpatientRegistry(oslo_conf).ask)

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:  # noqa: ARG002 - the base class names it
        """Return whether the database has answered in time."""
        obstacle = self._probe.obstacle()
        return pluginbase.HealthcheckResult(available=obstacle is None, reason=obstacle or _HEALTHY)


def _obstacle(error: Exception) -> str:
    """Log what was found, and return its code alone: any client reads it."""
    known = faults.explain(error)
    LOG.warning('The API is not healthy: %s', faults.words(error))
    return f'The database does not serve: {known.code if known else Code.INTERNAL_ERROR}.'
