# SPDX-License-Identifier: Apache-2.0
"""`upgrade_bridge_host_keys`: the SSH host key that each old server showed at first sight."""

import sqlalchemy as sa
from oslo_db import exception as db_exc

from trove_upgrade.db import columns
from trove_upgrade.db.engine import Database
from trove_upgrade.db.models import upgrade_bridge_host_keys as _host_keys
from trove_upgrade.db.repetition import retry_on_deadlock


class HostKeys:
    """Keys as texts of OpenSSH's form."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, server_id: str) -> str | None:
        """Return the key of a server; None before the first sight."""
        query = sa.select(_host_keys.c.host_key).where(_host_keys.c.server_id == server_id)
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar_one_or_none()
        return found

    @retry_on_deadlock
    def pin(self, server_id: str, host_key: str) -> str:
        """Record a key unless there is one, and return the one that counts."""
        values = {'server_id': server_id, 'host_key': host_key, 'seen_at': columns.now()}
        with self._database.write() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(_host_keys).values(**values))
            except db_exc.DBDuplicateEntry:
                query = sa.select(_host_keys.c.host_key).where(_host_keys.c.server_id == server_id)
                return str(connection.execute(query).scalar_one())
        return host_key

    @retry_on_deadlock
    def forget(self, server_id: str) -> bool:
        """Delete the key of a server; return whether there was one."""
        with self._database.write() as connection:
            deleted = connection.execute(
                sa.delete(_host_keys).where(_host_keys.c.server_id == server_id)
            )
            return bool(deleted.rowcount)
