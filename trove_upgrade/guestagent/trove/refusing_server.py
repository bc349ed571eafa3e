# SPDX-License-Identifier: Apache-2.0
"""The server that answers on the topic of Trove's agent while that agent is held back: otherwise
none would, and then all of it would run at the agent's next start.

A cast to stop the database, to swap its container or to start a server on the volume, sent before
or during an upgrade, must not be obeyed after it.  RPC has no way to empty a queue; what is taken
from it by a server that refuses everything is gone, and callers are told at once. Source: measured
with Trove 26, casts of minutes ago run when an agent reconnects.

What it answers is in `refuser`, which loads oslo.messaging.
"""

import threading
from collections.abc import Callable
from typing import Any

from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

_END_SECONDS = 15.0


class RefusingServer:
    """`trove_agent.Substitute` on the topic of Trove's agent."""

    def __init__(self, make_server: Callable[[], Any], end_seconds: float = _END_SECONDS) -> None:
        """:param make_server: makes a server of oslo.messaging, not started."""
        self._make_server = make_server
        self._end_seconds = end_seconds
        self._lock = threading.Lock()
        self._server: Any = None
        self._starting: threading.Thread | None = None

    def begin(self) -> None:
        """Start the server in the background: without a broker this lasts until there is one."""
        with self._lock:
            if self._server is None:
                self._server = self._make_server()
                self._starting = threading.Thread(
                    target=self._server.start, name='stand-in', daemon=True
                )
                self._starting.start()

    def end(self) -> None:
        """Returns when nothing more is taken, or when there is no broker to take it
        from.
        """
        with self._lock:
            server, starting, self._server, self._starting = (
                self._server,
                self._starting,
                None,
                None,
            )
        if server is None or starting is None:
            return
        ending = threading.Thread(
            target=_end, args=(server, starting), name='stand-in-end', daemon=True
        )
        ending.start()
        ending.join(self._end_seconds)
        if ending.is_alive():
            LOG.warning(
                "Calls for Trove's agent may still be refused for a while: the broker has not let "
                'go of its topic yet'
            )


def _end(server: Any, starting: threading.Thread) -> None:
    starting.join()
    server.stop()
    server.wait()
