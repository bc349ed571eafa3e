# SPDX-License-Identifier: Apache-2.0
"""Differences between MariaDB and MySQL in what the agent asks them."""

import math
from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.guestagent.datastores.mysql_family import accounts, connection, option_groups
from trove_upgrade.guestagent.datastores.mysql_family.accounts import Account

SYSTEM_SCHEMAS = ('information_schema', 'performance_schema', 'mysql', 'sys')


class Dialect(Protocol):
    """Questions that each kind of server is asked in its own way."""

    #: Groups of option files that its servers read.
    groups: option_groups.ServerGroups
    #: The global variable that keeps writers out: MySQL's also keeps out superusers.
    read_only: str

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        """Limit each further statement of the session to so many seconds, however few; 0 lifts the
        limit.
        """

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        """Return all users and roles."""


def _milliseconds(limit_seconds: float) -> int:
    """Return what servers take as the limit: a small one is not rounded to none."""
    return math.ceil(max(limit_seconds, 0) * 1000)


class MariaDB:
    """`Dialect` of MariaDB 10.4 and later; older ones have no global_priv and answer from the
    mysql.user table.
    """

    groups = option_groups.MARIADB
    read_only = 'read_only'

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        session.rows(f'SET SESSION max_statement_time = {_milliseconds(seconds) / 1000:.3f}')

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        return (
            accounts.of_json(session)
            if accounts.has_json(session)
            else accounts.of_columns(session)
        )


class MySQL:
    """`Dialect` of MySQL: its limit of time covers SELECT alone."""

    groups = option_groups.MYSQL
    read_only = 'super_read_only'

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        session.rows(f'SET SESSION max_execution_time = {_milliseconds(seconds)}')

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        return accounts.of_columns(session)
