# SPDX-License-Identifier: Apache-2.0
"""Asks the broker what it would answer to a rebuilt guest: exchange and queues exist, and take no
other arguments.

RabbitMQ refuses to declare an exchange or a queue again with other arguments (406, a failed
precondition). oslo.messaging takes the arguments from `[oslo_messaging_rabbit]`; a guest never
listens if its configuration lacks an option that the servers or its own queue were made with, and
only its own log shows that.

Source: oslo.messaging 18.3.1, _drivers/impl_rabbit.py: Consumer, _get_queue_arguments and
Connection.declare_topic_consumer.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import amqp.exceptions  # type: ignore[import-untyped]
import oslo_messaging
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import messaging
from trove_upgrade.domain import exceptions
from trove_upgrade.rpc import broker, place, transport

#: Of Trove's own agent, where it is in the guest, too.
_TROVES_PREFIX = 'guestagent.'
_RABBIT = 'oslo_messaging_rabbit'
_AMQP = frozenset({'rabbit', 'kombu'})
#: Options of ours that a guest and the taskmanagers must agree on.
_SHARED = ('rpc_exchange', 'taskmanager_topic')
_UNEQUAL_DURABLE = "inequivalent arg 'durable'"


@dataclasses.dataclass(frozen=True)
class Declared:
    """Arguments that an agent declares its exchange and its queues with."""

    durable: bool
    auto_delete: bool
    arguments: Mapping[str, Any]

    @property
    def is_quorum(self) -> bool:
        """Return True where the queues are replicated; those are durable always."""
        return self.arguments.get('x-queue-type') == 'quorum'

    def __str__(self) -> str:
        named = {'durable': self.durable, 'auto_delete': self.auto_delete, **self.arguments}
        return ', '.join(f'{name} {value}' for name, value in named.items())


class GuestQueues:
    """Implements `domain.ports.GuestBroker`, as the users of the taskmanager's URLs.  Safe to share
    between threads.

    Asked is the virtual host that the guest's configuration names: the one of
    `guest_transport_url`, or that of the services, where guests may stay and where the agent of
    Trove is always.
    """

    def __init__(self, conf: cfg.ConfigOpts, timeout_seconds: float) -> None:
        """`timeout_seconds`: for each connection and each answer."""
        self._conf = conf
        self._timeout = timeout_seconds

    def refusal(self, instance_id: str, files: Mapping[str, str]) -> str | None:
        """Tell why a guest could not listen; None if it could. Nothing is made: only what exists is
        declared again, which changes nothing.
        """
        with (
            contextlib.suppress(cfg.Error, exceptions.TroveUpgradeError, ValueError),
            _configured(files) as guest,
        ):
            own = place.of_guests(guest)
            if own == place.SERVICES and not _is_set(guest):
                return None  # its options are elsewhere: in the image
            return (
                self._elsewhere(guest, own)
                or self._unlike(guest)
                or self._refused(guest, own, instance_id)
            )
        return None

    def _elsewhere(self, guest: cfg.ConfigOpts, own: place.Place) -> str | None:
        """Tell where the guest would listen and the taskmanagers do not; None if they agree."""
        theirs = place.virtual_host(guest, own)
        ours = {
            at.option.rpartition(' ')[2]: place.virtual_host(self._conf, at)
            for at in place.of_taskmanagers(self._conf)
        }
        if theirs is None or None in ours.values() or theirs in ours.values():
            return None
        named = ' and '.join(f'{option} "{host}"' for option, host in ours.items())
        return (
            f'its {own.option.rpartition(" ")[2]} names the virtual host "{theirs}", '
            f'and those of the taskmanagers are {named}'
        )

    def _unlike(self, guest: cfg.ConfigOpts) -> str | None:
        """Return the option by which it and the taskmanagers would miss each other."""
        for name in _SHARED:
            found, expected = guest[our_conf.GROUP][name], self._conf[our_conf.GROUP][name]
            if found != expected:
                return f'its {name} is "{found}", and that of the taskmanager "{expected}"'
        return None

    def _refused(self, guest: cfg.ConfigOpts, own: place.Place, instance_id: str) -> str | None:
        """Return the broker's first answer that is a no."""
        asked = (self._ask(one) for one in self._questions(guest, own, instance_id))
        return next((found for found in asked if found), None)

    def _questions(
        self, guest: cfg.ConfigOpts, own: place.Place, instance_id: str
    ) -> Iterator['Question']:
        """Yield questions about our agent, then about Trove's, each at the place where it
        listens.
        """
        exchange = self._conf[our_conf.GROUP].rpc_exchange
        topic = f'{self._conf[our_conf.GROUP].guest_topic_prefix}{instance_id}'
        ours = (topic, f'{topic}.{topic}')
        troves = (f'{_TROVES_PREFIX}{instance_id}', f'{_TROVES_PREFIX}{instance_id}.{instance_id}')
        if own == place.SERVICES:
            yield from self._question(guest, own, exchange, (*ours, *troves))
        else:
            yield from self._question(guest, own, exchange, ours)
            if _is_set(guest):
                yield from self._question(guest, place.SERVICES, None, troves)

    def _question(
        self, guest: cfg.ConfigOpts, at: place.Place, exchange: str | None, queues: Iterable[str]
    ) -> Iterator['Question']:
        """Yield one question, or none for a virtual host that is none of the taskmanager's."""
        declaration, host = declared(guest, at), place.virtual_host(guest, at)
        places = place.of_taskmanagers(self._conf)
        same = [one for one in places if place.virtual_host(self._conf, one) == host]
        if declaration is not None and same:
            yield Question(
                at=same[0],
                declaration=declaration,
                exchange=exchange,
                queues=tuple(dict.fromkeys(queues)),
            )

    def _ask(self, question: 'Question') -> str | None:
        """Return the broker's no; None where it refuses us the login."""
        connection = broker.connect(self._conf, self._timeout, question.at)[0]
        if connection is None:
            return None
        try:
            return _first_refusal(connection, question)
        except transport.BROKER_ERRORS:
            return None
        finally:
            connection.release()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """Declarations of one agent at one place of the broker."""

    at: place.Place  #: the taskmanager's
    declaration: Declared
    exchange: str | None
    queues: tuple[str, ...]


