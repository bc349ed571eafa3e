# SPDX-License-Identifier: Apache-2.0
"""Client side of the taskmanager's RPC API: nudges: the loss of one costs only delay."""

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, Self

import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context

from trove_upgrade import conf as our_conf
from trove_upgrade.domain import exceptions, guests, logs
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.rpc import serializer, transport
from trove_upgrade.sealing import envelope

LOG = logs.get_logger(__name__)


class _Sender(Protocol):
    """Sender of casts: oslo.messaging's RPC client, or a test's stand-in."""

    def can_send_version(self, version: str) -> bool:
        """Return whether the version cap allows it."""

    def prepare(self, **target: Any) -> Any:
        """A client for another version."""


class Nudger:
    """Sends from a thread of its own, so that no request ever waits for a broker.

    The thread starts with the first nudge (after any fork of a WSGI server) and starts again where
    a fork has lost it. A full queue drops the nudge: the row is the truth, a taskmanager finds it
    at its next look.
    """

    def __init__(self, size: int) -> None:
        self._queue: queue.Queue[tuple[str, Callable[[], None]]] = queue.Queue(size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, what: str, send: Callable[[], None]) -> None:
        """Returns at once; logs one WARNING if the nudge is lost, and never raises."""
        self._ensure_thread()
        try:
            self._queue.put_nowait((what, send))
        except queue.Full:
            LOG.warning(
                'Nudge for %s was dropped: %d others wait for the broker. The taskmanagers find '
                'the row by themselves at their next look; look at the broker.',
                what,
                self._queue.maxsize,
            )

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name='trove-upgrade-nudger', daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            what, send = self._queue.get()
            try:
                send()
            except Exception as error:  # noqa: BLE001 - the edge of a thread that must live on; a lost nudge is no error
                LOG.warning(
                    'Nudge for %s was not sent: %s. The taskmanagers find the row by themselves '
                    'at their next look; look at the broker if this lasts.',
                    what,
                    error,
                )


class TaskManagerAPI:
    """Client side of the taskmanager's RPC API.

    Version history; a line is never edited once it has been released:

    * 1.0 - upgrade(instance_id, datastore_version_id), a cast
    * 1.1 - upgrade() also takes upgrade_id; check(check_id) and heartbeat(heartbeat), casts
    * 1.2 - sealed(envelope), a cast: a heartbeat under the guest's key
    """

    def __init__(self, client: _Sender, nudger: Nudger) -> None:
        self._client = client
        self._nudger = nudger

    @classmethod
    def from_conf(
        cls, conf: cfg.ConfigOpts, rpc_transport: oslo_messaging.Transport | None = None
    ) -> Self:
        """Make a client with a transport of its own unless one is handed in. Connects at the first
        nudge.
        """
        options = conf[our_conf.GROUP]
        client = oslo_messaging.get_rpc_client(
            rpc_transport or transport.get_transport(conf),
            transport.taskmanager_target(conf),
            version_cap=options.taskmanager_rpc_version_cap,
            serializer=serializer.RequestContextSerializer(),
            retry=0,
        )
        return cls(client, Nudger(options.nudge_queue_size))

    def upgrade(self, context: oslo_context.RequestContext, upgrade: Upgrade) -> None:
        """Nudge a taskmanager to look at the row now.  Returns at once, never raises: its loss
        costs only delay.
        """
        version, args = '1.1', {'upgrade_id': upgrade.id}
        if not self._client.can_send_version('1.1'):  # a live taskmanager is older: version_cap
            version, args = '1.0', {}
        self._nudger.submit(
            f'upgrade {upgrade.id}',
            lambda: self._client.prepare(version=version).cast(
                context,
                'upgrade',
                instance_id=upgrade.instance_id,
                datastore_version_id=upgrade.target_version_id,
                **args,
            ),
        )

    def check(self, context: oslo_context.RequestContext, check_id: str) -> None:
        """Nudge a taskmanager to run a stored upgrade check.  Returns at once, never raises."""
        self._nudger.submit(
            f'upgrade check {check_id}',
            lambda: self._client.prepare(version='1.1').cast(context, 'check', check_id=check_id),
        )

    def heartbeat(self, context: oslo_context.RequestContext, heartbeat: guests.Heartbeat) -> None:
        """Tell the taskmanagers that a guest is there.  Sent in the caller's thread.

        :raises MessagingUnavailable: not sent; the guest's loop sends the next one anyway.
        """
        try:
            self._client.prepare(version='1.1').cast(
                context, 'heartbeat', heartbeat=heartbeat.to_wire()
            )
        except transport.BROKER_ERRORS as error:
            raise exceptions.MessagingUnavailable(
                what=f'instance {heartbeat.instance_id} (heartbeat)', found=error
            ) from error

    def sealed(self, context: oslo_context.RequestContext, sealed: envelope.Envelope) -> None:
        """Send the taskmanagers what a guest has sealed.  Sent in the caller's thread.

        :raises MessagingUnavailable: not sent; the guest's loop sends the next one anyway.
        """
        try:
            # the cap is an API's: a guest with a key sends nothing else
            capless = self._client.prepare(version='1.2', version_cap=None)
            capless.cast(context, 'sealed', envelope=sealed.to_wire())
        except transport.BROKER_ERRORS as error:
            raise exceptions.MessagingUnavailable(
                what=f'instance {sealed.instance_id} (sealed heartbeat)', found=error
            ) from error
