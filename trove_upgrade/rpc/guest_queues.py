# SPDX-License-Identifier: Apache-2.0
"""Asks the broker what it would answer to a rebuilt guest: exchange and queues exist, and take no other arguments.

RabbitMQ refuses to declare an exchange or a queue again with other arguments (406, a failed precondition). oslo.messaging takes the
arguments from `[oslo_messaging_rabbit]`; a guest whose configuration lacks an option that the servers or its own queue were made
with never listens, and says so in its own log alone.

Source: oslo.messaging 18.3.1, _drivers/impl_rabbit.py: Consumer, _get_queue_arguments and Connection.declare_topic_consumer.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import amqp.exceptions  # type: ignore[import-untyped]
import oslo_messaging
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import messaging
from trove_upgrade.domain import exceptions
from trove_upgrade.rpc import broker, transport

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
    """Implements `domain.ports.GuestBroker`, as the user of the taskmanager's `transport_url`.  Safe to share between threads."""

    def __init__(self, conf: cfg.ConfigOpts, timeout_seconds: float) -> None:
        """`timeout_seconds`: for each connection and each answer."""
        self._conf = conf
        self._timeout = timeout_seconds

    def refusal(self, instance_id: str, files: Mapping[str, str]) -> str | None:
        """See the port.  Nothing is made: only what exists is declared again, which changes nothing."""
        with (
            contextlib.suppress(cfg.Error, exceptions.TroveUpgradeError, ValueError),
            _configured(files) as guest,
        ):
            if guest.get_location('transport_url').location is cfg.Locations.user:
                return self._unlike(guest) or self._refused(instance_id, guest)
        return None  # its options are elsewhere: in the image

    def _unlike(self, guest: cfg.ConfigOpts) -> str | None:
        """Where the guest would listen, and the taskmanagers do not."""
        ours, theirs = (oslo_messaging.TransportURL.parse(one) for one in (self._conf, guest))
        both = {ours.transport, theirs.transport} <= _AMQP
        if both and (ours.virtual_host or '/') != (theirs.virtual_host or '/'):
            return (
                f'its transport_url names the virtual host "{theirs.virtual_host or "/"}", '
                f'and that of the taskmanager "{ours.virtual_host or "/"}"'
            )
        for name in _SHARED:
            found, expected = guest[our_conf.GROUP][name], self._conf[our_conf.GROUP][name]
            if found != expected:
                return f'its {name} is "{found}", and that of the taskmanager "{expected}"'
        return None

    def _refused(self, instance_id: str, guest: cfg.ConfigOpts) -> str | None:
        """Return the broker's answer; None where it refuses the login."""
        wanted = declared(guest)
        connection = broker.connect(self._conf, self._timeout)[0] if wanted else None
        if connection is None or wanted is None:
            return None
        try:
            return self._first_refusal(connection, instance_id, wanted)
        except transport.BROKER_ERRORS:
            return None
        finally:
            connection.release()

    def _first_refusal(self, connection: Any, instance_id: str, wanted: Declared) -> str | None:
        found = self._declare_all(connection, instance_id, wanted)
        if found is None or _UNEQUAL_DURABLE not in found or wanted.is_quorum or not wanted.durable:
            return found
        # oslo.messaging tries again without durable then; a quorum queue cannot be that
        again = dataclasses.replace(wanted, durable=False)
        return found if self._declare_all(connection, instance_id, again) else None

    def _declare_all(self, connection: Any, instance_id: str, wanted: Declared) -> str | None:
        exchange = self._conf[our_conf.GROUP].rpc_exchange
        own = f'{self._conf[our_conf.GROUP].guest_topic_prefix}{instance_id}'
        troves = f'{_TROVES_PREFIX}{instance_id}'
        queues = dict.fromkeys((own, f'{own}.{own}', troves, f'{troves}.{instance_id}'))
        return _declare_exchange(connection, exchange, wanted) or next(
            (found for name in queues if (found := _declare_queue(connection, name, wanted))), None
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


def declared(conf: cfg.ConfigOpts) -> Declared | None:
    """Return what a process with this configuration declares; None for a transport without exchanges.

    What stands in the URL goes before the options.

    :raises transport.TransportInvalid: `transport_url` cannot be understood.
    """
    transport.get_answering_transport(conf).cleanup()  # it registers the options of oslo.messaging
    url = oslo_messaging.TransportURL.parse(conf)
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


def _declare_exchange(connection: Any, name: str, wanted: Declared) -> str | None:
    def declare(channel: Any, passive: bool) -> None:
        channel.exchange_declare(
            name, 'topic', passive=passive, durable=wanted.durable, auto_delete=wanted.auto_delete
        )

    return _asked(connection, f'exchange {name} ({wanted})', declare)


def _declare_queue(connection: Any, name: str, wanted: Declared) -> str | None:
    def declare(channel: Any, passive: bool) -> None:
        channel.queue_declare(
            name,
            passive=passive,
            durable=wanted.durable,
            auto_delete=wanted.auto_delete,
            arguments=dict(wanted.arguments),
        )

    return _asked(connection, f'queue {name} ({wanted})', declare)


def _asked(connection: Any, what: str, declare: Callable[[Any, bool], None]) -> str | None:
    """Return the broker's no to declaring again what exists; None where it does not exist or must not be asked for."""
    try:
        declare(connection.channel(), True)
        declare(connection.channel(), False)
    except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
        return None
    except amqp.exceptions.PreconditionFailed as error:
        return f'the broker refuses it the {what}: {broker.reason(error)}'
    return None
