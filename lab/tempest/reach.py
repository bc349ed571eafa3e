# SPDX-License-Identifier: Apache-2.0
"""Lets a program in the guests' network reach what a customer's machine reaches: the cloud's APIs,
and guests by their public addresses.

It stands in for two parts of a cloud that the lab does not have:

* the router's address translation: Neutron gives out floating addresses here, and no agent makes
  them lead anywhere;
* Cinder.  Real Trove refuses `volume` in a request to create where it has no Cinder, and clients
  made for a cloud with Cinder always send one; here the data are on the flavor's second disk, so a
  proxy before Trove's API leaves `volume` out of those requests. It changes nothing else, and no
  answer.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from lab import errors, service_proxy
from lab.servers import Networks

LOOK_SECONDS = 1.0
_STOP_SECONDS = 10


class WithoutVolumes(service_proxy.Proxy):
    """Proxy before Trove's API, on a free port of loopback: `server_address` says which."""

    def __init__(self, target_port: int) -> None:
        super().__init__(0, target_port, service='Trove')

    def forward(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> service_proxy.Answer:
        return super().forward(method, path, headers, without_volume(method, path, body))


def without_volume(method: str, path: str, body: bytes) -> bytes:
    """The body of a request to create an instance without its volume; any other as it came."""
    if method != 'POST' or not path.partition('?')[0].endswith('/instances'):
        return body
    try:
        content = json.loads(body)
        content['instance'].pop('volume', None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return body  # Trove is to say what is wrong with it
    return json.dumps(content).encode()


class FloatingAddresses:
    """A router's work for the guests of one network: a connection to a floating address goes to the
    port that has it.
    """

    def __init__(
        self,
        fabric: Networks,
        network_id: str,
        external_cidr: str,
        listing: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._fabric = fabric
        self._network_id = network_id
        self._cidr = external_cidr
        self._listing = listing
        self._known: dict[str, str] = {}
        self._ended = threading.Event()
        self.problem: str | None = None  #: why it has given up

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Translate addresses for as long as the context lasts; a new address works within a second
        or two.
        """
        route = [self._cidr, 'dev', self._fabric.device]
        self._fabric.run_in(self._network_id, ['ip', 'route', 'replace', *route])
        thread = threading.Thread(target=self._watch, name='floating-addresses', daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(_STOP_SECONDS)
            self.become({})
            self._fabric.run_in(self._network_id, ['ip', 'route', 'delete', *route], check=False)

    def become(self, wanted: dict[str, str]) -> None:
        """Translate these, floating address -> fixed, and no other."""
        for floating, fixed in list(self._known.items()):
            if wanted.get(floating) != fixed:
                self._rule('-D', floating, fixed)
                del self._known[floating]
        for floating, fixed in wanted.items():
            if floating not in self._known:
                self._rule('-A', floating, fixed)
                self._known[floating] = fixed

    def _rule(self, action: str, floating: str, fixed: str) -> None:
        self._fabric.run_in(
            self._network_id,
            [
                'iptables',
                '-w',
                '-t',
                'nat',
                action,
                'OUTPUT',
                '-d',
                f'{floating}/32',
                '-j',
                'DNAT',
                '--to-destination',
                fixed,
            ],
        )

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.become(
                    {
                        one['floating_ip_address']: one['fixed_ip_address']
                        for one in self._listing()
                        if one['fixed_ip_address']
                    }
                )
            except errors.LabError as error:
                self.problem = str(error)
                return
