# SPDX-License-Identifier: Apache-2.0
"""A bounded load of HTTP requests on loopback: some connections, each kept alive, one request after
the other.
"""

import dataclasses
import http.client
import statistics
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Request:
    """One request; `body` is JSON."""

    method: str
    path: str
    body: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured."""

    name: str
    requests: int
    connections: int
    per_second: float
    p50_ms: float
    p95_ms: float
    unexpected: int  #: answers with another status than the one wanted

    def line(self) -> str:
        """For a terminal."""
        return (
            f'{self.name:<44} {self.requests:>6} {self.connections:>4} {self.per_second:>9.1f} '
            f'{self.p50_ms:>8.1f} {self.p95_ms:>8.1f} {self.unexpected:>6}'
        )


HEADING = f'{"case":<44} {"n":>6} {"c":>4} {"req/s":>9} {"p50 ms":>8} {"p95 ms":>8} {"other":>6}'


def run(
    name: str,
    url: str,
    requests: Sequence[Request],
    *,
    token: str | None,
    connections: int,
    status: int,
) -> Figures:
    """Send them all, shared out over the connections, and measure."""
    load = _Load(urllib.parse.urlsplit(url), token, status, iter(requests))
    threads = [threading.Thread(target=load.work) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - started
    ordered = sorted(load.latencies)
    return Figures(
        name,
        len(ordered),
        connections,
        len(ordered) / total,
        statistics.median(ordered) * 1000,
        ordered[int(len(ordered) * 0.95)] * 1000,
        len(load.others),
    )


class _Load:
    """Requests that wait, and what has come of the others.  Usable from several threads."""

    def __init__(
        self,
        place: urllib.parse.SplitResult,
        token: str | None,
        status: int,
        waiting: Iterator[Request],
    ) -> None:
        self._place, self._status = place, status
        self._headers = {'Content-Type': 'application/json', 'Accept': 'application/json'} | (
            {'X-Auth-Token': token} if token else {}
        )
        self._waiting, self._lock = waiting, threading.Lock()
        self.latencies: list[float] = []
        self.others: list[int] = []

    def work(self) -> None:
        """Send one after the other over a connection, until none waits."""
        connection = http.client.HTTPConnection(
            self._place.hostname or '', self._place.port, timeout=60
        )
        while True:
            with self._lock:
                request = next(self._waiting, None)
            if request is None:
                connection.close()
                return
            started = time.perf_counter()
            found = self._answer(connection, request)
            self.latencies.append(time.perf_counter() - started)
            if found != self._status:
                self.others.append(found)

    def _answer(self, connection: http.client.HTTPConnection, request: Request) -> int:
        """The status; 0 for none."""
        path = self._place.path.rstrip('/') + request.path
        try:
            connection.request(request.method, path, request.body, self._headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        return answer.status
