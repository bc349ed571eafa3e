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
from collections.abc import Sequence


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
    place = urllib.parse.urlsplit(url)
    headers = {'Content-Type': 'application/json', 'Accept': 'application/json'} | (
        {'X-Auth-Token': token} if token else {}
    )
    waiting, lock = iter(requests), threading.Lock()
    latencies: list[float] = []
    others: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection(place.hostname or '', place.port, timeout=60)
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                connection.close()
                return
            started = time.perf_counter()
            try:
                connection.request(
                    request.method, place.path.rstrip('/') + request.path, request.body, headers
                )
                answer = connection.getresponse()
                answer.read()
                found = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                found = 0
            latencies.append(time.perf_counter() - started)
            if found != status:
                others.append(found)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - started
    ordered = sorted(latencies)
    return Figures(
        name,
        len(ordered),
        connections,
        len(ordered) / total,
        statistics.median(ordered) * 1000,
        ordered[int(len(ordered) * 0.95)] * 1000,
        len(others),
    )
