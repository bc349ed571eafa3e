# SPDX-License-Identifier: Apache-2.0
"""One operation on a server at a time, and no guest for a server that Nova has deleted meanwhile.

Nova lets a delete come in the middle of a rebuild: the delete would miss a guest with a root disk
that is made just then, and the guest would stay.  Source: nova/compute/manager.py:
terminate_instance takes the lock of the server, rebuild_instance does not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab.hypervisor.errors import GuestUnknown


class Turns:
    """Turns of the threads of one nova-compute."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._deleted: set[str] = set()

    def _lock(self, server_id: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(server_id, threading.Lock())

    @contextmanager
    def making(self, server_id: str) -> Iterator[None]:
        """Hold the server while its guest is made and booted.

        :raises GuestUnknown: the server was deleted before.
        """
        with self._lock(server_id):
            if server_id in self._deleted:
                raise GuestUnknown(server_id)
            yield

    @contextmanager
    def ending(self, server_id: str, *, deleted: bool) -> Iterator[None]:
        """Hold the server while its guest is ended; with `deleted` none is made for it
        afterwards.
        """
        with self._lock(server_id):
            yield
            if deleted:
                self._deleted.add(server_id)
