# SPDX-License-Identifier: Apache-2.0
"""Ports of loopback in a network's namespace that lead to loopback here: HAProxy listens there and
connects from here.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_LOOPBACK = '127.0.0.1'


@contextlib.contextmanager
def leading_here(
    namespace: str, ports: Sequence[tuple[int, int]], directory: Path
) -> Iterator[None]:
    """Forward for as long as the context lasts; see `Networks.loopback_leads_here`."""
    configuration = directory / 'haproxy.cfg'
    configuration.write_text(forwarding(namespace, ports), 'utf-8')
    with (
        (directory / 'haproxy.log').open('wb') as log,
        subprocess.Popen(
            ('haproxy', '-db', '-f', str(configuration)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as forwarder,
    ):
        try:
            yield
        finally:
            forwarder.terminate()


def forwarding(namespace: str, ports: Sequence[tuple[int, int]]) -> str:
    """Return HAProxy's configuration, with one listener for each pair of ports."""
    return """global
    maxconn 200
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
""" + ''.join(
        f"""listen port-{there}
    bind {_LOOPBACK}:{there} namespace {namespace}
    server here {_LOOPBACK}:{here}
"""
        for there, here in ports
    )
