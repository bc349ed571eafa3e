# SPDX-License-Identifier: Apache-2.0
"""Writes of the taskmanager that holds an upgrade beside its journal, under the same fence."""

import sqlalchemy as sa

from trove_upgrade.db import columns, fence, progress_codec, rows, service_status
from trove_upgrade.db.engine import Database
from trove_upgrade.db.leases import Leases
from trove_upgrade.db.models import instance_upgrades as _upgrades
from trove_upgrade.db.repetition import retry_on_deadlock
from trove_upgrade.domain.instances import ServiceStatus
from trove_upgrade.domain.upgrades import Upgrade

_NOW = sa.select(columns.now())


class HeldUpgrades(Leases):
    """Implements domain.leases.HeldUpgrades."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, _upgrades)

    @retry_on_deadlock
    def announce_post(self, held: Upgrade, seconds: float) -> Upgrade:
        """Write that a call to Nova may be under way for that many seconds from now on.

        :raises LeaseLost: overtaken; nothing was written.
        """
        with self._database.write() as connection:
            # read before the row is locked: the wait for it makes the time shorter, never longer
            until = connection.execute(sa.select(columns.ahead(seconds))).scalar_one()
            announced = held.evolve(progress=held.progress.post_announced(until))
            values: dict[str, object] = {'data': progress_codec.encode(announced.progress)}
            fence.write_held(connection, rows.form(self._database, connection), held, values)
            return announced

    def post_seconds_left(self, upgrade: Upgrade) -> float:
        """Return for how long a call to Nova that was announced may still be under way; 0: it has
        ended, or there was none.
        """
        until = upgrade.progress.rebuild.post_until
        if until is None:
            return 0.0
        with self._database.read() as connection:
            now = connection.execute(_NOW).scalar_one()
        return max(0.0, (until - now).total_seconds())

    @retry_on_deadlock
    def tell(self, held: Upgrade, status: ServiceStatus) -> None:
        """Write the service status of the upgrade's instance.

        :raises LeaseLost: overtaken; nothing was written.
        """
        with self._database.write() as connection:
            form = rows.form(self._database, connection)
            # changes nothing, and locks the row: no other can claim it before this has ended
            fence.write_held(connection, form, held, {'generation': held.generation})
            service_status.write(connection, held.instance_id, status)
