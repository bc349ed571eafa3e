# SPDX-License-Identifier: Apache-2.0
"""Grants as sets of (privilege, object): a newer server may say more, and in other words, but must
not say less.
"""

import re
from collections.abc import Iterable, Sequence

from trove_upgrade.guestagent.datastores.mysql_family import versions

#: The first ON and the first TO count: looking for others would take a time that grows with the
#: square of what a tenant has named.
_GRANT = re.compile(
    r'GRANT (?>(?P<what>.+?) ON )(?>(?P<object>.+?) TO )(?P<grantee>\S.*)$', re.DOTALL
)
_ROLE = re.compile(r'GRANT (?P<role>.+?) TO ', re.DOTALL)
_IDENTIFIED = re.compile(r' IDENTIFIED (?:BY|VIA|WITH) .*?(?= REQUIRE | WITH |$)', re.DOTALL)
_MAY_GRANT_ROLE = re.compile(r' WITH ADMIN OPTION\s*$')
_QUOTES = {ord('`'): None, ord("'"): None}
_TAIL = re.compile(r'(?: REQUIRE (?P<require>.+?))?(?: WITH (?P<with>.+))?$', re.DOTALL)
_EVERYTHING = 'ALL PRIVILEGES'

#: What ALL PRIVILEGES ON *.* meant to 10.11.  Measured: 11.8 lists just these for a user who had it
#: without GRANT OPTION, as that user does not get a privilege that is newer (SHOW CREATE ROUTINE).
_EVERYTHING_OF_10_11 = frozenset(
    {
        'SELECT',
        'INSERT',
        'UPDATE',
        'DELETE',
        'CREATE',
        'DROP',
        'RELOAD',
        'SHUTDOWN',
        'PROCESS',
        'FILE',
        'REFERENCES',
        'INDEX',
        'ALTER',
        'SHOW DATABASES',
        'SUPER',
        'CREATE TEMPORARY TABLES',
        'LOCK TABLES',
        'EXECUTE',
        'REPLICATION SLAVE',
        'BINLOG MONITOR',
        'CREATE VIEW',
        'SHOW VIEW',
        'CREATE ROUTINE',
        'ALTER ROUTINE',
        'CREATE USER',
        'EVENT',
        'TRIGGER',
        'CREATE TABLESPACE',
        'DELETE HISTORY',
        'SET USER',
        'FEDERATED ADMIN',
        'CONNECTION ADMIN',
        'READ_ONLY ADMIN',
        'REPLICATION SLAVE ADMIN',
        'REPLICATION MASTER ADMIN',
        'BINLOG ADMIN',
        'BINLOG REPLAY',
        'SLAVE MONITOR',
    }
)

#: What ALL PRIVILEGES meant to a table and to a database before MariaDB 10.3.4, which has one more:
#: measured, 10.11 lists just these for who had all of a database in MySQL 5.6.  Source: MariaDB
#: Knowledge Base, GRANT, "Table Privileges" and "Database Privileges".
_EVERYTHING_IN_A_TABLE = frozenset(
    {
        'SELECT',
        'INSERT',
        'UPDATE',
        'DELETE',
        'CREATE',
        'DROP',
        'REFERENCES',
        'INDEX',
        'ALTER',
        'CREATE VIEW',
        'SHOW VIEW',
        'TRIGGER',
    }
)
_EVERYTHING_IN_A_DATABASE = _EVERYTHING_IN_A_TABLE | {
    'CREATE TEMPORARY TABLES',
    'LOCK TABLES',
    'EXECUTE',
    'CREATE ROUTINE',
    'ALTER ROUTINE',
    'EVENT',
}
_HISTORY_SINCE = (10, 3, 4)

#: Source: MariaDB Knowledge Base, GRANT: what another release calls the same privilege.
_SAME = {
    'REPLICATION CLIENT': 'BINLOG MONITOR',
    'REPLICATION REPLICA': 'REPLICATION SLAVE',
    'ALL': _EVERYTHING,
    'DELETE HISTORY': 'DELETE HISTORY',
    'DELETE VERSIONING ROWS': 'DELETE HISTORY',
}


