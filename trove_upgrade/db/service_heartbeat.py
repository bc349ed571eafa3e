# SPDX-License-Identifier: Apache-2.0
"""A process' own row in `upgrade_services`, from its start to its clean stop.

The stop comes last: a sign of life that is being written while the process stops must not leave a
row behind that nothing removes.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Protocol

import sqlalchemy as sa
from oslo_config import cfg

from trove_upgrade.db import address, engine, impatient
from trove_upgrade.db.models import instance_upgrades
from trove_upgrade.db.process_table import TABLE
from trove_upgrade.db.release import package_version
from trove_upgrade.db.services import Registration, Services

_ONE_UPGRADE = sa.select(instance_upgrades.c.id).limit(1)


class Registry(Protocol):
    """Port to where services are registered: `services.Services`, or a test's stand-in."""

    def beat(self, registration: Registration) -> None:
        """Record that the process runs."""

    def remove(self, registration: Registration) -> None:
        """Record that the process has stopped."""


class ServiceHeartbeat:
    """Heartbeat of one process, and of those that it forks: they give signs of life for its row,
    and leave its end to it.

    One that outlives it, under a server that loads, forks and ends, finds `has_ended` and needs a
    row of its own.
    """

    def __init__(
        self,
        registry: Registry,
        binary: str,
        *,
        host: str | None = None,
        version: str | None = None,
    ) -> None:
        self.registration = Registration.new(
            binary, host or socket.gethostname(), version or package_version()
        )
        self._registry = registry
        self._lock = threading.Lock()
        self._is_written = False
        self._is_over = False

    @property
    def has_ended(self) -> bool:
        """Return True if the process of this row has ended for certain: never in that process."""
        return TABLE.has_ended(self.registration.pid, self.registration.birth)

    def beat(self) -> None:
        """The process runs.  Nothing once it has been said to stop.  Raises as the database
        does.
        """
        with self._lock:
            if self._is_over:
                return
            # whatever comes of it: a write whose answer is lost may have been made
            self._is_written = True
            try:
                self._registry.beat(self.registration)
            finally:
                if self._is_over:  # the stop may have waited in vain for this to end
                    self._registry.remove(self.registration)

    def leave(self, wait_seconds: float) -> None:
        """A clean stop; no sign of life comes after it.  One that hangs is waited for, at most this
        long.  Raises as the database does.
        """
        self._is_over = True
        waited = self._lock.acquire(timeout=wait_seconds)
        try:
            if self._is_written and os.getpid() == self.registration.pid:
                self._registry.remove(self.registration)
        finally:
            if waited:
                self._lock.release()


class ImpatientRegistry:
    """Registry for a process that is not ours to hold up: every call ends within seconds if the
    database is away or hangs.

    On PostgreSQL that takes a new connection for each call (7 ms), as libpq bounds the connect and
    nothing after it.  PyMySQL bounds each answer, and takes 60 ms to connect, as it reads all the
    system's certificates: there one connection is kept.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Prepare the database for the API, without a connection yet.

        :raises DatabaseRefused: the configured database is none that a service may use.
        """
        engine.require_server_database(conf, 'The API')
        url = impatient.Bounds().of_url(address.parse(conf.database.connection, 'The API'))
        self._database = engine.Database.from_url(
            url.render_as_string(hide_password=False), max_retries=0
        )
        self._services = Services(self._database)

    def beat(self, registration: Registration) -> None:
        """The process runs.  Raises as the database does."""
        with self._connected():
            self._services.beat(registration)

    def remove(self, registration: Registration) -> None:
        """The process has stopped.  Raises as the database does."""
        with self._connected():
            self._services.remove(registration)

    def ask(self) -> None:
        """Read from a table of ours.  Raises as the database does."""
        with self._connected(), self._database.read() as connection:
            connection.execute(_ONE_UPGRADE)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """The engine stays, as it costs more to make than all the rest.  In a forked process it is
        made anew.
        """
        made = self._database.engine
        try:
            yield
        finally:
            if not impatient.driver_bounds_answers(made.dialect.name):
                made.dispose()
