# SPDX-License-Identifier: Apache-2.0
"""Context of every command: the configuration, Neutron, and the rows of the bridge."""

import functools
from collections.abc import Callable

from oslo_config import cfg

from trove_upgrade.bridge.audit import Auditor
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.reaper import Reaper
from trove_upgrade.clients import session
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain.network import Network


class Context:
    """Parts of one run; each is made when it is first asked for."""

    def __init__(self, conf: cfg.ConfigOpts, network: Callable[[], Network]) -> None:
        self.conf = conf
        self._network = network
        # an operator waits in front of the command
        self.repositories = Repositories.from_conf(conf, waits_for_server=False)

    @functools.cached_property
    def network(self) -> Network:
        """Neutron, as the operator has it logged in to."""
        return self._network()

    @property
    def closer(self) -> Closer:
        """Closes openings."""
        return Closer(network=self.network, openings=self.repositories.openings)

    @property
    def auditor(self) -> Auditor:
        """Looks at what is open."""
        return Auditor(network=self.network, openings=self.repositories.openings)

    @property
    def reaper(self) -> Reaper:
        """Closes what outlived its lease."""
        return Reaper(openings=self.repositories.openings, closer=self.closer, auditor=self.auditor)

    def close(self) -> None:
        """Close the pooled connections of this run."""
        self.repositories.database.dispose()


def neutron(conf: cfg.ConfigOpts, cloud: str | None) -> Network:
    """Neutron of a cloud of clouds.yaml; without one, as the service user.

    :raises CredentialsIncomplete: the service user cannot log in with what the configuration has.
    :raises CloudUnknown: clouds.yaml has no such cloud, or not what a login needs.
    """
    if cloud is not None:
        return Neutron.of_cloud(cloud)
    session.require(conf)
    return Neutron.from_conf(conf)
