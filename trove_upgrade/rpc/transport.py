# SPDX-License-Identifier: Apache-2.0
"""Transport of messages: transports from configuration, topics from options, servers on threads."""

import contextlib
import functools
import importlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import amqp.exceptions  # type: ignore[import-untyped]
import kombu.exceptions
import oslo_messaging
from oslo_config import cfg
from oslo_messaging import transport as oslo_transport
from oslo_messaging.rpc import server as oslo_server

from trove_upgrade import conf as our_conf
from trove_upgrade.conf import fault
from trove_upgrade.domain import exceptions
from trove_upgrade.rpc import dispatcher, place, serializer

#: Highest versions that the two APIs have; the history stands in the docstrings of the client
#: classes.
TASKMANAGER_VERSION = '1.2'
GUEST_VERSION = '1.2'

#: What a broker that is down comes out as: with `retry=0` the first connection's error is not
#: oslo.messaging's own (18.3.1).
BROKER_ERRORS = (
    oslo_messaging.MessagingException,
    kombu.exceptions.OperationalError,
    amqp.exceptions.AMQPError,
    OSError,
)

_AMQP_PORT = 5672
_AMQP = frozenset({'rabbit', 'kombu'})

#: oslo.messaging 18 registers these option lists on the global configuration alone, and then reads
#: them from the one it was given: the first call with a configuration object of one's own ends in
#: NoSuchOptError (service-facts).
_UNREGISTERED = {
    'oslo_messaging_tracing': 'oslo_messaging._tracing.client',
    'oslo_messaging_metrics': 'oslo_messaging._metrics.client',
}


