# SPDX-License-Identifier: Apache-2.0
"""All repositories of one database."""
import dataclasses
from typing import Self

from oslo_config import cfg

from trove_upgrade.db.backups import Backups
from trove_upgrade.db.datastores import Datastores
from trove_upgrade.db.engine import Database
from trove_upgrade.db.guests import Guests
from trove_upgrade.db.instances import Instances
from trove_upgrade.db.outbox import Outbox
from trove_upgrade.db.services import Services
from trove_upgrade.db.upgrade_checks import UpgradeChecks
from trove_upgrade.db.upgrades import Upgrades


@dataclasses.dataclass(frozen=True)
class Repositories:
    """What handlers, the taskmanager and the tool are handed."""

    database: Database
    upgrades: Upgrades
    instances: Instances
    datastores: Datastores
    checks: UpgradeChecks
    outbox: Outbox
    guests: Guests
    services: Services
    backups: Backups

    @classmethod
    def of(cls, database: Database, *, takeover_grace_seconds: float = 0) -> Self:
        """Nothing is connected before the first call of one of them."""
        return cls(database=database, upgrades=Upgrades(database, takeover_grace_seconds=takeover_grace_seconds),
                   instances=Instances(database), datastores=Datastores(database), checks=UpgradeChecks(database),
                   outbox=Outbox(database), guests=Guests(database), services=Services(database), backups=Backups(database))

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts, *, takeover_grace_seconds: float = 0, waits_for_server: bool = True) -> Self:
        """For `[database] connection`; without `waits_for_server` one that is away is an error at once."""
        return cls.of(Database.from_conf(conf, waits_for_server=waits_for_server), takeover_grace_seconds=takeover_grace_seconds)
