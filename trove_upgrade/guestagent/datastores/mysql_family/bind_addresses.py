# SPDX-License-Identifier: Apache-2.0
"""Addresses that the server listens on: a new root disk may not have them, and a start without a
network does not notice.
"""

import contextlib
import ipaddress
import pathlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

from trove_upgrade.domain.upgrade_checks import CheckResult
from trove_upgrade.guestagent.datastores.mysql_family import checks, option_files
from trove_upgrade.waiting import wait_until

NAME, CODE = 'bind_address', 'BIND_ADDRESS'
_VARIABLES = ('bind_address', 'admin_address', 'mysqlx_bind_address')
_EVERY = frozenset(
    {'', '*', 'none', 'null', 'localhost', 'ip6-localhost', 'ip6-loopback', 'localhost.localdomain'}
)
_HOSTS_BYTES = 1 << 20
#: An interface may get its address a moment after the agent has its own.
_PATIENCE_SECONDS, _POLL_SECONDS = 30.0, 1.0

#: Whether a socket of this machine can have the address; it takes a name, too.
Try = Callable[[str], bool]


def addresses(probe: checks.Probe) -> CheckResult:
    """Refuse names that the root disk alone knows, and warn of single addresses: those that DHCP
    gives come again, others may not.
    """
    if probe.process is None:  # of a container
        return CheckResult.ok(NAME, 'The addresses are those of the container.')
    quoted = ', '.join(repr(name) for name in _VARIABLES)
    rows = probe.session.rows(f'SHOW GLOBAL VARIABLES WHERE Variable_name IN ({quoted})')
    single = sorted({address for _, value in rows for address in _single(str(value or ''))})
    hosts = _hosts(probe.context.etc / 'hosts')
    names = [name for name in single if not _is_loopback(hosts.get(name.lower(), '127.0.0.1'))]
    if names:
        return CheckResult.refused(
            NAME,
            (
                'The server could not be opened after the upgrade: it listens on '
                f'{", ".join(names)}, which the root disk alone knows (/etc/hosts). Put the '
                'address itself, or *, into the configuration, restart the server, and upgrade '
                'again.'
            ),
            CODE,
        )
    if single:
        return CheckResult.warning(
            NAME,
            (
                'The upgrade may fail before the data is touched: the server listens on '
                f'{", ".join(single)} alone, and the new root disk must have that address. Where '
                'it was set up by hand, put another one, or *, into the configuration first.'
            ),
            CODE,
        )
    return CheckResult.ok(NAME, 'The server listens on no single address.')


def refusal(
    configuration: option_files.Configuration,
    sleep: Callable[[float], None],
    monotonic: Callable[[], float],
    can_bind: Try | None = None,
) -> CheckResult | None:
    """Return why the server of this root disk could not be opened with its configuration; None
    where it can listen.
    """
    bind = can_bind or _can_bind
    given = [_last(configuration, name.replace('_', '-')) for name in _VARIABLES]
    lacking = [address for value in given for address in _single(value)]

    def has_all() -> bool:
        lacking[:] = [address for address in lacking if not bind(address)]
        return not lacking

    if wait_until(
        has_all,
        _PATIENCE_SECONDS,
        monotonic=monotonic,
        sleep=sleep,
        interval_seconds=_POLL_SECONDS,
    ):
        return None
    return CheckResult.refused(
        NAME,
        (
            'The configuration cannot be used on this root disk: it has no address '
            f'{", ".join(lacking)}, which the server is to listen on. The server was not started '
            'on the data. Add the address, or change the configuration, and try again.'
        ),
        CODE,
    )


def _last(configuration: option_files.Configuration, name: str) -> str:
    values = [option.value for option in configuration.of_servers() if option.bare_name == name]
    return (values[-1] if values else None) or ''


def _single(value: str) -> Iterator[str]:
    """Yield addresses and names that are not of every machine; a network namespace is no
    address.
    """
    for item in value.split(','):
        text = item.strip()
        if (
            text.lower() not in _EVERY
            and '/' not in text
            and not _is_loopback(text, unspecified=True)
        ):
            yield text


def _is_loopback(text: str, *, unspecified: bool = False) -> bool:
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(text)
        return address.is_loopback or (unspecified and address.is_unspecified)
    return False


def _hosts(path: pathlib.Path) -> Mapping[str, str]:
    """Return names of /etc/hosts with their first address."""
    found: dict[str, str] = {}
    try:
        with path.open('rb') as stream:
            text = stream.read(_HOSTS_BYTES).decode(errors='replace')
    except OSError:
        return found
    for line in text.splitlines():
        words: Sequence[str] = line.partition('#')[0].split()
        for name in words[1:]:
            found.setdefault(name.lower(), words[0])
    return found


def _can_bind(address: str) -> bool:
    try:
        places = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return any(_is_here(family, place) for family, _, _, _, place in places)


def _is_here(family: int, place: tuple[object, ...]) -> bool:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(place)
        return True
    return False
