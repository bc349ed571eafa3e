# SPDX-License-Identifier: Apache-2.0
"""Attempt to reach a port: the connection is closed at once."""

from collections.abc import Callable

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.ports import Connection, Reachability


def attempt(
    connect: Callable[[str, int, float], Connection],
    address: str,
    port: int,
    timeout_seconds: float,
) -> Reachability:
    """Return whether a connection comes about.

    :raises RelayFailed: the place cannot be used, so nothing is known of the port.
    """
    try:
        connect(address, port, timeout_seconds).close()
    except errors.ConnectionRefused as error:
        return Reachability(reached=False, found=str(error.facts['found']))
    except errors.TimedOut:
        return Reachability(reached=False, found=f'no answer within {timeout_seconds} s')
    return Reachability(reached=True, found='connected')
