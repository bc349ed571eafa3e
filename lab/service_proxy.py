# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy in front of a service's API that fails on demand, for tests of what an unreliable
cloud does to us.

The catalog's internal compute endpoint leads to one before Nova, the public one does not.  A test
may put one of its own before any other service.  Without faults it hands everything on unchanged.

Control (no authentication: it listens on loopback, in a cloud without anything to protect):

* `POST /__faults` with a JSON object of the fields of `Fault`; the answer holds its id
* `GET /__faults`, `DELETE /__faults`: what is left, and end it all
* `GET /__requests?method=POST&path=<regular expression>`: `{"count": 2, "requests": [...]}`;
  `DELETE /__requests` forgets them

Below `VOLUMES` it is a Cinder without a volume.
"""

import argparse
import collections
import contextlib
import dataclasses
import http.client
import http.server
import itertools
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from trove_upgrade import signals

HELD_SECONDS = 3600.0
KEPT_REQUESTS = 10000
VOLUMES = '/__volumes'
_STOP_SECONDS = 10
_HOP_BY_HOP = frozenset(
    (
        'connection',
        'keep-alive',
        'transfer-encoding',
        'te',
        'trailer',
        'upgrade',
        'proxy-connection',
        'content-length',
    )
)
#: refuse: answer `status`, the service never sees it · accept_then_status: it sees it, the caller
#: gets `status` · hold: it does not see it, the connection closes after `seconds` · drop_answer: it
#: sees it, the caller gets nothing, after `seconds` · delay: handed on after `seconds`, answered as
#: the service does
ACTIONS = ('refuse', 'accept_then_status', 'hold', 'drop_answer', 'delay')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: what goes wrong, for which requests, how often."""

    action: str
    #: regular expressions, all must match: the method wholly, the others anywhere
    method: str = '.*'
    path: str = ''
    body: str = ''
    count: int = 1  #: how many requests it meets; below 0: all
    status: int = 503
    seconds: float = 0.0
    answer: str = '{"computeFault": {"code": 503, "message": "asked for by a test"}}'
    retry_after: str = ''  #: the header Retry-After of an answer with `status`

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f'unknown action {self.action!r}; known are {", ".join(ACTIONS)}')
        for pattern in (self.method, self.path, self.body):
            re.compile(pattern)

    def meets(self, method: str, path: str, body: str) -> bool:
        """Tell whether a request is one that this fault is meant for."""
        return bool(
            re.fullmatch(self.method, method)
            and re.search(self.path, path)
            and re.search(self.body, body)
        )