def without_password(statement: str) -> str:
    """The grant without its IDENTIFIED clause: hashes belong to the accounts' digests alone."""
    return _IDENTIFIED.sub('', statement)


def items(statements: Iterable[str]) -> frozenset[tuple[str, str]]:
    """(privilege or role, object) of all `statements`."""
    found: set[tuple[str, str]] = set()
    for statement in statements:
        found.update(_items(without_password(statement)))
    return frozenset(found)


def missing(before: Sequence[str], after: Sequence[str], former_version: str = '') -> list[str]:
    """Return short phrases: each privilege that `before` allows and `after` does not.
    `former_version`: of the server before the upgrade.
    """
    then, now = items(before), items(after)
    held: dict[str, set[str]] = {}
    for privilege, target in now:
        held.setdefault(target, set()).add(privilege)
    return [
        f'{privilege} on {target}'
        for privilege, target in sorted(then - now)
        if not _is_within(
            privilege, frozenset(held.get(target, ())), _meant_by_all(target, former_version)
        )
    ]


def _is_within(privilege: str, held: frozenset[str], all_of_former: frozenset[str]) -> bool:
    """Return whether `held` on the same target includes it, though it does not name it."""
    if privilege == _EVERYTHING:
        return held >= all_of_former
    return _EVERYTHING in held and privilege != 'GRANT OPTION'


def _meant_by_all(target: str, former_version: str) -> frozenset[str]:
    """All privileges on `target` that a server of that version had."""
    if target == '*.*':
        return _EVERYTHING_OF_10_11
    found = _EVERYTHING_IN_A_DATABASE if target.endswith('.*') else _EVERYTHING_IN_A_TABLE
    has_history = (
        versions.is_mariadb(former_version) and versions.release(former_version) >= _HISTORY_SINCE
    )
    return found | {'DELETE HISTORY'} if has_history else found


def _items(statement: str) -> Iterable[tuple[str, str]]:
    granted = _GRANT.match(statement)
    if granted is None:
        role = _ROLE.match(statement)
        return (
            list(_of_roles(role.group('role'), statement)) if role else [('statement', statement)]
        )
    # PROXY: 10.11 quotes with backticks, 11.8 with apostrophes
    target = granted.group('object').replace('`', "'")
    # MySQL's form; a host that is empty is any
    if granted.group('what') == 'PROXY' and target.endswith("@''"):
        target = f"{target[:-2]}'%'"
    found = [
        (name, target)
        for privilege in _split(granted.group('what'))
        for name in _by_column(privilege)
    ]
    tail = _TAIL.search(granted.group('grantee'))
    if tail is not None and 'GRANT OPTION' in (tail.group('with') or ''):
        found.append(('GRANT OPTION', target))
    return found


def _of_roles(named: str, statement: str) -> Iterable[tuple[str, str]]:
    """Yield each role, and the right to grant it."""
    for role in _split(named):
        name = role.translate(_QUOTES)
        yield 'role', name
        if _MAY_GRANT_ROLE.search(statement):
            yield 'ADMIN OPTION', f'role {name}'


def _split(text: str) -> list[str]:
    """Split a text at commas outside parentheses and backticks."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == '`':
            quoted = not quoted
        elif not quoted:
            depth += {'(': 1, ')': -1}.get(character, 0)
            if character == ',' and depth == 0:
                parts.append(text[start:position].strip())
                start = position + 1
    return [*parts, text[start:].strip()]


def _by_column(privilege: str) -> list[str]:
    name, parenthesis, columns = privilege.partition('(')
    plain = _SAME.get(name.strip(), name.strip())
    if not parenthesis:
        return [plain]
    return [f'{plain}({column.strip("` ")})' for column in _split(columns.rstrip(') '))]
