# SPDX-License-Identifier: Apache-2.0
"""Options of the figures that a monitoring system reads."""

from oslo_config import cfg

#: A name or an address, one of IPv6 in brackets, and a port.
_ADDRESS = r'^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$'

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'metrics_bind',
        regex=_ADDRESS,
        default=None,
        help='Address and port at which a taskmanager answers GET /metrics in the format of '
        'Prometheus, without a login and without TLS: name one of loopback, e.g. 127.0.0.1:9778, '
        'or one that only the monitoring system reaches. Several taskmanagers of one host need a '
        'port each. An address that cannot be used ends the taskmanager at its start. Unset: it '
        'listens nowhere.',
    ),
]
