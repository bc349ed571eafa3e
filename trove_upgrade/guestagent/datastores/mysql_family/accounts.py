# SPDX-License-Identifier: Apache-2.0
"""Accounts in one form, whichever table the server keeps them in.

MySQL and MariaDB before 10.4 have columns in mysql.user, MariaDB since 10.4 has JSON in
mysql.global_priv; mariadb-upgrade moves them.

Sources: MariaDB's mysql_system_tables_fix.sql, which fills global_priv from user; MariaDB Knowledge
Base, "mysql.global_priv Table" and "Authentication from MariaDB 10.4"; MySQL 5.7 and 8.0 Reference
Manuals, "Grant Tables".
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.guestagent.datastores.mysql_family.digests import digest

_NATIVE, _OLD = 'mysql_native_password', 'mysql_old_password'
#: Characters of a hash as MySQL 4.0 made it.
_OLD_LENGTH = 16
_REQUIREMENTS = ('', 'ANY', 'X509', 'SPECIFIED')
_PARTIES = ('ssl_cipher', 'x509_issuer', 'x509_subject')
_LIMITS = ('max_questions', 'max_updates', 'max_connections', 'max_user_connections')
_NO_SUCH_TABLE = 1146
#: Columns that agents of the first releases took the digest of.
_FIRST = ('plugin', 'authentication_string', 'password', 'account_locked', 'ssl_type')
#: MySQL 8.0 alone: rules for passwords, and what is kept as JSON, as second passwords are.
_MYSQL_8 = {
    'set of password rules': (
        'password_reuse_history',
        'password_reuse_time',
        'password_require_current',
    ),
    'set of attributes': ('user_attributes',),
}
_COLUMNS = (
    *_FIRST,
    *_PARTIES,
    *_LIMITS,
    'max_statement_time',
    'password_expired',
    'password_lifetime',
    'is_role',
    'default_role',
    *(column for columns in _MYSQL_8.values() for column in columns),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """A user or a role, and how it logs in."""

    user: str
    host: str
    is_role: bool
    digest: str  #: as agents of the first releases took it, of the table as it is
    #: what must stay as it is -> digest, the same in each table
    aspects: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the account as reports show it."""
        return self.user if self.is_role else f'{self.user}@{self.host}'

    @property
    def grantee(self) -> str:
        """Return the account as SHOW GRANTS FOR wants it."""
        user = connection.literal(self.user)
        return user if self.is_role else f'{user}@{connection.literal(self.host)}'


def has_json(session: connection.Session) -> bool:
    """Return whether the server keeps its accounts in mysql.global_priv."""
    found = session.rows(
        'SELECT COUNT(*) FROM information_schema.TABLES '
        "WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'global_priv'"
    )
    return bool(found[0][0])


def of_json(session: connection.Session) -> Sequence[Account]:
    """Return every user and role of mysql.global_priv."""
    mapping = session.rows('SELECT CONCAT(User, Host), Role FROM mysql.roles_mapping ORDER BY 1, 2')
    roles: dict[str, list[str]] = {}
    for key, role in mapping:
        roles.setdefault(str(key), []).append(str(role))
    found = []
    for user, host, text in session.rows(
        'SELECT User, Host, Priv FROM mysql.global_priv ORDER BY User, Host'
    ):
        entry = json.loads(text)
        first = digest(_first_of_json(entry), *roles.get(user + host, ()))
        found.append(
            Account(
                user=user,
                host=host,
                is_role=bool(entry.get('is_role')),
                digest=first,
                aspects=_of_entry(entry),
            )
        )
    return found


def of_columns(session: connection.Session) -> Sequence[Account]:
    """Return every user and role of the mysql.user table."""
    columns = {str(row[0]).lower() for row in session.rows('SHOW COLUMNS FROM mysql.user')}
    shown = [name for name in _COLUMNS if name in columns]
    first = [name for name in _FIRST if name in columns]
    roles = {} if 'default_role' in columns else _default_roles(session)
    found = []
    for user, host, *values in session.rows(
        f'SELECT User, Host, {", ".join(shown)} FROM mysql.user ORDER BY User, Host'
    ):
        row = dict(zip(shown, values, strict=True))
        row.setdefault('default_role', ','.join(roles.get((user, host), ())))
        found.append(
            Account(
                user=str(user),
                host=str(host),
                is_role=_is_yes(row.get('is_role')),
                digest=digest(*(row[name] for name in first)),
                aspects=_of_row(row),
            )
        )
    return found


