# SPDX-License-Identifier: Apache-2.0
"""The places at the broker where messages go: the services' and, where an operator has set them
apart, the guests'.
"""

import dataclasses
from typing import Any

import oslo_messaging
from oslo_config import cfg

from trove_upgrade import conf as our_conf

_AMQP = frozenset({'rabbit', 'kombu'})
#: Raised where a URL cannot be understood.
UNREADABLE = (oslo_messaging.MessagingException, cfg.Error, ValueError)


@dataclasses.dataclass(frozen=True)
class Place:
    """A virtual host of a broker, as one option names it."""

    option: str  #: for messages: its value may hold a password
    url: str | None  #: None: what [DEFAULT] transport_url has


#: API, taskmanagers and Trove meet there; guests too, where they have no place of their own.
SERVICES = Place('[DEFAULT] transport_url', None)


def of_guests(conf: cfg.ConfigOpts) -> Place:
    """Return where taskmanagers call guests, and where guests listen and send heartbeats."""
    url = conf[our_conf.GROUP].guest_transport_url
    return Place('[trove_upgrade] guest_transport_url', url) if url else SERVICES


def of_nova(conf: cfg.ConfigOpts) -> Place:
    """Return where Nova sends its notifications."""
    url = conf[our_conf.GROUP].nova_notifications_transport_url
    return Place('[trove_upgrade] nova_notifications_transport_url', url) if url else SERVICES


def of_taskmanagers(conf: cfg.ConfigOpts) -> tuple[Place, ...]:
    """All places that a taskmanager listens at, the guests' first.  One where both options mean the
    same.
    """
    guests = of_guests(conf)
    if guests == SERVICES or _meaning(conf, guests) == _meaning(conf, SERVICES):
        return (SERVICES,)
    return (guests, SERVICES)


def of_queues(conf: cfg.ConfigOpts) -> tuple[Place, ...]:
    """All places where a taskmanager makes queues: where it listens and, last, where it hears
    Nova.
    """
    places, nova = of_taskmanagers(conf), of_nova(conf)
    if nova == SERVICES or _meaning(conf, nova) in [_meaning(conf, each) for each in places]:
        return places
    return (*places, nova)


def virtual_host(conf: cfg.ConfigOpts, at: Place) -> str | None:
    """Name it; None for a transport without virtual hosts.

    :raises UNREADABLE: the URL cannot be understood.
    """
    url = oslo_messaging.TransportURL.parse(conf, at.url)
    return (url.virtual_host or '/') if url.transport in _AMQP else None


def _meaning(conf: cfg.ConfigOpts, at: Place) -> Any:
    try:
        url = oslo_messaging.TransportURL.parse(conf, at.url)
    except UNREADABLE:
        return at  # it is refused where it is used, with the option's name
    hosts = [(host.hostname, host.port, host.username, host.password) for host in url.hosts]
    return url.transport, url.virtual_host or '/', hosts, url.query
