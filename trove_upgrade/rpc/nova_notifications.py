# SPDX-License-Identifier: Apache-2.0
"""Notifications of Nova about the ends of rebuilds: each is a nudge to read a server now.

Each account at that broker can send one, so nothing of it is believed but that the server may be
worth a look.  The queue is of one taskmanager's host: others that listen to Nova get
theirs all the same.
"""

from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.domain import logs
from trove_upgrade.rpc import place, queues, transport
from trove_upgrade.rpc.listener import Listener

LOG = logs.get_logger(__name__)

#: Of both forms, with versions and without.  Source: Nova, reference of notifications.
_ENDS = r'^(compute\.)?instance\.rebuild\.(end|error)$'
#: An id has 36 characters.
_LONGEST_ID = 64


class RebuildEnds:
    """An endpoint of oslo.messaging: hands on the id of each server whose rebuild has ended."""

    filter_rule = oslo_messaging.NotificationFilter(event_type=_ENDS)

    def __init__(self, told: Callable[[str], None]) -> None:
        """`told` must be cheap for an id that it does not know."""
        self._told = told

    def info(
        self,
        _context: Any,
        _publisher_id: Any,
        _event_type: Any,
        payload: Any,
        _metadata: Any,
    ) -> None:
        """Take a notification of priority INFO."""
        server_id = _server_id(payload)
        if server_id is not None:
            self._told(server_id)

    #: Nova sends failures with this priority
    error = info


def listeners(conf: cfg.ConfigOpts, host: str, told: Callable[[str], None]) -> list[Listener]:
    """Return what hears Nova: nothing unless `nova_notifications_topics` names a topic.

    :raises TransportInvalid: `nova_notifications_transport_url` cannot be understood.
    """
    options = conf[our_conf.GROUP]
    if not options.nova_notifications_topics:
        return []
    at = place.of_nova(conf)
    their_transport = transport.get_notification_transport(conf, at)
    targets = [
        oslo_messaging.Target(exchange=options.nova_notifications_exchange, topic=topic)
        for topic in options.nova_notifications_topics
    ]
    queue = queues.of_nova(host)

    def make() -> oslo_messaging.MessageHandlingServer:
        return oslo_messaging.get_notification_listener(
            their_transport, targets, [RebuildEnds(told)], executor='threading', pool=queue
        )

    return [Listener(conf, at, queue, make)]


def _server_id(payload: Any) -> str | None:
    """Return the id in a payload of either form; None where there is none."""
    if not isinstance(payload, dict):
        return None
    versioned = payload.get('nova_object.data')
    found = versioned.get('uuid') if isinstance(versioned, dict) else payload.get('instance_id')
    return found if isinstance(found, str) and len(found) <= _LONGEST_ID else None
