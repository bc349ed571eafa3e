# SPDX-License-Identifier: Apache-2.0
"""Asks the brokers of `transport_url` or `guest_transport_url` whether they let us in.  For a tool
in front of which a person waits; services just connect.

oslo.messaging itself cannot be asked: it tries to connect for ever, whatever time-out a call has
(18.3.1).
"""

import dataclasses
import socket
from typing import Any

import amqp.exceptions  # type: ignore[import-untyped]
import oslo_messaging
from kombu import connection as kombu_connection
from oslo_config import cfg

from trove_upgrade.rpc import place, transport

_Connection: Any = kombu_connection.Connection  # kombu says that it has types, and has few
_AMQP_PORT = 5672
_AMQP = frozenset({'rabbit', 'kombu'})
_TRUE = frozenset({'1', 'true', 'yes', 'on'})


@dataclasses.dataclass(frozen=True)
class Broker:
    """One host of a URL."""

    address: str  #: host:port
    error: str | None  #: why it refused us; None: it did not


def ask(
    conf: cfg.ConfigOpts, timeout_seconds: float, at: place.Place = place.SERVICES
) -> list[Broker]:
    """Log in to each broker; empty for a transport that has none (fake).  At most `timeout_seconds`
    for each connection and each answer.

    :raises TransportInvalid, ConfigurationInvalid: the URL cannot be understood, or its driver
        cannot be loaded.
    """
    url = _url_of(conf, at)
    found = []
    # for a URL without a host, as the driver does
    default = [oslo_messaging.TransportHost(hostname='localhost')] if url.transport in _AMQP else []
    for host in url.hosts or default:
        if host.hostname:
            port = host.port or _AMQP_PORT
            error = (
                _log_in(conf, url, host, port, timeout_seconds)
                if url.transport in _AMQP
                else _connect(host.hostname, port, timeout_seconds)
            )
            found.append(Broker(f'{host.hostname}:{port}', error))
    return found


def consumers(
    conf: cfg.ConfigOpts, queue: str, timeout_seconds: float, at: place.Place = place.SERVICES
) -> int | None:
    """Return how many processes listen on a queue; None where that cannot be asked (another kind of
    transport, or no broker lets us in).

    Quiet: nothing is sent, and nothing is made.
    """
    connection, _found = connect(conf, timeout_seconds, at)
    if connection is None:
        return None
    try:
        return int(connection.channel().queue_declare(queue=queue, passive=True).consumer_count)
    except amqp.exceptions.NotFound:
        return 0
    except transport.BROKER_ERRORS:
        return None
    finally:
        connection.release()


def connect(
    conf: cfg.ConfigOpts, timeout_seconds: float, at: place.Place = place.SERVICES
) -> tuple[Any, str]:
    """A connection to the first broker that lets us in, to be released, or None; and why those
    before it did not.

    :raises transport.TransportInvalid: the URL cannot be understood, or its driver cannot be
        loaded.
    """
    url = _url_of(conf, at)
    if url.transport not in _AMQP:
        return None, f'a transport of the kind {url.transport} has none'
    found = []
    for host in url.hosts or [oslo_messaging.TransportHost(hostname='localhost')]:
        port = host.port or _AMQP_PORT
        connection = _connection(conf, url, host, port, timeout_seconds)
        try:
            connection.connect()
        except transport.BROKER_ERRORS as error:
            connection.release()
            found.append(f'{host.hostname}:{port}: {reason(error)}')
        else:
            return connection, ''
    return None, '; '.join(found)


def _url_of(conf: cfg.ConfigOpts, at: place.Place) -> Any:
    """Parse the place's URL; the driver's options are registered afterwards."""
    transport.get_transport(conf, at).cleanup()
    return oslo_messaging.TransportURL.parse(conf, at.url)


def _log_in(
    conf: cfg.ConfigOpts, url: Any, host: Any, port: int, timeout_seconds: float
) -> str | None:
    connection = _connection(conf, url, host, port, timeout_seconds)
    try:
        connection.connect()
    except transport.BROKER_ERRORS as error:
        return reason(error)
    finally:
        connection.release()
    return None


def _connection(
    conf: cfg.ConfigOpts, url: Any, host: Any, port: int, timeout_seconds: float
) -> Any:
    options = conf.oslo_messaging_rabbit
    return _Connection(
        transport='pyamqp',
        hostname=host.hostname,
        port=port,
        userid=host.username or 'guest',
        password=host.password or '',
        virtual_host=url.virtual_host or '/',
        connect_timeout=timeout_seconds,
        login_method=options.rabbit_login_method,
        ssl=_ssl(options, url.query),
        transport_options={'read_timeout': timeout_seconds, 'write_timeout': timeout_seconds},
    )


def _connect(hostname: str, port: int, timeout_seconds: float) -> str | None:
    """Connect to a broker of another kind: it tells that there is a listener, and no more."""
    try:
        socket.create_connection((hostname, port), timeout=timeout_seconds).close()
    except OSError as error:
        return reason(error)
    return None


def _ssl(options: Any, query: dict[str, str]) -> dict[str, Any] | bool:
    """Return TLS arguments as oslo.messaging's driver would connect: what the URL says goes before
    the options.
    """
    if str(query.get('ssl', options.ssl)).lower() not in _TRUE:
        return False
    names = {'ssl_key_file': 'keyfile', 'ssl_cert_file': 'certfile', 'ssl_ca_file': 'ca_certs'}
    values = {theirs: query.get(ours, options[ours]) for ours, theirs in names.items()}
    return {name: value for name, value in values.items() if value} or True


def reason(error: BaseException) -> str:
    """Describe an error in one line. What AMQP and the system say holds no password: they are not
    told it, or do not repeat it.
    """
    text = ' '.join(str(error).split())
    return text or type(error).__name__
