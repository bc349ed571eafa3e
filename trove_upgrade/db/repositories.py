# SPDX-License-Identifier: Apache-2.0
"""All repositories of one database."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Self

from oslo_config import cfg

from trove_upgrade.conf import guest_keys as guest_key_options
from trove_upgrade.db import guest_security
from trove_upgrade.db.backups import Backups
from trove_upgrade.db.bridge_overview import BridgeOverview
from trove_upgrade.db.bridge_runs import BridgeRuns
from trove_upgrade.db.datastores import Datastores
from trove_upgrade.db.drift import Drift
from trove_upgrade.db.engine import Database
from trove_upgrade.db.guest_key_overview import GuestKeyOverview
from trove_upgrade.db.guest_keys import GuestKeys, no_wrapping
from trove_upgrade.db.guests import Guests
from trove_upgrade.db.held_upgrades import HeldUpgrades
from trove_upgrade.db.host_keys import HostKeys
from trove_upgrade.db.instances import Instances
from trove_upgrade.db.leases import Leases
from trove_upgrade.db.models import upgrade_checks
from trove_upgrade.db.openings import Openings
from trove_upgrade.db.outbox import Outbox
from trove_upgrade.db.services import Services
from trove_upgrade.db.troves_keys import TrovesKeys
from trove_upgrade.db.upgrade_actions import UpgradeActions
from trove_upgrade.db.upgrade_checks import UpgradeChecks
from trove_upgrade.db.upgrade_history import UpgradeHistory
from trove_upgrade.db.upgrade_holds import UpgradeHolds
from trove_upgrade.db.upgrades import Upgrades
from trove_upgrade.domain.actions import UNDO_SECONDS
from trove_upgrade.sealing.at_rest import Wrapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repositories:
    """Repositories of the handlers, the taskmanager and the tool."""

    database: Database
    upgrades: Upgrades
    held_upgrades: HeldUpgrades
    actions: UpgradeActions
    holds: UpgradeHolds
    history: UpgradeHistory
    instances: Instances
    datastores: Datastores
    drift: Drift
    checks: UpgradeChecks
    held_checks: Leases
    outbox: Outbox
    guests: Guests
    services: Services
    backups: Backups
    guest_keys: GuestKeys
    guest_key_overview: GuestKeyOverview
    bridge_runs: BridgeRuns
    bridge_overview: BridgeOverview
    host_keys: HostKeys
    openings: Openings
    troves_keys: TrovesKeys | None  #: None: no instance has one

    @classmethod
    def of(
        cls,
        database: Database,
        *,
        takeover_grace_seconds: float = 0,
        on_takeover: Callable[[], None] = lambda: None,
        wrapping: Callable[[], Wrapping | None] = no_wrapping,
        troves_key_of_keys: str | None = None,
        undo_seconds: float = UNDO_SECONDS,
    ) -> Self:
        """Make them; nothing is connected before the first call of one of them.

        Without a `wrapping` no guest has a key; `troves_key_of_keys` is `inst_rpc_key_encr_key`.
        """
        troves = None if troves_key_of_keys is None else TrovesKeys(database, troves_key_of_keys)
        upgrades = Upgrades(database, takeover_grace_seconds, on_takeover)
        return cls(
            database=database,
            upgrades=upgrades,
            held_upgrades=HeldUpgrades(database),
            actions=UpgradeActions(database, upgrades, undo_seconds),
            holds=UpgradeHolds(database),
            history=UpgradeHistory(database),
            instances=Instances(database),
            datastores=Datastores(database),
            drift=Drift(database),
            checks=UpgradeChecks(database),
            held_checks=Leases(database, upgrade_checks),
            outbox=Outbox(database),
            guests=Guests(database),
            services=Services(database),
            backups=Backups(database),
            guest_keys=GuestKeys(database, wrapping, troves),
            guest_key_overview=GuestKeyOverview(database),
            bridge_runs=BridgeRuns(database),
            bridge_overview=BridgeOverview(database, BridgeRuns(database)),
            host_keys=HostKeys(database),
            openings=Openings(database),
            troves_keys=troves,
        )

    @classmethod
    def from_conf(
        cls,
        conf: cfg.ConfigOpts,
        *,
        takeover_grace_seconds: float = 0,
        on_takeover: Callable[[], None] = lambda: None,
        waits_for_server: bool = True,
    ) -> Self:
        """Make them for `[database] connection`; without `waits_for_server` one that is away is an
        error at once.

        The options of guests' keys are looked at when a key is: the API needs none.
        """
        guest_key_options.register_troves(conf)
        return cls.of(
            Database.from_conf(conf, waits_for_server=waits_for_server),
            takeover_grace_seconds=takeover_grace_seconds,
            on_takeover=on_takeover,
            wrapping=functools.cache(lambda: guest_security.wrapping_of(conf)),
            troves_key_of_keys=conf.inst_rpc_key_encr_key,
            undo_seconds=conf.trove_upgrade.undo_timeout,
        )
