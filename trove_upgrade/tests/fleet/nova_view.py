# SPDX-License-Identifier: Apache-2.0
"""Nova with more servers than it has: a proxy that adds those of a fleet to its answers."""

import dataclasses
import json
import re
import threading
import urllib.parse
from collections.abc import Sequence
from typing import Any

from lab.service_proxy import Answer, Proxy

_LIST = re.compile(r'/v2\.1/servers/detail')
_ONE = re.compile(r'/v2\.1/servers/([0-9a-f-]{36})')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownServer:
    """A server as Nova shows it to an administrator."""

    id: str
    name: str
    project_id: str
    hypervisor: str
    mac: str
    address: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields that clients of Nova read."""
        nic = {
            'version': 4,
            'addr': self.address,
            'OS-EXT-IPS:type': 'fixed',
            'OS-EXT-IPS-MAC:mac_addr': self.mac,
        }
        return {
            'id': self.id,
            'name': self.name,
            'status': 'ACTIVE',
            'tenant_id': self.project_id,
            'OS-EXT-SRV-ATTR:host': self.hypervisor,
            'addresses': {'databases': [nic]},
            'links': [],
        }


class NovaView(Proxy):
    """Adds servers to lists of all projects, and shows each by its id."""

    def __init__(self, target_port: int, servers: Sequence[ShownServer]) -> None:
        super().__init__(0, target_port, service='compute')
        self._servers = {one.id: one for one in servers}

    @property
    def port(self) -> int:
        """Port on which it listens."""
        return int(self.server_address[1])

    def forward(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Answer:
        """Answer for the fleet's servers, and ask Nova for the others."""
        address = urllib.parse.urlsplit(path)
        one = _ONE.fullmatch(address.path)
        if method == 'GET' and one and one[1] in self._servers:
            return _json({'server': self._servers[one[1]].to_json()})
        if method != 'GET' or not _LIST.fullmatch(address.path):
            return super().forward(method, path, headers, body)
        marker = urllib.parse.parse_qs(address.query).get('marker', [''])[0]
        if marker in self._servers:  # the fleet's are on the first page, behind Nova's own
            return _json({'servers': []})
        answer = super().forward(method, path, headers, body)
        if answer.status != 200 or marker:
            return answer
        shown = json.loads(answer.body)
        shown['servers'] += [server.to_json() for server in self._servers.values()]
        return _json(shown)

    def serve(self) -> None:
        """Serve in a thread, until `end`."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        """Listen no more."""
        self.closing.set()
        self.shutdown()
        self.server_close()


def _json(content: dict[str, Any]) -> Answer:
    return Answer(200, (('Content-Type', 'application/json'),), json.dumps(content).encode())
