# SPDX-License-Identifier: Apache-2.0
"""The queues of the taskmanagers at the broker, and their end.

A taskmanager makes two durable ones: of the topic, which all share, and of the topic and its host.
Neither ends by itself: oslo.messaging gives an expiry to fanout and reply queues alone (18.3.1),
and no argument can be added to a queue that is there. Publishers make the exchange and no queue:
once the queue is gone, what is sent to it is dropped.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import amqp.exceptions  # type: ignore[import-untyped]
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.domain import queue_errors
from trove_upgrade.rpc import broker, place, transport


@dataclasses.dataclass(frozen=True)
class Queue:
    """One queue, as the broker counts."""

    name: str
    messages: int
    consumers: int


def of_host(conf: cfg.ConfigOpts, host: str) -> str:
    """Name of the queue of one host's taskmanagers."""
    return f'{conf[our_conf.GROUP].taskmanager_topic}.{host}'


def of_nova(host: str) -> str:
    """Name of the queue by which taskmanagers of one host hear Nova."""
    return f'trove-upgrade-nova.{host}'


def of_taskmanagers(conf: cfg.ConfigOpts, hosts: Sequence[str]) -> list[str]:
    """Names of the shared queue and of those of `hosts`."""
    return [
        conf[our_conf.GROUP].taskmanager_topic,
        *(of_host(conf, host) for host in hosts),
        # also where none is made any more: one that was left keeps all that Nova sends
        *(of_nova(host) for host in hosts),
    ]


def find(
    conf: cfg.ConfigOpts,
    names: Sequence[str],
    timeout_seconds: float,
    at: place.Place = place.SERVICES,
) -> list[Queue]:
    """Find those of the queues that exist; nothing is made.

    :raises BrokerUnavailable: none lets us in, it went away, or the transport is of another kind.
    :raises BrokerRefused: the user of that URL may not do it.
    :raises transport.TransportInvalid: the URL cannot be understood.
    """
    with _connected(conf, timeout_seconds, at) as connection:
        return [found for name in names if (found := _inspect(connection, name)) is not None]


def remove(
    conf: cfg.ConfigOpts,
    names: Sequence[str],
    timeout_seconds: float,
    at: place.Place = place.SERVICES,
) -> list[Queue]:
    """Delete those that have no consumer, with their messages; returns them as they were.

    May be repeated.

    The broker is asked first, as quorum queues do not know "only if unused".  Raises as `find`.
    """
    removed = []
    with _connected(conf, timeout_seconds, at) as connection:
        for name in names:
            found = _inspect(connection, name)
            if found is not None and not found.consumers:
                connection.channel().queue_delete(queue=name)
                removed.append(found)
    return removed


def remove_exchange(
    conf: cfg.ConfigOpts, timeout_seconds: float, at: place.Place = place.SERVICES
) -> bool:
    """Delete our exchange if no queue is bound to it; False where one is.  Raises as `find`."""
    with _connected(conf, timeout_seconds, at) as connection:
        try:
            connection.channel().exchange_delete(
                exchange=conf[our_conf.GROUP].rpc_exchange, if_unused=True
            )
        except amqp.exceptions.PreconditionFailed:
            return False
        except amqp.exceptions.NotFound:
            pass
        return True


def _inspect(connection: Any, name: str) -> Queue | None:
    try:
        found = connection.channel().queue_declare(queue=name, passive=True)
    except amqp.exceptions.NotFound:
        return None
    return Queue(name, int(found.message_count), int(found.consumer_count))


@contextlib.contextmanager
def _connected(conf: cfg.ConfigOpts, timeout_seconds: float, at: place.Place) -> Iterator[Any]:
    connection, found = broker.connect(conf, timeout_seconds, at)
    if connection is None:
        raise queue_errors.BrokerUnavailable(found=found, option=at.option)
    try:
        with as_ours(at):
            yield connection
    finally:
        connection.release()


@contextlib.contextmanager
def as_ours(at: place.Place = place.SERVICES) -> Iterator[None]:
    """Give the errors of a broker that has let us in their codes.

    :raises BrokerRefused, BrokerUnavailable: in the broker's words, which hold no password.
    """
    try:
        yield
    except amqp.exceptions.AccessRefused as error:
        raise queue_errors.BrokerRefused(found=broker.reason(error), option=at.option) from error
    except transport.BROKER_ERRORS as error:
        raise queue_errors.BrokerUnavailable(
            found=broker.reason(error), option=at.option
        ) from error