class FaultTable:
    """The faults that are left, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: dict[int, Fault] = {}

    def add(self, fault: Fault) -> int:
        """Append a fault, and return the id that it gets."""
        with self._lock:
            number = next(self._ids)
            self._faults[number] = fault
            return number

    def clear(self) -> None:
        """Remove all faults, so that every request passes."""
        with self._lock:
            self._faults.clear()

    def left(self) -> list[dict[str, Any]]:
        """Return the faults that are left, as `GET /__faults` shows them."""
        with self._lock:
            return [
                {'id': number, **dataclasses.asdict(fault)}
                for number, fault in self._faults.items()
            ]

    def take(self, method: str, path: str, body: str) -> Fault | None:
        """The first fault that meets this request; one that has met its last is gone."""
        with self._lock:
            for number, fault in self._faults.items():
                if fault.meets(method, path, body):
                    if fault.count == 1:
                        del self._faults[number]
                    elif fault.count > 1:
                        self._faults[number] = dataclasses.replace(fault, count=fault.count - 1)
                    return fault
        return None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer of the service, or of a fault."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Proxy(http.server.ThreadingHTTPServer):
    """Listens on loopback and hands on to `target_port`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, target_port: int, *, service: str) -> None:
        super().__init__(('127.0.0.1', port), _Handler)
        self.target_port = target_port
        self.service = service  #: its name, for messages
        self.faults = FaultTable()
        self.seen: collections.deque[dict[str, Any]] = collections.deque(maxlen=KEPT_REQUESTS)
        self.closing = threading.Event()  #: set, it ends every wait of a fault

    def forward(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Answer:
        """Ask the service.

        :raises OSError: it cannot be reached.
        """
        connection = http.client.HTTPConnection('127.0.0.1', self.target_port, timeout=300)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader('Content-Length', str(len(body)))
            connection.putheader('Connection', 'close')
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, tuple(answer.getheaders()), answer.read())
        finally:
            connection.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = 'HTTP/1.1'

    def handle_one_request(self) -> None:
        """One request, whatever its method is; the base class would want a method of ours for
        each.
        """
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():  # it has answered already
            return
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.path.startswith('/__'):
            self._control(body)
        else:
            self._proxy(body)
        self.wfile.flush()

    def _proxy(self, body: bytes) -> None:
        text = body.decode(errors='replace')
        fault = self.server.faults.take(self.command, self.path, text)
        self.server.seen.append(
            {'method': self.command, 'path': self.path, 'fault': fault.action if fault else None}
        )
        if fault is not None and fault.action in {'hold', 'delay'}:
            self.server.closing.wait(fault.seconds or HELD_SECONDS)
        if fault is not None and fault.action == 'hold':
            self.close_connection = True
            return
        if fault is not None and fault.action == 'refuse':
            self._answer(_failure(fault))
            return
        try:
            answer = self.server.forward(self.command, self.path, self.headers.items(), body)
        except OSError as error:
            answer = _json(
                502,
                {
                    'badGateway': {
                        'code': 502,
                        'message': f'{self.server.service} cannot be reached: {error}',
                    }
                },
            )
        if fault is not None and fault.action == 'accept_then_status':
            answer = _failure(fault)
        if fault is not None and fault.action == 'drop_answer':
            self.server.closing.wait(fault.seconds)
            self.close_connection = True
            return
        self._answer(answer)

    def _control(self, body: bytes) -> None:
        address = urllib.parse.urlsplit(self.path)
        match (self.command, address.path):
            case ('GET', path) if path.startswith(VOLUMES):
                self._answer(_json(200, {'volumes': []}))
            case ('POST', '/__faults'):
                try:
                    fault = Fault(**json.loads(body))
                except (ValueError, TypeError, re.error) as error:
                    self._answer(_json(400, {'message': str(error)}))
                    return
                self._answer(_json(201, {'id': self.server.faults.add(fault)}))
            case ('GET', '/__faults'):
                self._answer(_json(200, {'faults': self.server.faults.left()}))
            case ('DELETE', '/__faults'):
                self.server.faults.clear()
                self._answer(_json(200, {}))
            case ('GET', '/__requests'):
                self._answer(_json(200, self._seen(urllib.parse.parse_qs(address.query))))
            case ('DELETE', '/__requests'):
                self.server.seen.clear()
                self._answer(_json(200, {}))
            case _:
                self._answer(_json(404, {'message': 'known are /__faults and /__requests'}))

    def _seen(self, query: dict[str, list[str]]) -> dict[str, Any]:
        method, path = query.get('method', ['.*'])[0], query.get('path', [''])[0]
        found = [
            entry
            for entry in list(self.server.seen)
            if re.fullmatch(method, entry['method']) and re.search(path, entry['path'])
        ]
        return {'count': len(found), 'requests': found}

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(answer.body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(answer.body)


def _failure(fault: Fault) -> Answer:
    headers: tuple[tuple[str, str], ...] = (('Content-Type', 'application/json'),)
    if fault.retry_after:
        headers += (('Retry-After', fault.retry_after),)
    return Answer(fault.status, headers, fault.answer.encode())


def _json(status: int, content: dict[str, Any]) -> Answer:
    return Answer(status, (('Content-Type', 'application/json'),), json.dumps(content).encode())


@contextlib.contextmanager
def serving(proxy: Proxy) -> Iterator[int]:
    """Serve for as long as the context lasts; its port."""
    thread = threading.Thread(
        target=proxy.serve_forever,
        kwargs={'poll_interval': 0.1},
        name='service-proxy',
        daemon=True,
    )
    thread.start()
    try:
        yield int(proxy.server_address[1])
    finally:
        proxy.closing.set()
        proxy.shutdown()
        proxy.server_close()
        thread.join(_STOP_SECONDS)


def main() -> None:
    """Serve until it is told to end."""
    told = signals.told()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--target-port', type=int, required=True)
    parser.add_argument('--service', required=True, help='name of the service behind it')
    arguments = parser.parse_args()
    with Proxy(arguments.port, arguments.target_port, service=arguments.service) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        told.wait()
        proxy.closing.set()
        proxy.shutdown()


if __name__ == '__main__':
    main()
