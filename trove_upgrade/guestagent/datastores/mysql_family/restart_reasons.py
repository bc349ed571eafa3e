# SPDX-License-Identifier: Apache-2.0
"""Reasons why a database can be opened for clients only by another start of its server.

A server that shall be opened as it runs was started with the customer's configuration.  So nothing
of that configuration may act by itself before the opening, and all that the server was told
otherwise must be what a running server takes.
"""

import enum
import pathlib

from trove_upgrade.guestagent.datastores.mysql_family import option_files, socket_place

DEFAULT_PORT = 3306
_HIGHEST_PORT = 65535
_ON, _OFF = frozenset({'on', '1'}), frozenset({'off', '0'})
_EVENTS = 'event-scheduler'
_PORTS = ('port', 'extra-port')
_GALERA = 'wsrep'
_REPLICATION = 'master-info-file'
_SOCKET = 'socket'


class Restart(enum.StrEnum):
    """A reason, as the log of the agent names it; doc/source/admin/upgrade.rst has them with their
    costs.
    """

    ENGINE = 'this engine takes a part of its configuration at its start alone'
    #: Of containers: `container/first_start.py` makes another one.
    NETWORK_OF_GUEST = 'the container is on the network of the guest'
    COMMAND = 'the command or the environment of the container names other option files'
    ENTRYPOINT = "the image's entrypoint has to make the accounts of its health check"
    EVENTS_ON = 'event_scheduler is on, and the command of a container is fixed'
    NETWORK = 'the engine does not keep the container off its network, or does not put it on again'
    NETWORK_LOST = 'others have connected the container to a network, or its server is another one'
    CONFIGURATION = 'not all of the configuration could be read'
    INIT_FILE = 'init_file names statements that run at a start'
    CLUSTER = 'the server is a member of a Galera cluster'
    EVENTS = 'event_scheduler has a value that a running server does not take'
    REPLICATION = 'the server replicates from another one, which begins at a start'
    PORTS = 'the server listens on a port that its configuration did not tell'
    SOCKET = 'the socket of the server is in a directory that is open to all users of the guest'
    FILTER = 'the guest has no packet filter that keeps clients away'
    FILTER_LOST = 'the rules of the packet filter have been removed meanwhile'
    START = 'the server did not start as clients are to meet it'
    SETTINGS = 'a setting of the running server is another one than after a start'


def of_configuration(configuration: option_files.Configuration) -> Restart | None:
    """Return what forbids to start the server as clients are to meet it, before that start."""
    if configuration.unread:
        return Restart.CONFIGURATION
    if _given(configuration, 'init-file'):
        return Restart.INIT_FILE
    if any(option.bare_name.startswith(_GALERA) for option in configuration.of_servers()):
        return Restart.CLUSTER
    if not all(_is_plain(option, configuration) for option in _given(configuration, _EVENTS)):
        return Restart.EVENTS
    if any(_port(option) is None for name in _PORTS for option in _given(configuration, name)):
        return Restart.PORTS
    return None


def of_socket(configuration: option_files.Configuration, root: pathlib.Path) -> Restart | None:
    """Return what forbids to start a service of the guest so: users of the guest would come in by
    its socket.
    """
    if configuration.unread:
        return Restart.CONFIGURATION
    named = _given(configuration, _SOCKET)
    if all(socket_place.is_closed(option.value or '', root) for option in named):
        return None
    return Restart.SOCKET


def of_fixed_command(configuration: option_files.Configuration) -> Restart | None:
    """Return what forbids it where the server's program can be told nothing besides: neither that
    events are off, nor that replication does not begin.
    """
    reason = of_configuration(configuration)
    if reason is None and has_events_on(configuration):
        return Restart.EVENTS_ON
    if reason is None and _given(configuration, _REPLICATION):
        return Restart.REPLICATION
    return reason


def has_events_on(configuration: option_files.Configuration) -> bool:
    """Return whether a plain start would run events; only where `of_configuration` has no
    reason.
    """
    given = _given(configuration, _EVENTS)
    return bool(given) and (given[-1].value or 'on').lower() in _ON


def ports(configuration: option_files.Configuration) -> frozenset[int]:
    """Return every port that is named for a server, and the one that a server has by itself."""
    named = (_port(option) for name in _PORTS for option in _given(configuration, name))
    return frozenset({DEFAULT_PORT, *(port for port in named if port)})


def _is_plain(option: option_files.Option, configuration: option_files.Configuration) -> bool:
    """Return whether a server of any version takes this for an event scheduler that is on or
    off.
    """
    return (
        option.name == _EVENTS
        and option.group in configuration.groups.names
        and (option.value or 'on').lower() in _ON | _OFF
    )


def _given(configuration: option_files.Configuration, name: str) -> list[option_files.Option]:
    """Return each option that a server may take for `name`: it knows options by their beginnings,
    too.
    """
    return [
        option
        for option in configuration.of_servers()
        if option.bare_name and name.startswith(option.bare_name)
    ]


def _port(option: option_files.Option) -> int | None:
    text = option.value or ''
    if not (text.isascii() and text.isdecimal()):
        return None
    number = int(text)
    return number if number <= _HIGHEST_PORT else None
