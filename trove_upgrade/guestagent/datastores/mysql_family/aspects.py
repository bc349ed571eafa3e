# SPDX-License-Identifier: Apache-2.0
"""Objects aspect by aspect, in a form that a server's upgrade does not change: so a real difference
can be told from a form of words.

A fingerprint keeps them beside the digests that agents of the first releases take and compare.
Such an agent calls each object gone that it does not find, but for accounts: so the keys look as if
they were of accounts.
"""

import json
from collections.abc import Iterator, Mapping

from trove_upgrade.guestagent.datastores.mysql_family import versions

ACCOUNT = 'account'  #: kind of an object
_PREFIX = f'{ACCOUNT}::'
SQL_MODE = 'sql_mode'  #: the aspect that is kept in clear: names of flags
#: Source: MySQL 8.0 Reference Manual, "Features Removed in MySQL 8.0"; MySQL's worklogs 8383 and
#: 9465: after the migration to 8.0 no stored function, procedure, trigger or event shows them.  The
#: migration masks them when it fills the data dictionary.
_GONE_SINCE_MYSQL_8 = (
    'DB2,MAXDB,MSSQL,MYSQL323,MYSQL40,NO_AUTO_CREATE_USER,NO_FIELD_OPTIONS,NO_KEY_OPTIONS,'
    'NO_TABLE_OPTIONS,ORACLE,POSTGRESQL'
)


def entry(kind: str, name: str, aspects: Mapping[str, str]) -> tuple[str, str]:
    """Return key and value of one object, for a fingerprint's `objects`."""
    return f'{_PREFIX}{kind}:{name}', json.dumps(aspects, sort_keys=True)


def of(objects: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Return 'kind:name' -> aspects of every object that has them."""
    found = {}
    for key, value in objects.items():
        if key.startswith(_PREFIX) and value.startswith('{'):
            found[key.removeprefix(_PREFIX)] = json.loads(value)
    return found


def is_one(key: str) -> bool:
    """Return whether this key of a fingerprint's `objects` is of aspects."""
    return key.startswith(_PREFIX)


def differences(
    before: Mapping[str, str], after: Mapping[str, str], server_version: str
) -> Iterator[str]:
    """Yield the aspects that are others now; those that one of the two agents did not know are not
    compared.

    `server_version`: of the server after the upgrade.
    """
    for aspect in sorted(before.keys() & after.keys()):
        if aspect == SQL_MODE:
            if flags(before[aspect], server_version) != flags(after[aspect], server_version):
                yield aspect
        elif before[aspect] != after[aspect]:
            yield aspect


def flags(sql_mode: str, server_version: str) -> frozenset[str]:
    """Return the flags that count at a server of this version: without those that it does not
    have.
    """
    found = _split(sql_mode.upper())
    if 'mariadb' not in server_version.lower() and versions.series(server_version) >= (8, 0):
        return found - _split(_GONE_SINCE_MYSQL_8)
    return found


def _split(text: str) -> frozenset[str]:
    return frozenset(flag.strip() for flag in text.split(',') if flag.strip())
