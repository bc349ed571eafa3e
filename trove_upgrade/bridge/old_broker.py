# SPDX-License-Identifier: Apache-2.0
"""Broker of an old agent, as a URL: releases before 2018 had an option for each part of it."""

import dataclasses
from collections.abc import Sequence
from urllib import parse

from trove_upgrade.bridge.option_text import DEFAULT, Resolved

_RABBIT = 'oslo_messaging_rabbit'
#: As they were, where nothing was configured. Source: oslo.messaging 5.0, _drivers/impl_rabbit.py.
_USER = _PASSWORD = 'guest'  # noqa: S105  # nosec B105 # RabbitMQ's own account, on loopback alone
_PORT = 5672
_PARTS = ('rabbit_host', 'rabbit_hosts', 'rabbit_userid', 'rabbit_password', 'rabbit_virtual_host')
_TRUE, _FALSE = {'true', '1', 'on', 'yes'}, {'false', '0', 'off', 'no'}
#: Names that an option of [oslo_messaging_rabbit] had, in DEFAULT too, to the present one.
_TLS_FILES = {
    'ssl_ca_file': ('ssl_ca_file', 'kombu_ssl_ca_certs'),
    'ssl_cert_file': ('ssl_cert_file', 'kombu_ssl_certfile'),
    'ssl_key_file': ('ssl_key_file', 'kombu_ssl_keyfile'),
}
_SWITCHES = {
    'ssl': ('ssl', 'rabbit_use_ssl'),
    'amqp_durable_queues': ('amqp_durable_queues', 'rabbit_durable_queues'),
    'amqp_auto_delete': ('amqp_auto_delete',),
    'rabbit_quorum_queue': ('rabbit_quorum_queue',),
}


@dataclasses.dataclass(frozen=True, order=True)
class Broker:
    """Address of one broker."""

    host: str
    port: int


def url(options: Resolved) -> str | None:
    """Return the URL that the old agent's options amount to; None where they name no broker."""
    found = options.value(DEFAULT, 'transport_url')
    if found and found.strip():
        return found.strip()
    parts = {name: _either(options, name) for name in (*_PARTS, 'rabbit_port')}
    if not any(parts[name] for name in _PARTS):
        return None
    account = ':'.join(
        parse.quote(value, safe='')
        for value in (parts['rabbit_userid'] or _USER, parts['rabbit_password'] or _PASSWORD)
    )
    port = parts['rabbit_port'] or str(_PORT)
    hosts = [host.strip() for host in (parts['rabbit_hosts'] or '').split(',') if host.strip()]
    hosts = hosts or [_with_port(parts['rabbit_host'] or 'localhost', port)]
    place = (parts['rabbit_virtual_host'] or '').removeprefix('/')
    return (
        'rabbit://'
        + ','.join(f'{account}@{_with_port(host, port)}' for host in hosts)
        + '/'
        + parse.quote(place, safe='')
    )


def _either(options: Resolved, name: str) -> str | None:
    found = options.value(_RABBIT, name)
    return options.value(DEFAULT, name) if found is None else found


def _with_port(host: str, port: str) -> str:
    """Return host and port; an address of IPv6 in brackets."""
    if host.startswith('['):
        return host if ']:' in host else f'{host}:{port}'
    if host.count(':') > 1:
        return f'[{host}]:{port}'
    return host if ':' in host else f'{host}:{port}'


def brokers(transport_url: str) -> Sequence[Broker]:
    """Return the addresses in a URL; none where it has another form."""
    place = transport_url.partition('://')[2].partition('/')[0].partition('?')[0]
    return [
        broker
        for part in place.split(',')
        if (broker := _broker(part.rpartition('@')[2])) is not None
    ]


def _broker(text: str) -> Broker | None:
    try:
        split = parse.urlsplit(f'//{text}')
        return Broker(split.hostname, split.port or _PORT) if split.hostname else None
    except ValueError:
        return None


def settings(options: Resolved) -> tuple[dict[str, str], Sequence[str]]:
    """Return the options of [oslo_messaging_rabbit] that say how to talk to that broker, by their
    present names; and those whose value is none.
    """
    found: dict[str, str] = {}
    wrong = []
    for present, names in (*_TLS_FILES.items(), *_SWITCHES.items()):
        name, value = next(
            ((name, value) for name in names if (value := _either(options, name)) is not None),
            ('', None),
        )
        if not value or not value.strip():
            continue
        is_switch = present in _SWITCHES
        if '\n' in value or (is_switch and value.strip().lower() not in _TRUE | _FALSE):
            wrong.append(name)
        else:
            found[present] = value.strip()
    return found, wrong
