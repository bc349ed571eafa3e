# SPDX-License-Identifier: Apache-2.0
"""HTTP over the engine's Unix socket: each exchange has a connection of its own, one deadline for
all of it, and a bound.

The engine runs as root, yet what passes through it (a registry's words, a container's output) is
others': nothing is read without a limit, and an engine that hangs or dies in the middle of an
answer costs the time that was given, no more.
"""

import contextlib
import dataclasses
import http.client
import io
import json
import pathlib
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib import parse

from trove_upgrade.guestagent.machine.containers.errors import EngineNotAnswering

#: The API that is spoken wherever an engine offers it; Debian's 20.10 and 26.1 do.
USUAL = '1.40'

_OK, _BAD_REQUEST = 200, 400
_VERSION = re.compile(r'[0-9]{1,4}\.[0-9]{1,4}')
_ANSWER_BYTES = 16 << 20
_PIECE_BYTES = 64 << 10
#: A piece of an archive leaves in few turns, whatever other threads do meanwhile.
_SEND_BYTES = 4 << 20
#: Which Python does not name; the same on each architecture of servers.
#: Source: include/uapi/asm-generic/socket.h of Linux, and socket(7).
_SO_SNDBUFFORCE = 32


@dataclasses.dataclass(frozen=True)
class Answer:
    """Whole answer of the engine: its status and its body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body.

        :raises EngineNotAnswering: it is no JSON.
        """
        try:
            return json.loads(self.body) if self.body.strip() else None
        except ValueError as error:
            raise EngineNotAnswering(
                'The container engine cannot be understood: its answer is no JSON '
                f'({self.body[:80]!r}). See that the socket is the one of the Docker engine.'
            ) from error

    @property
    def said(self) -> str:
        """The engine's message on one line."""
        try:
            parsed = json.loads(self.body)
            text = (
                str(parsed['message'])
                if isinstance(parsed, dict) and 'message' in parsed
                else str(parsed)
            )
        except (ValueError, RecursionError):
            text = self.body[:2000].decode(errors='replace')
        return ' '.join(text.split())[:500]


class Stream:
    """An answer that comes piece by piece."""

    def __init__(self, response: http.client.HTTPResponse, path: pathlib.Path) -> None:
        self._response = response
        self._path = path
        self.status = response.status

    def pieces(self) -> Iterator[bytes]:
        """Yield what arrives, as it arrives, each piece bounded, until the engine ends it.

        :raises TimeoutError: the deadline has passed.
        :raises EngineNotAnswering: the engine has gone.
        """
        while True:
            with _as_silence(self._path):
                piece = self._response.read1(_PIECE_BYTES)
            if not piece:
                return
            yield piece

    def rest(self) -> Answer:
        """All of it as a whole answer.  Raises as `pieces`; EngineNotAnswering also where it is
        longer than that.
        """
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > _ANSWER_BYTES:
                raise silence(self._path, f'an answer of more than {_ANSWER_BYTES} bytes')
        if self._response.length:
            raise silence(self._path, f'the answer ended {self._response.length} bytes too early')
        return Answer(self.status, bytes(body))


def silence(path: pathlib.Path, found: str) -> EngineNotAnswering:
    """The error for an engine that says nothing, or nothing of use."""
    return EngineNotAnswering(
        f'The container engine cannot be asked at {path}: {found}. '
        'See that the Docker engine runs in the guest, and look at its log.'
    )


