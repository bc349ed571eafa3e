# SPDX-License-Identifier: Apache-2.0
"""Ports of the way to a guest, and what travels through them."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

from trove_upgrade.bridge.reach.host_key import HostKey

#: Bytes of each stream of a command that are kept.
OUTPUT_BYTES = 1 << 20

#: Called with the bytes that were sent so far, and with all that there are.
Progress = Callable[[int, int], None]


class Monotonic(Protocol):
    """Clock that is never set back, for time-outs."""

    def monotonic(self) -> float:
        """Return its seconds."""


class Connection(Protocol):
    """Connected socket, or an object that behaves as one."""

    def send(self, data: bytes, /) -> int:
        """Send some of the bytes, and return how many.

        :raises TimeoutError: none could be sent in the time that was set.
        """

    def recv(self, size: int, /) -> bytes:
        """Return some bytes; none at the end.

        :raises TimeoutError: none came in the time that was set.
        """

    def settimeout(self, seconds: float | None, /) -> None:
        """Set the time that `send` and `recv` wait."""

    def close(self) -> None:
        """End the connection and all that carries it.  A second call is safe."""


@dataclasses.dataclass(frozen=True)
class Reachability:
    """Finding of a look whether an address and port can be reached."""

    reached: bool
    found: str  #: "connected", or the reason why not, in words


class Route(Protocol):
    """Way into one tenant network."""

    @property
    def name(self) -> str:
        """Return the route in words that follow an address: "through qdhcp-... on node-1"."""

    @property
    def host(self) -> str:
        """Return the name of the host that the packets leave from."""

    def source_address(self, target: str) -> str:
        """Return the bridge's own address on the way to `target`, as a rule must name it.

        :raises ReachError: the network has no way to `target`, or the place cannot be used.
        """

    def connect(self, address: str, port: int, timeout_seconds: float) -> Connection:
        """Return a TCP connection to the port.  Its owner closes it.

        :raises TimedOut: no answer: mostly a rule drops the packets.
        :raises ConnectionRefused: the network or the server has answered no.
        :raises RelayFailed: the place cannot be used.
        """

    def reaches(self, address: str, port: int, timeout_seconds: float) -> Reachability:
        """Return whether a connection to the port comes about from this network.

        :raises RelayFailed: the place cannot be used.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guest:
    """Server of an instance, and its address in the tenant network."""

    server_id: str
    address: str
    port: int = 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """End of a command.  Of its output the first `OUTPUT_BYTES` of each stream are kept."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool  #: some output was dropped


class Shell(Protocol):
    """Logged-in session in one guest."""

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b'',  # noqa: A002 - subprocess's name
        timeout_seconds: float,
        as_root: bool = False,
    ) -> Outcome:
        """Run a program to its end.  Secrets go into `input`, never into `argv`.

        :raises CommandTimedOut: it may still run.
        :raises SudoRefused: nothing was run.
        :raises ConnectionLost: unknown how far it came.
        """

    def upload(
        self,
        source: pathlib.Path,
        path: str,
        *,
        mode: int,
        timeout_seconds: float,
        as_root: bool = False,
        progress: Progress | None = None,
    ) -> str:
        """Write a file of this host to an absolute path in the guest, whole or not at all, and
        return the SHA-256 of the bytes that were sent.

        An older file of the name is replaced.

        :raises UploadFailed: it did not arrive whole.
        """

    def read_file(
        self, path: str, *, limit_bytes: int, timeout_seconds: float, as_root: bool = False
    ) -> bytes:
        """Return the content of a file in the guest.

        :raises FileUnreadable: it is not there, or longer than the limit.
        """

    def close(self) -> None:
        """End the session.  A second call is safe."""


class HostKeys(Protocol):
    """Record of the host keys of guests."""

    def known(self, server_id: str) -> HostKey | None:
        """Return the key that was pinned for a server; None before the first sight."""

    def pin(self, server_id: str, key: HostKey) -> None:
        """Record the key at first sight, durably: the login follows.

        :raises HostKeyChanged: another key was pinned meanwhile.
        """
