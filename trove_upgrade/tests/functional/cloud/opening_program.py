# SPDX-License-Identifier: Apache-2.0
"""Program: opens one port as the bridge does, and kills itself with SIGKILL at one of its effects.

    python -m ... CONFIG_FILE PORT_ID SOURCE LEASE_SECONDS [EFFECT before|after]

EFFECT counts the requests that change something at Neutron, from 1.  Without it the port stays
open, and the program prints the opening's id.
"""

import os
import signal
import sys

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.conf import compute as compute_conf
from trove_upgrade.conf import database as database_conf
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain.openings import OpeningRequest

RUN = '00000000-0000-4000-8000-0000000000f1'
EFFECTS = frozenset({'create_group', 'delete_group', 'delete_rule', 'allow_tcp_from', 'set_groups'})


class Deadly:
    """Neutron, whose client dies at one effect."""

    def __init__(self, network, number, when):
        self._network, self._number, self._when = network, number, when
        self._count = 0

    def __getattr__(self, name):
        method = getattr(self._network, name)
        return self._counted(method) if name in EFFECTS else method

    def _counted(self, method):
        def call(*args):
            self._count += 1
            dies = self._count == self._number
            if dies and self._when == 'before':
                os.kill(os.getpid(), signal.SIGKILL)
            answer = method(*args)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call


def main(config_file, port_id, source, lease, number='0', when='before'):
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    compute_conf.register_credentials(conf)
    database_conf.register_connection_opts(conf)
    conf(['--config-file', config_file], project='trove-upgrade')
    network = Deadly(Neutron.from_conf(conf), int(number), when)
    repositories = Repositories.from_conf(conf)
    openings = repositories.openings
    opener = Opener(
        network=network,
        openings=openings,
        closer=Closer(network=network, openings=openings),
        lease_seconds=float(lease),
    )
    port = network.port(port_id)
    opening = opener.open(
        OpeningRequest(
            run_id=RUN,
            instance_id=port_id,
            port_id=port_id,
            network_id=port.network_id,
            project_id=port.project_id,
            source=source,
        )
    )
    print(opening.id)


if __name__ == '__main__':
    main(*sys.argv[1:])
