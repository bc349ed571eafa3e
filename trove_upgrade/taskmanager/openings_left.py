# SPDX-License-Identifier: Apache-2.0
"""Closes ports that a bridge has left open: it was killed, or its host went away."""

from collections.abc import Callable

from trove_upgrade.bridge.audit import Auditor
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.reaper import Reaped, Reaper
from trove_upgrade.domain import logs
from trove_upgrade.domain.network import Network
from trove_upgrade.domain.openings import GuestServers, OpeningRepository
from trove_upgrade.domain.own_ports import ShownServers
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

_REAP = 'Ports that the bridge has left open could not be looked for'
_LEFT = 'Opening {0.id} of instance {0.instance_id} could not be closed'


def watch(
    network: Network,
    openings: OpeningRepository,
    guests: GuestServers,
    servers: ShownServers,
    outages: Outages,
) -> Callable[[], None]:
    """Return one look.  It logs every error: it is the edge of a thread."""
    closer = Closer(network=network, openings=openings)
    auditor = Auditor(network=network, openings=openings, guests=guests, servers=servers)
    reaper = Reaper(openings=openings, closer=closer, auditor=auditor)

    def look() -> None:
        try:
            reaped = reaper.pass_once()
        except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
            outages.met(_REAP, error)
        else:
            outages.over(_REAP)
            _log(reaped, outages)

    return look


def _log(reaped: Reaped, outages: Outages) -> None:
    """Log each closing, and each that cannot be closed once."""
    for opening in reaped.closed:
        outages.over(_LEFT.format(opening))
        LOG.warning(
            'Port %s of instance %s, which the bridge had left open, is closed: opening %s',
            opening.port_id,
            opening.instance_id,
            opening.id,
        )
    for opening, error in reaped.failed:
        outages.met(_LEFT.format(opening), error)
