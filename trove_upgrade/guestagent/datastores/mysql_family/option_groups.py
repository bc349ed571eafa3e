# SPDX-License-Identifier: Apache-2.0
"""Groups of option files that the servers of each dialect read; programs compare names without
regard to case, and ours are in lower case.

Source: `--help --verbose` of MariaDB 10.11 and 11.8 and of MySQL 9.7.
"""

import dataclasses
import re

_VERSION = re.compile(r'\d+(?:\.\d+)*')
_SERIES = re.compile(r'(\d+)\.\d+')
#: From this release on MariaDB also reads groups with the first number alone.
_SHORT_SINCE = 11


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerGroups:
    """Groups that servers of one dialect read."""

    names: tuple[str, ...]  #: of any version
    versioned: tuple[str, ...]  #: also with a dash and a version behind them
    shared: tuple[str, ...] = ()  #: those of `names` that clients read, too
    has_short_versions: bool = False

    def has(self, group: str) -> bool:
        """Tell whether servers of some version read `group`."""
        name, dash, version = group.partition('-')
        is_versioned = bool(dash) and name in self.versioned and _VERSION.fullmatch(version)
        return group in self.names or bool(is_versioned)

    def of(self, version: str) -> tuple[str, ...]:
        """Return the groups that a server of `version` (e.g. 10.11.14-MariaDB) reads."""
        number = _SERIES.match(version)
        if number is None:
            return self.names
        series = [number.group()]
        if self.has_short_versions and int(number.group(1)) >= _SHORT_SINCE:
            series.append(number.group(1))
        return self.names + tuple(f'{name}-{one}' for name in self.versioned for one in series)


MARIADB = ServerGroups(
    names=('mysqld', 'server', 'mariadb', 'mariadbd', 'client-server', 'galera'),
    versioned=('mysqld', 'mariadb', 'mariadbd'),
    shared=('client-server',),
    has_short_versions=True,
)
MYSQL = ServerGroups(names=('mysql_cluster', 'mysqld', 'server'), versioned=('mysqld',))
#: Where it is not known whose files they are.
ANY = ServerGroups(
    names=tuple(dict.fromkeys(MARIADB.names + MYSQL.names)),
    versioned=MARIADB.versioned,
    shared=MARIADB.shared,
    has_short_versions=True,
)