def _default_roles(session: connection.Session) -> dict[tuple[str, str], list[str]]:
    """MySQL keeps them in a table, since 8.0."""
    try:
        rows = session.rows(
            'SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles '
            'ORDER BY 1, 2, 3, 4'
        )
    except connection.SessionError as error:
        if error.number != _NO_SUCH_TABLE:
            raise
        return {}
    found: dict[tuple[str, str], list[str]] = {}
    for user, host, role, role_host in rows:
        found.setdefault((user, host), []).append(f'{role}@{role_host}')
    return found


def _of_entry(entry: Mapping[str, Any]) -> dict[str, str]:
    main = _way(entry.get('plugin'), entry.get('authentication_string'))
    ways = [
        _way(other.get('plugin'), other.get('authentication_string')) if other else main
        for other in entry.get('auth_or') or [{}]
    ]
    number = int(entry.get('ssl_type') or 0)
    requirement = [
        _REQUIREMENTS[number] if 0 <= number < len(_REQUIREMENTS) else number,
        *(_text(entry.get(name)) for name in _PARTIES),
    ]
    limits = [int(entry.get(name) or 0) for name in _LIMITS]
    expired = entry.get('password_last_changed') == 0
    return _aspects(
        ways,
        requirement,
        (*limits, _seconds(entry.get('max_statement_time'))),
        (expired, _lifetime(entry.get('password_lifetime'))),
        is_locked=bool(entry.get('account_locked')),
        default_role=_text(entry.get('default_role')),
    )


def _of_row(row: Mapping[str, Any]) -> dict[str, str]:
    requirement = [_text(row.get(name)) for name in ('ssl_type', *_PARTIES)]
    limits = [int(row.get(name) or 0) for name in _LIMITS]
    aspects = _aspects(
        [_way(row.get('plugin'), row.get('authentication_string'), row.get('password'))],
        requirement,
        (*limits, _seconds(row.get('max_statement_time'))),
        (_is_yes(row.get('password_expired')), _lifetime(row.get('password_lifetime'))),
        is_locked=_is_yes(row.get('account_locked')),
        default_role=_text(row.get('default_role')),
    )
    for aspect, columns in _MYSQL_8.items():
        if all(column in row for column in columns):
            aspects[aspect] = digest(*(_attribute(row[column]) for column in columns))
    return aspects


def _aspects(
    ways: Sequence[tuple[str, str]],
    requirement: Sequence[object],
    limits: Sequence[object],
    expiry: Sequence[object],
    *,
    is_locked: bool,
    default_role: str,
) -> dict[str, str]:
    return {
        'authentication': digest(json.dumps(ways)),
        'TLS requirement': digest(*requirement),
        'resource limit': digest(*limits),
        'password expiry': digest(*expiry),
        'lock': digest(is_locked),
        'default role': digest(default_role),
    }


def _way(plugin: object, text: object, password: object = None) -> tuple[str, str]:
    """Return plugin and authentication string; a hash in the column of former times belongs to the
    two plugins of that time.
    """
    name, string, former = _text(plugin), _text(text), _text(password)
    if not name:
        return (_OLD if len(former or string) == _OLD_LENGTH else _NATIVE), former or string
    return name, (string or former) if name in {_NATIVE, _OLD} else string


def _first_of_json(entry: Mapping[str, Any]) -> str:
    """Return what agents of the first releases took the digest of; what a server writes for itself
    is not the user's.
    """
    kept = {
        key: entry.get(key)
        for key in (
            'plugin',
            'authentication_string',
            'auth_or',
            'default_role',
            'account_locked',
        )
    }
    kept['ssl'] = [entry.get(key) for key in ('ssl_type', *_PARTIES)]
    # no server has the first
    kept['limits'] = [entry.get(key) for key in ('max_queries', *_LIMITS[1:])]
    return json.dumps(kept, sort_keys=True)


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode('utf-8', 'surrogateescape')
    return '' if value is None else str(value)


def _is_yes(value: object) -> bool:
    return _text(value).upper() == 'Y'


def _seconds(value: object) -> str:
    """Return a limit of time with the six digits that the column has."""
    return f'{float(_text(value) or 0):.6f}'


def _lifetime(value: object) -> str:
    """Return the days that a password lasts; the JSON has -1 for the server's default, the column
    has NULL.
    """
    return 'default' if value is None or int(_text(value)) < 0 else str(int(_text(value)))


def _attribute(value: object) -> str:
    """Return JSON with its keys in one order, and anything else as it is."""
    text = _text(value)
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text