def _is_set(guest: cfg.ConfigOpts) -> bool:
    """Tell whether the files name a `transport_url`."""
    return bool(guest.get_location('transport_url').location is cfg.Locations.user)


def _first_refusal(connection: Any, question: Question) -> str | None:
    declaration = question.declaration
    found = _declare_all(connection, question)
    if (
        found is None
        or _UNEQUAL_DURABLE not in found
        or declaration.is_quorum
        or not declaration.durable
    ):
        return found
    # oslo.messaging tries again without durable then; a quorum queue cannot be that
    again = dataclasses.replace(
        question, declaration=dataclasses.replace(declaration, durable=False)
    )
    return found if _declare_all(connection, again) else None


def _declare_all(connection: Any, question: Question) -> str | None:
    declaration = question.declaration
    refused = (
        _declare_exchange(connection, question.exchange, declaration) if question.exchange else None
    )
    return refused or next(
        (
            found
            for name in question.queues
            if (found := _declare_queue(connection, name, declaration))
        ),
        None,
    )


@contextlib.contextmanager
def _configured(files: Mapping[str, str]) -> Iterator[cfg.ConfigOpts]:
    """The configuration as an agent reads it from these files, in their order.

    :raises cfg.Error: it cannot be read.
    :raises transport.TransportInvalid: its `transport_url` cannot be understood.
    """
    with contextlib.ExitStack() as open_files:
        paths = [open_files.enter_context(_in_memory(text)) for text in files.values()]
        conf = cfg.ConfigOpts()
        conf.register_opts(messaging.OPTS, group=our_conf.GROUP)
        conf(
            args=[word for path in paths for word in ('--config-file', path)],
            default_config_files=[],
            default_config_dirs=[],
        )
        transport.get_answering_transport(conf).cleanup()  # registers the driver's options
        yield conf


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Path of a file that is on no disk: it holds passwords."""
    with os.fdopen(os.memfd_create('guest.conf'), 'w', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        yield f'/proc/self/fd/{file.fileno()}'


def declared(conf: cfg.ConfigOpts, at: place.Place = place.SERVICES) -> Declared | None:
    """Return what a process with this configuration declares; None for a transport without
    exchanges.

    What stands in the URL goes before the options.

    :raises transport.TransportInvalid: the URL cannot be understood.
    """
    # it registers the options of oslo.messaging
    transport.get_answering_transport(conf, at).cleanup()
    url = oslo_messaging.TransportURL.parse(conf, at.url)
    if url.transport not in _AMQP:
        return None
    options = conf[_RABBIT]

    def flag(name: str) -> bool:
        return str(url.query.get(name, options[name])).lower() in {'1', 'true', 'yes', 'on'}

    quorum = flag('rabbit_quorum_queue')
    arguments: dict[str, Any] = {'x-ha-policy': 'all'} if flag('rabbit_ha_queues') else {}
    if quorum:
        limits = {
            'x-delivery-limit': 'rabbit_quorum_delivery_limit',
            'x-max-in-memory-length': 'rabbit_quorum_max_memory_length',
            'x-max-in-memory-bytes': 'rabbit_quorum_max_memory_bytes',
        }
        set_limits = {
            name: int(url.query.get(option, options[option])) for name, option in limits.items()
        }
        arguments |= {'x-queue-type': 'quorum'} | {
            name: value for name, value in set_limits.items() if value
        }
    return Declared(flag('amqp_durable_queues') or quorum, flag('amqp_auto_delete'), arguments)


def _declare_exchange(connection: Any, name: str, declaration: Declared) -> str | None:
    def declare(channel: Any, passive: bool) -> None:
        channel.exchange_declare(
            name,
            'topic',
            passive=passive,
            durable=declaration.durable,
            auto_delete=declaration.auto_delete,
        )

    return _asked(connection, f'exchange {name} ({declaration})', declare)


def _declare_queue(connection: Any, name: str, declaration: Declared) -> str | None:
    def declare(channel: Any, passive: bool) -> None:
        channel.queue_declare(
            name,
            passive=passive,
            durable=declaration.durable,
            auto_delete=declaration.auto_delete,
            arguments=dict(declaration.arguments),
        )

    return _asked(connection, f'queue {name} ({declaration})', declare)


def _asked(connection: Any, what: str, declare: Callable[[Any, bool], None]) -> str | None:
    """Return the broker's no to declaring again what exists; None where it does not exist or must
    not be asked for.
    """
    try:
        declare(connection.channel(), True)
        declare(connection.channel(), False)
    except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
        return None
    except amqp.exceptions.PreconditionFailed as error:
        return f'the broker refuses it the {what}: {broker.reason(error)}'
    return None
