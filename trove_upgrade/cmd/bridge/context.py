# SPDX-License-Identifier: Apache-2.0
"""Context of every command: the configuration, Neutron, and the rows of the bridge."""

import dataclasses
import functools
import secrets
from collections.abc import Callable

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.bridge.audit import Auditor
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.inventory import Inventory
from trove_upgrade.bridge.reaper import Reaper
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.targets import Targets
from trove_upgrade.bridge.verification.verifier import Verifier
from trove_upgrade.clients import clouds, session
from trove_upgrade.clients.glance import Glance
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.clients.nova_servers import NovaServers
from trove_upgrade.clients.trove import Trove
from trove_upgrade.clock import SystemClock
from trove_upgrade.db.all_instances import AllInstances
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import ports
from trove_upgrade.domain.database_service import DatabaseService
from trove_upgrade.domain.inventory import CloudServers
from trove_upgrade.domain.network import Network
from trove_upgrade.domain.versions import Rules
from trove_upgrade.sealing.at_rest import KeyUnreadable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cloud:
    """The cloud's services, as the operator has them logged in to."""

    network: Network
    servers: CloudServers
    images: ports.Images
    databases: DatabaseService


class Context:
    """Parts of one run; each is made when it is first asked for."""

    def __init__(self, conf: cfg.ConfigOpts, log_in: Callable[[], Cloud]) -> None:
        self.conf = conf
        self._log_in = log_in
        # an operator waits in front of the command
        self.repositories = Repositories.from_conf(conf, waits_for_server=False)

    @functools.cached_property
    def cloud(self) -> Cloud:
        """The cloud; no request is sent before the first one of a command."""
        return self._log_in()

    @property
    def all_instances(self) -> AllInstances:
        """Instances of all projects."""
        return AllInstances(self.repositories.database, self.repositories.instances)

    @property
    def inventory(self) -> Inventory:
        """Takes the inventory."""
        return Inventory(
            instances=self.all_instances,
            servers=self.cloud.servers,
            network=self.cloud.network,
        )

    @property
    def server_ports(self) -> ServerPorts:
        """Tells which ports are a server's."""
        return ServerPorts(self.cloud.servers, self.cloud.network)

    @property
    def targets(self) -> Targets:
        """Chooses what instances are upgraded to."""
        instances = self.repositories.instances
        return Targets(
            versions=self.repositories.datastores,
            rules=Rules.load(self.conf[our_conf.GROUP].version_rules_file),
            version_of=lambda instance_id: instances.get(instance_id, with_details=False).version,
            is_bridged=self._is_bridged,
        )

    def _is_bridged(self, instance_id: str) -> bool:
        try:
            known = self.repositories.guest_keys.current(instance_id)
        except KeyUnreadable:
            return False
        return known is not None and known.is_bridges

    @property
    def verifier(self) -> Verifier:
        """Looks at instances after their upgrade."""
        return Verifier(
            service=self.cloud.databases,
            server_ports=self.server_ports,
            upgrades=self.repositories.upgrades,
            clock=SystemClock(),
            pause=SystemClock(),
            token=secrets.token_hex,
        )

    @property
    def closer(self) -> Closer:
        """Closes openings."""
        return Closer(network=self.cloud.network, openings=self.repositories.openings)

    @property
    def auditor(self) -> Auditor:
        """Looks at what is open."""
        return Auditor(
            network=self.cloud.network,
            openings=self.repositories.openings,
            guests=self.repositories.instances,
            servers=self.cloud.servers,
        )

    @property
    def reaper(self) -> Reaper:
        """Closes what outlived its lease."""
        return Reaper(openings=self.repositories.openings, closer=self.closer, auditor=self.auditor)

    def close(self) -> None:
        """Close the pooled connections of this run."""
        self.repositories.database.dispose()


def log_in(conf: cfg.ConfigOpts, cloud: str | None) -> Cloud:
    """Log in as a cloud of clouds.yaml tells; without one, as the service user.

    :raises CredentialsIncomplete: the service user cannot log in with what the configuration has.
    :raises CloudUnknown: clouds.yaml has no such cloud, or not what a login needs.
    """
    if cloud is not None:
        region = clouds.region(cloud, conf[our_conf.GROUP].compute_timeout)
        return Cloud(
            network=Neutron.of_cloud(region),
            servers=NovaServers.of_cloud(region),
            images=Glance.of_cloud(region),
            databases=Trove.of_cloud(region),
        )
    session.require(conf)
    return Cloud(
        network=Neutron.from_conf(conf),
        servers=NovaServers.from_conf(conf),
        images=Glance.from_conf(conf),
        databases=Trove.from_conf(conf),
    )