class ExpiringTransport(oslo_transport.RPCTransport):
    """RPC transport for casts with a time to live, as calls have: oslo.messaging's cast hands
    none to the driver (18.3.1).

    All casts of ours go to the taskmanagers' queue. It has neither an expiry nor a limit: without
    a reader it would grow for ever. A limit cannot be an argument of that queue, as a broker
    refuses to declare a queue again with other arguments than it was made with.
    """

    def __init__(self, driver: Any, *, cast_seconds: float) -> None:
        super().__init__(driver)
        self._cast_seconds = cast_seconds

    def _send(
        self,
        *arguments: Any,
        wait_for_reply: Any = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        if not wait_for_reply and timeout is None:
            # the driver makes it the message's expiration, as of a call
            timeout = self._cast_seconds
        return super()._send(*arguments, wait_for_reply=wait_for_reply, timeout=timeout, **options)


class TransportInvalid(exceptions.TroveUpgradeError):
    """`transport_url` or `guest_transport_url` cannot be understood.  The text holds no part of it,
    as it may hold a password.
    """

    code = 'TRANSPORT_URL_INVALID'
    template = (
        'The message broker cannot be asked: {option} is wrong, {found}. Write it as '
        'rabbit://user:password@host:5672/virtual_host.'
    )


def register_missing_opts(conf: cfg.ConfigOpts) -> None:
    """Make `conf`, whichever object it is, fit for oslo.messaging.  Safe to call twice; older
    releases have no such lists.
    """
    for group, module_name in _UNREGISTERED.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            continue
        opts = getattr(module, group, None)
        if opts is not None:
            conf.register_opts(opts, group=group)


def get_transport(
    conf: cfg.ConfigOpts, at: place.Place = place.SERVICES
) -> oslo_messaging.Transport:
    """The RPC transport of `transport_url`, or of another place.  Connects at the first message,
    not now.

    :raises TransportInvalid: it cannot be understood, or its driver cannot be loaded.
    """
    return _rpc_transport(
        conf,
        functools.partial(
            ExpiringTransport, cast_seconds=conf[our_conf.GROUP].taskmanager_message_ttl
        ),
        at,
    )


def get_guest_transport(conf: cfg.ConfigOpts) -> oslo_messaging.Transport:
    """Return the RPC transport of `guest_transport_url`, or of `transport_url` where that is unset:
    for a guest agent.

    :raises TransportInvalid: as `get_transport`.
    """
    return get_transport(conf, place.of_guests(conf))


def get_answering_transport(
    conf: cfg.ConfigOpts, at: place.Place = place.SERVICES
) -> oslo_messaging.Transport:
    """Return the RPC transport of a configuration that need not have our options: for servers,
    which cast nothing.

    :raises TransportInvalid: as `get_transport`.
    """
    return _rpc_transport(conf, oslo_transport.RPCTransport, at)


def _rpc_transport(
    conf: cfg.ConfigOpts, transport_class: Callable[..., oslo_messaging.Transport], at: place.Place
) -> oslo_messaging.Transport:
    register_missing_opts(conf)
    with _as_invalid(at.option):
        return oslo_messaging.get_rpc_transport(conf, url=at.url, transport_cls=transport_class)


def get_notification_transport(
    conf: cfg.ConfigOpts, at: place.Place | None = None
) -> oslo_messaging.Transport:
    """The transport of `[oslo_messaging_notifications]`, or of another place.  Connects at the
    first message, not now.

    :raises TransportInvalid: its URL cannot be understood, or its driver cannot be loaded.
    """
    register_missing_opts(conf)
    if at is not None:
        with _as_invalid(at.option):
            # not as text: without one that would be the place of our own notifications
            url = oslo_messaging.TransportURL.parse(conf, at.url)
            return oslo_messaging.get_notification_transport(conf, url=url)
    with _as_invalid(
        '[oslo_messaging_notifications] transport_url, or [DEFAULT] transport_url where that is '
        'not set,'
    ):
        return oslo_messaging.get_notification_transport(conf)


@contextlib.contextmanager
def _as_invalid(option: str) -> Iterator[None]:
    """Drivers are imported, and options read, when a transport is made: what fails there names
    neither URL nor option.
    """
    try:
        yield
    except oslo_messaging.DriverLoadFailure as error:
        raise TransportInvalid(
            option=option, found=f'there is no driver "{error.driver}"'
        ) from error
    except ImportError as error:
        raise TransportInvalid(
            option=option, found=f'its driver lacks the package "{error.name}"'
        ) from error
    except cfg.Error as error:
        raise fault.ConfigurationInvalid(
            found=f'of the message broker, {fault.describe(error)}'
        ) from error
    except (oslo_messaging.MessagingException, ValueError) as error:
        raise TransportInvalid(option=option, found='it is no URL of the right form') from error


def taskmanager_target(conf: cfg.ConfigOpts, *, server: str | None = None) -> oslo_messaging.Target:
    """All taskmanagers; with `server` (a host's name) what one of them listens on."""
    options = conf[our_conf.GROUP]
    return oslo_messaging.Target(
        exchange=options.rpc_exchange,
        topic=options.taskmanager_topic,
        server=server,
        version=TASKMANAGER_VERSION,
    )


def guest_target(conf: cfg.ConfigOpts, instance_id: str) -> oslo_messaging.Target:
    """The agent of one instance: topic and server are both `<prefix><instance_id>`."""
    options = conf[our_conf.GROUP]
    topic = f'{options.guest_topic_prefix}{instance_id}'
    return oslo_messaging.Target(
        exchange=options.rpc_exchange, topic=topic, server=topic, version=GUEST_VERSION
    )


def get_server(
    transport: oslo_messaging.Transport,
    target: oslo_messaging.Target,
    endpoints: Sequence[Any],
    *,
    refused: Callable[[], None] = lambda: None,
) -> oslo_messaging.MessageHandlingServer:
    """A server on threads (no process of ours is monkey-patched), not started yet: `start()`, later
    `stop()` and `wait()`.

    An endpoint's `target = oslo_messaging.Target(version='1.1')` says which version it speaks; its
    public methods take the context first, then keyword arguments.  `refused` is called with each
    message that no endpoint takes.
    """
    read = dispatcher.Dispatcher(
        list(endpoints),
        serializer.RequestContextSerializer(),
        oslo_messaging.DefaultRPCAccessPolicy,
        refused=refused,
    )
    return oslo_server.RPCServer(transport, target, read)


def require_broker(
    conf: cfg.ConfigOpts, timeout_seconds: float, at: place.Place = place.SERVICES
) -> None:
    """Find out whether a broker of `transport_url`, or of another place, accepts connections.

    For a caller that must not hang: the first RPC call of a process opens its reply queue, and
    oslo.messaging tries that for ever, whatever time-out the call has (18.3.1).  Transports without
    a broker (fake, in memory) always pass.

    :raises MessagingUnavailable: none does.
    """
    url = oslo_messaging.TransportURL.parse(conf, at.url)
    hosts = (
        [(host.hostname, host.port or _AMQP_PORT) for host in url.hosts if host.hostname]
        if url.transport in _AMQP
        else []
    )
    found = None
    for address in hosts:
        try:
            socket.create_connection(address, timeout=timeout_seconds).close()
        except OSError as error:
            found = f'{address[0]}:{address[1]}: {error}'
        else:
            return
    if found is not None:
        raise exceptions.MessagingUnavailable(what='RPC', found=found)