@contextlib.contextmanager
def _as_silence(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise silence(path, f'{type(error).__name__}: {error}'.strip(': ')) from error


@dataclasses.dataclass(frozen=True)
class Content:
    """Pieces that are sent with a request as they are, of so many bytes in all."""

    pieces: Iterable[bytes]
    size_bytes: int
    media_type: str


class Transport(Protocol):
    """The port to the engine's socket."""

    def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Answer:
        """One exchange.

        :raises EngineNotAnswering: no whole answer within `seconds`.
        """

    def stream(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
    ) -> contextlib.AbstractContextManager[Stream]:
        """Ask, and read the answer piece by piece; `seconds` are for all of it.  `content` is
        sent in place of a body of JSON.

        :raises EngineNotAnswering: the engine is gone, or answers in a form that cannot be read.
        :raises TimeoutError: the time is over.
        """


class _Timed(io.RawIOBase):
    """Reads a socket until a deadline, whatever the number of reads."""

    def __init__(self, connected: socket.socket, remaining: Callable[[], float]) -> None:
        self._socket = connected
        self._remaining = remaining

    def readable(self) -> bool:
        """Return True: this stream is for reading alone."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer within the deadline."""
        self._socket.settimeout(self._remaining())
        return self._socket.recv_into(buffer)


class _Channel:
    """The part of a socket that http.client uses."""

    def __init__(self, connected: socket.socket, remaining: Callable[[], float]) -> None:
        self._socket = connected
        self._remaining = remaining

    def sendall(self, data: bytes) -> None:
        """Send all of it within the deadline."""
        self._socket.settimeout(self._remaining())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The answer's stream; the socket is closed by the exchange, not through this."""
        return io.BufferedReader(_Timed(self._socket, self._remaining), _PIECE_BYTES)

    def close(self) -> None:
        """The exchange closes the socket."""


class UnixTransport:
    """Implements `Transport` over a Unix socket's path."""

    def __init__(self, path: pathlib.Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        # of the API; None until the engine has been asked, and again when it refuses something
        self._version: str | None = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Answer:
        try:
            with self.stream(method, path, seconds=seconds, query=query, body=body) as stream:
                return stream.rest()
        except TimeoutError as error:
            raise silence(
                self._path, f'no answer to {method} {path} within {seconds:.0f} s'
            ) from error

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
    ) -> Iterator[Stream]:
        end = self._monotonic() + seconds

        def remaining() -> float:
            left = end - self._monotonic()
            if left <= 0:
                raise TimeoutError
            return left

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            if content is not None:
                _make_room(connected)
            with _as_silence(self._path):
                connected.settimeout(remaining())
                connected.connect(str(self._path))
                response = self._send(
                    connected,
                    remaining,
                    method,
                    self._address(path, query, remaining),
                    content if body is None else json.dumps(body).encode(),
                    headers or {},
                )
            # an engine that was exchanged meanwhile may not speak this version any more
            if response.status == _BAD_REQUEST:
                self._version = None
            yield Stream(response, self._path)

    def _address(
        self, path: str, query: Mapping[str, Any] | None, remaining: Callable[[], float]
    ) -> str:
        if self._version is None:
            self._version = self._negotiated(remaining)
        given = {key: value for key, value in (query or {}).items() if value is not None}
        address = f'/v{self._version}{path}'
        return f'{address}?{parse.urlencode(given)}' if given else address

    def _negotiated(self, remaining: Callable[[], float]) -> str:
        """Ask for the API's version, without a version in the path, which every engine answers.

        :raises OSError, TimeoutError, HTTPException: as every exchange.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            connected.settimeout(remaining())
            connected.connect(str(self._path))
            answer = Stream(
                self._send(connected, remaining, 'GET', '/version', None, {}), self._path
            ).rest()
        return spoken(answer.json() if answer.status == _OK else None)

    def _send(
        self,
        connected: socket.socket,
        remaining: Callable[[], float],
        method: str,
        address: str,
        body: bytes | Content | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection('engine', blocksize=_PIECE_BYTES)
        connection.sock = _Channel(connected, remaining)
        described = {'Content-Type': 'application/json'}
        if isinstance(body, Content):
            described = {
                'Content-Type': body.media_type,
                'Content-Length': str(body.size_bytes),
            }
        try:
            connection.request(
                method,
                address,
                body=body.pieces if isinstance(body, Content) else body,
                headers={**described, 'Connection': 'close', **headers},
            )
        except (BrokenPipeError, ConnectionResetError):
            # an engine that refuses in the middle has told why before it closed
            with contextlib.suppress(OSError, http.client.HTTPException):
                return connection.getresponse()
            raise
        return connection.getresponse()


def _make_room(connected: socket.socket) -> None:
    """Let the kernel hold more that is on its way, without CAP_NET_ADMIN as much as users may."""
    try:
        connected.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BYTES)
    except OSError:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)


def spoken(offered: Any) -> str:
    """The version of the API to speak with an engine that answers `/version` with `offered`: the
    usual one, or the oldest that it takes.

    Source: Docker Engine API, "Versioning"; engines 29.0 to 29.2 take nothing below 1.44.
    """
    oldest = offered.get('MinAPIVersion') if isinstance(offered, dict) else None
    if (
        isinstance(oldest, str)
        and _VERSION.fullmatch(oldest)
        and _numbers(oldest) > _numbers(USUAL)
    ):
        return oldest
    return USUAL


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split('.')))
