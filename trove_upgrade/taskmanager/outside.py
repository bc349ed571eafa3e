# SPDX-License-Identifier: Apache-2.0
"""The ports of a taskmanager: database, Nova, Glance, guests, broker and clock."""

import dataclasses
import functools
import socket
import time

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade.clients import session
from trove_upgrade.clients.glance import Glance
from trove_upgrade.clients.neutron import Neutron
from trove_upgrade.clients.nova import Nova
from trove_upgrade.clients.nova_changes import NovaChanges
from trove_upgrade.clock import SystemClock
from trove_upgrade.db import engine, release, services
from trove_upgrade.db.impatient import Bounds, ImpatientDatabase
from trove_upgrade.db.leases import KeptLeases
from trove_upgrade.db.repositories import Repositories
from trove_upgrade.domain import events, ports, versions
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.metrics import NO_METRICS, Metrics
from trove_upgrade.domain.network import Network
from trove_upgrade.domain.server_changes import ServerChanges
from trove_upgrade.domain.user_nics import UserNics
from trove_upgrade.rpc.guest_queues import GuestQueues
from trove_upgrade.rpc.guestagent import GuestAgentAPI
from trove_upgrade.rpc.notifier import MessagingNotifier
from trove_upgrade.taskmanager.prometheus import Build, PrometheusMetrics
from trove_upgrade.taskmanager.recent_versions import RecentVersions

_BROKER_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ports:
    """All of them.  A test hands in others, or wraps these."""

    repos: Repositories
    nova: ports.Compute
    images: ports.Images
    agent: ports.Guest
    notifier: events.Notifier
    clock: ports.Clock
    rules: versions.Rules
    broker: ports.GuestBroker | None = None
    network: Network | None = None  #: None: no port is looked for that a bridge has left open
    nics: UserNics | None = None  #: None: no NIC is given to a database alone
    #: None: each upgrade that waits for Nova asks for its own server
    changes: ServerChanges | None = None
    kept: KeptLeases | None = None  #: None: leases are renewed as all else is written
    drops: Drops = dataclasses.field(default_factory=lambda: Drops(time.monotonic))
    metrics: Metrics = NO_METRICS

    @functools.cached_property
    def datastores(self) -> ports.DatastoreRepository:
        """Return the datastores of `repos`, as they were a moment ago."""
        return RecentVersions(repository=self.repos.datastores, clock=self.clock)


def ports_from_conf(conf: cfg.ConfigOpts) -> Ports:
    """Return the real ones.  Nothing is connected yet.

    :raises DatabaseRefused: the database is one that several processes cannot share.
    :raises RulesError: the operator's version rules are not of the right form.
    :raises CredentialsIncomplete: the service user cannot log in.
    :raises TransportInvalid: `transport_url` or `guest_transport_url` cannot be understood.
    """
    engine.require_server_database(conf, services.TASKMANAGER)
    session.require(conf)
    clock = SystemClock()
    options = conf[our_conf.GROUP]
    metrics = metrics_of(conf)
    repos = Repositories.from_conf(
        conf,
        takeover_grace_seconds=former_post_seconds(conf),
        on_takeover=metrics.lease_taken_over,
    )
    drops = Drops(clock.monotonic)
    neutron = Neutron.from_conf(conf)
    return Ports(
        repos=repos,
        nova=Nova.from_conf(conf),
        images=Glance.from_conf(conf),
        agent=GuestAgentAPI.from_conf(conf, keys=repos.guest_keys, drops=drops),
        notifier=MessagingNotifier.from_conf(conf, host=socket.gethostname(), now=clock.now),
        clock=clock,
        rules=versions.Rules.load(options.version_rules_file),
        broker=GuestQueues(conf, _BROKER_SECONDS),
        network=neutron,
        nics=neutron,
        changes=NovaChanges.from_conf(conf, clock.now) if options.compute_shared_look else None,
        kept=kept_leases(conf),
        drops=drops,
        metrics=metrics,
    )


def kept_leases(conf: cfg.ConfigOpts) -> KeptLeases:
    """Return the leases as they are renewed whatever holds up other statements: over a connection
    of their own, each answer of which is bounded.
    """
    bounds = Bounds.within_lease(conf[our_conf.GROUP].lease_seconds)
    return KeptLeases.of(ImpatientDatabase(conf, bounds))


def metrics_of(conf: cfg.ConfigOpts) -> Metrics:
    """Return what keeps the figures that are served; where none are, what keeps none."""
    if conf[our_conf.GROUP].metrics_bind is None:
        return NO_METRICS
    return PrometheusMetrics(Build(version=release.package_version(), release=release.RELEASE))


def former_post_seconds(conf: cfg.ConfigOpts) -> float:
    """Return the whole deadline of one POST to Nova by a taskmanager of an earlier release: its
    time-out holds for the connect and for the answer, each by itself.
    """
    return 2 * float(conf[our_conf.GROUP].compute_timeout) + 5
