# SPDX-License-Identifier: Apache-2.0
"""Options of the bridge to old guests, and of the taskmanager that closes what it left open."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'bridge_lease_seconds',
        default=600.0,
        min=30.0,
        max=86400.0,
        help='Seconds that a port of an old guest stays open for SSH when the bridge that opened '
        'it is heard of no more; while the bridge works on the guest it moves the end ahead. High: '
        'the port of a bridge that was killed stays open longer. Low: a bridge that waits long for '
        'a slow guest finds the port closed.',
    ),
    cfg.FloatOpt(
        'bridge_reap_interval',
        default=30.0,
        min=1.0,
        max=3600.0,
        help='Seconds between two looks of a taskmanager for ports that the bridge has left open. '
        'Neutron is asked only while the database has an opening that is not closed, and for a day '
        'after the last one.',
    ),
]
