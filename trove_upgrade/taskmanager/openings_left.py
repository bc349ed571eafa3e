# SPDX-License-Identifier: Apache-2.0
"""Closes ports that a bridge has left open: it was killed, or its host went away."""

from collections.abc import Callable

from trove_upgrade.bridge.audit import Auditor
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.reaper import Reaper
from trove_upgrade.domain.network import Network
from trove_upgrade.domain.openings import OpeningRepository
from trove_upgrade.taskmanager.outages import Outages

_REAP = 'Ports that the bridge has left open could not be looked for'


def watch(network: Network, openings: OpeningRepository, outages: Outages) -> Callable[[], None]:
    """Return one look.  It logs every error: it is the edge of a thread."""
    closer = Closer(network=network, openings=openings)
    auditor = Auditor(network=network, openings=openings)
    reaper = Reaper(openings=openings, closer=closer, auditor=auditor)

    def look() -> None:
        try:
            reaper.pass_once()
        except Exception as error:  # noqa: BLE001 - see above; `outages` logs it
            outages.met(_REAP, error)
        else:
            outages.over(_REAP)

    return look
