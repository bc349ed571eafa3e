# SPDX-License-Identifier: Apache-2.0
"""Notifications: `trove.upgrade.start`, `.held`, `.open`, `.end` and `.error` for all listeners.

The payload is the outbox event's, with `event_id` and `payload_version` added; the event id tells
repetitions apart.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Self

import oslo_messaging
from oslo_config import cfg

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.events import PAYLOAD_VERSION, EventKind, OutboxEvent
from trove_upgrade.domain.printable import printable_value
from trove_upgrade.rpc import serializer, transport

EVENT_TYPES = {
    EventKind.START: 'trove.upgrade.start',
    EventKind.HELD: 'trove.upgrade.held',
    EventKind.OPEN: 'trove.upgrade.open',
    EventKind.END: 'trove.upgrade.end',
    EventKind.ERROR: 'trove.upgrade.error',
}

_PRIORITIES = {
    EventKind.START: 'INFO',
    EventKind.HELD: 'INFO',
    EventKind.OPEN: 'INFO',
    EventKind.END: 'INFO',
    EventKind.ERROR: 'ERROR',
}

#: The drivers of oslo.messaging that put a message on a broker, and the envelope that each of them
#: uses.
_ENVELOPES = {'messaging': 1.0, 'messagingv2': 2.0}


class MessagingNotifier:
    """Implements `domain.events.Notifier` over the configured drivers of
    `[oslo_messaging_notifications]`.

    oslo.messaging's own Notifier logs and forgets what a driver could not send; here returning
    means sent, so messages for a broker are handed to the transport directly.  Drivers that have no
    broker (log, test, noop) go the usual way.
    """

    def __init__(
        self,
        notification_transport: Any,
        *,
        publisher_id: str,
        drivers: Sequence[str],
        topics: Sequence[str],
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._transport = notification_transport
        self._publisher_id = publisher_id
        self._topics = topics
        self._envelopes = [_ENVELOPES[name] for name in drivers if name in _ENVELOPES]
        self._now = now
        others = [name for name in drivers if name not in _ENVELOPES]
        self._others = [
            oslo_messaging.Notifier(notification_transport, publisher_id=publisher_id, driver=name)
            for name in others
        ]

    @classmethod
    def from_conf(
        cls, conf: cfg.ConfigOpts, *, host: str, now: Callable[[], datetime.datetime]
    ) -> Self:
        """Drivers and topics as configured; none configured means that there are no listeners."""
        notification_transport = transport.get_notification_transport(conf)
        # registers the options that are read next
        oslo_messaging.Notifier(notification_transport, driver='noop')
        options = conf.oslo_messaging_notifications
        return cls(
            notification_transport,
            publisher_id=f'trove-upgrade-taskmanager.{host}',
            drivers=options.driver,
            topics=options.topics,
            now=now,
        )

    def send(self, event: OutboxEvent) -> None:
        """Send an event to every driver and topic; a repetition after a partial failure carries the
        same event id.

        :raises MessagingUnavailable: not sent to all; try later.
        """
        event_type, priority = EVENT_TYPES[event.kind], _PRIORITIES[event.kind]
        payload = {
            **printable_value(event.payload),
            'event_id': event.id,
            'payload_version': PAYLOAD_VERSION,
        }
        context = serializer.service_context(event.payload.get('request_id')).to_dict()
        message = {
            'message_id': event.id,
            'publisher_id': self._publisher_id,
            'event_type': event_type,
            'priority': priority,
            'payload': payload,
            'timestamp': self._now().replace(tzinfo=None).isoformat(' '),
        }
        for envelope in self._envelopes:
            for topic in self._topics:
                self._send_to_broker(f'{topic}.{priority.lower()}', context, message, envelope)
        for other in self._others:
            (other.error if priority == 'ERROR' else other.info)(context, event_type, payload)

    def _send_to_broker(
        self, topic: str, context: dict[str, Any], message: dict[str, Any], envelope: float
    ) -> None:
        try:
            self._transport._send_notification(  # noqa: SLF001 - the drivers' own way; they swallow what it raises
                oslo_messaging.Target(topic=topic),
                context,
                dict(message),
                version=envelope,
                retry=0,
            )
        except transport.BROKER_ERRORS as error:
            raise exceptions.MessagingUnavailable(
                what=f'notification {message["event_type"]} to {topic}', found=error
            ) from error
