# SPDX-License-Identifier: Apache-2.0
"""One RPC server of a taskmanager: at one place of the broker."""

import threading
from typing import Any

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

    def __init__(self, conf: cfg.ConfigOpts, at: place.Place, host: str, endpoint: Any) -> None:
        self._conf = conf
        self._at = at
        self._host = host
        self._endpoint = endpoint
        self._stopping = threading.Event()
        self._server: oslo_messaging.MessageHandlingServer | None = None

    def start(self) -> None:
        """Start to listen in a thread of its own, and return at once."""
        threading.Thread(target=self._serve, name='rpc-server', daemon=True).start()

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
            queues.remove(
                self._conf, [queues.of_host(self._conf, self._host)], _BROKER_SECONDS, self._at
            )
        except (queue_errors.BrokerUnavailable, *transport.BROKER_ERRORS) as error:
            LOG.info('The queue of this host stays at the broker, empty: %s', error)

    def _serve(self) -> None:
        target = transport.taskmanager_target(self._conf, server=self._host)
        try:
            server = transport.get_server(
                transport.get_transport(self._conf, self._at), target, [self._endpoint]
            )
            server.start()
        except Exception:
            LOG.exception(
                'The RPC server could not be started: no nudge or heartbeat is heard. Look at %s '
                'and start it again',
                self._at.option,
            )
            return
        self._server = server
        if self._stopping.is_set():
            server.stop()
        LOG.info(
            'Taskmanager on %s listens on topic %s of %s', self._host, target.topic, self._at.option
        )
