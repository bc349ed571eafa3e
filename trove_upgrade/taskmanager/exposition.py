# SPDX-License-Identifier: Apache-2.0
"""The HTTP server of a taskmanager's figures: one address, GET alone, no login."""

import contextlib

import prometheus_client
from oslo_utils import netutils

from trove_upgrade.domain import exceptions


class MetricsAddressUnusable(exceptions.TroveUpgradeError):
    """The address is another's, is taken, or needs more rights."""

    code = 'METRICS_ADDRESS_UNUSABLE'
    template = (
        'The taskmanager cannot be started: its figures cannot be served at {address} ({found}). '
        'Set [trove_upgrade] metrics_bind to an address of this host and a port that no other '
        'program uses, another one for each taskmanager of a host, or unset it.'
    )


class Exposition:
    """Serves a registry from its making on, in threads that end with the process."""

    def __init__(self, registry: prometheus_client.CollectorRegistry, address: str) -> None:
        """Bind and serve.  `address`: host and port, as the option has them; port 0: a free one.

        :raises MetricsAddressUnusable: the address cannot be used.
        """
        host, port = netutils.parse_host_port(address)
        try:
            self._server, self._thread = prometheus_client.start_http_server(
                port, host, registry=registry
            )
        except (OSError, OverflowError, UnicodeError) as error:
            raise MetricsAddressUnusable(
                address=address, found=getattr(error, 'strerror', None) or error
            ) from error

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Serve no more.  May be repeated."""
        self._server.shutdown()
        with contextlib.suppress(OSError):
            self._server.server_close()
        self._thread.join()
