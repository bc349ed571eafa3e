# SPDX-License-Identifier: Apache-2.0
"""Where MariaDB and MySQL differ in what the agent asks them."""
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

from trove_upgrade.guestagent.datastores.mysql_family import connection

SYSTEM_SCHEMAS = ('information_schema', 'performance_schema', 'mysql', 'sys')


def digest(*parts: object) -> str:
    """One sha256 of several values; None and '' differ."""
    return hashlib.sha256(json.dumps([part if part is None else str(part) for part in parts]).encode(
        'utf-8', 'surrogateescape')).hexdigest()


@dataclasses.dataclass(frozen=True)
class Account:
    """A user or a role: its name, and a digest of how it authenticates and whether it is locked."""

    user: str
    host: str
    is_role: bool
    digest: str

    @property
    def name(self) -> str:
        """As reports show it."""
        return self.user if self.is_role else f'{self.user}@{self.host}'

    @property
    def grantee(self) -> str:
        """As SHOW GRANTS FOR wants it."""
        user = _literal(self.user)
        return user if self.is_role else f'{user}@{_literal(self.host)}'


def _literal(text: str) -> str:
    return "'" + text.replace('\\', '\\\\').replace("'", "''") + "'"


class Dialect(Protocol):
    """What a kind of server is asked in its own way."""

    #: Whether a statement can be given a limit of time, CHECKSUM TABLE too.
    has_statement_limit: bool
    #: The global variable that keeps writers out: MySQL's also keeps out superusers.
    read_only: str

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        """From now on no statement of the session takes longer; 0 lifts the limit."""

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        """All users and roles."""


class MariaDB:
    """`Dialect` of MariaDB 10.4 and later; older ones have no global_priv and answer from the mysql.user table."""

    has_statement_limit = True
    read_only = 'read_only'

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        """See the port."""
        session.rows(f'SET SESSION max_statement_time = {max(seconds, 0):.3f}')

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        """See the port."""
        tables = session.rows("SELECT COUNT(*) FROM information_schema.TABLES "
                              "WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'global_priv'")
        if not tables[0][0]:
            return _from_user_table(session)
        roles = _grouped(session.rows('SELECT CONCAT(User, Host), Role FROM mysql.roles_mapping ORDER BY 1, 2'))
        found = []
        for user, host, text in session.rows('SELECT User, Host, Priv FROM mysql.global_priv ORDER BY User, Host'):
            entry = json.loads(text)
            is_role = bool(entry.get('is_role'))
            # What a server writes for itself (access, version_id, the time of a change) is not the user's.
            kept = {key: entry.get(key) for key in ('plugin', 'authentication_string', 'auth_or', 'default_role', 'account_locked')}
            kept.update(ssl=[entry.get(key) for key in ('ssl_type', 'ssl_cipher', 'x509_issuer', 'x509_subject')],
                        limits=[entry.get(key) for key in ('max_queries', 'max_updates', 'max_connections', 'max_user_connections')])
            found.append(Account(user, host, is_role, digest(json.dumps(kept, sort_keys=True), *roles.get(user + host, ()))))
        return found


class MySQL:
    """`Dialect` of MySQL: its limit of time covers SELECT alone."""

    has_statement_limit = False
    read_only = 'super_read_only'

    def limit_statements(self, session: connection.Session, seconds: float) -> None:
        """See the port."""
        session.rows(f'SET SESSION max_execution_time = {int(max(seconds, 0) * 1000)}')

    def accounts(self, session: connection.Session) -> Sequence[Account]:
        """See the port."""
        return _from_user_table(session)


def _from_user_table(session: connection.Session) -> Sequence[Account]:
    columns = {str(row[0]).lower() for row in session.rows('SHOW COLUMNS FROM mysql.user')}
    wanted = [name for name in ('plugin', 'authentication_string', 'password', 'account_locked', 'ssl_type') if name in columns]
    rows = session.rows(f'SELECT User, Host, {", ".join(wanted)} FROM mysql.user ORDER BY User, Host')
    return [Account(str(row[0]), str(row[1]), is_role=False, digest=digest(*row[2:])) for row in rows]


def _grouped(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, value in rows:
        groups.setdefault(str(key), []).append(str(value))
    return groups
