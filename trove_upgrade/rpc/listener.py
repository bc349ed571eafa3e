# SPDX-License-Identifier: Apache-2.0
"""A server of a taskmanager that hears messages: at one place of the broker."""

import threading
from collections.abc import Callable
from typing import Any, Self

import oslo_messaging
from oslo_config import cfg

from trove_upgrade.domain import logs, queue_errors
from trove_upgrade.rpc import place, queues, transport

LOG = logs.get_logger(__name__)

_BROKER_SECONDS = 5.0


class Listener:
    """Starts in a thread of its own, as it waits for the broker; one without its broker holds up no
    other.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        at: place.Place,
        queue: str,
        make: Callable[[], oslo_messaging.MessageHandlingServer],
    ) -> None:
        """`queue`: the one that ends with the last listener of it; `make` makes the server."""
        self._conf = conf
        self._at = at
        self._queue = queue
        self._make = make
        self._stopping = threading.Event()
        self._server: oslo_messaging.MessageHandlingServer | None = None

    @classmethod
    def of_rpc(
        cls,
        conf: cfg.ConfigOpts,
        at: place.Place,
        host: str,
        endpoint: Any,
        *,
        refused: Callable[[], None] = lambda: None,
    ) -> Self:
        """Return the one that hears nudges and heartbeats; `refused` is called with each message
        that the endpoint does not take.
        """
        target = transport.taskmanager_target(conf, server=host)
        return cls(
            conf,
            at,
            queues.of_host(conf, host),
            lambda: transport.get_server(
                transport.get_transport(conf, at), target, [endpoint], refused=refused
            ),
        )

    def start(self) -> None:
        """Start to listen in a thread of its own, and return at once."""
        threading.Thread(target=self._serve, name='listener', daemon=True).start()

    def stop(self) -> None:
        """Take nothing more; also where it has not begun yet."""
        self._stopping.set()
        if self._server is not None:
            self._server.stop()

    def leave(self) -> None:
        """The queue of this host goes with its last taskmanager; the shared one keeps what guests
        tell until another one starts.

        Waits for the broker.
        """
        if self._server is None:
            return
        try:
            self._server.wait()
            queues.remove(self._conf, [self._queue], _BROKER_SECONDS, self._at)
        except (queue_errors.BrokerUnavailable, *transport.BROKER_ERRORS) as error:
            LOG.info('Queue %s stays at the broker: %s', self._queue, error)

    def _serve(self) -> None:
        try:
            server = self._make()
            server.start()
        except Exception:
            LOG.exception(
                'Queue %s could not be listened to: nothing of it is heard. Look at %s and start '
                'the taskmanager again',
                self._queue,
                self._at.option,
            )
            return
        self._server = server
        if self._stopping.is_set():
            server.stop()
        LOG.info('The taskmanager listens on queue %s of %s', self._queue, self._at.option)
