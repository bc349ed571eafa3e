# SPDX-License-Identifier: Apache-2.0
"""Recipes of the lab's container images."""

from __future__ import annotations

import dataclasses
import enum

REPOSITORY = 'mariadb'
#: zstd: the entrypoint packs the system tables with it before an upgrade.  gosu: where the
#: entrypoint is started as root.
_PACKAGES = (
    'mariadb-server',
    'mariadb-backup',
    'gosu',
    'tzdata',
    'openssl',
    'socat',
    'zstd',
    'xz-utils',
    'pwgen',
)


class Variant(enum.Enum):
    """Images that differ from the good one in one layer, for tests of what goes wrong."""

    GOOD = 'good'
    #: its entrypoint ends at once with 1; the programs in it work, so a check of a configuration
    #: passes
    BROKEN = 'broken'
    NO_SERVER = 'no-server'  #: the server itself ends at once with 1, however it is called


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A container image before it is built.

    Its tags are the exact version of the server in it, which is the number of Trove's datastore
    version, and `family`.
    """

    family: str
    suite: str
    repository: str = REPOSITORY
    packages: tuple[str, ...] = _PACKAGES
    variant: Variant = Variant.GOOD
    #: also what Debian's security team has published for the suite, where the host's apt knows its
    #: mirror
    security: bool = False
    #: what a spoilt image calls itself, where no real version has it
    fixed_version: str | None = None

    @property
    def name(self) -> str:
        """Return the recipe's name, for people and for file names."""
        suffix = '' if self.variant is Variant.GOOD else f'-{self.variant.value}'
        return f'{self.repository}-{self.family}{suffix}'

    def spoilt(self, variant: Variant, version: str) -> Recipe:
        """Return the image with something wrong, under a version that no good image has."""
        return dataclasses.replace(self, variant=variant, fixed_version=version)


MARIADB_10_11 = Recipe(family='10.11', suite='bookworm')
MARIADB_11_8 = Recipe(family='11.8', suite='trixie')
#: A patch release apart, and still with @@innodb_version, which tempest asks for: Debian 11 as it
#: was released last, and with its security updates.
MARIADB_10_5 = Recipe(family='10.5', suite='bullseye')
#: Without mariadb-backup, which no test of these two wants and not every mirror still has.
MARIADB_10_5_SECURITY = Recipe(
    family='10.5-security',
    suite='bullseye',
    packages=tuple(name for name in _PACKAGES if name != 'mariadb-backup'),
    security=True,
)
BROKEN_10_11 = MARIADB_10_11.spoilt(Variant.BROKEN, '10.11.99')
BROKEN_11_8 = MARIADB_11_8.spoilt(Variant.BROKEN, '11.8.99')
NO_SERVER_11_8 = MARIADB_11_8.spoilt(Variant.NO_SERVER, '11.8.97')
#: A tag that no image ever has: for tests of what happens when the registry does not know one.
MISSING_11_8 = '11.8.98'

GOOD = (MARIADB_10_11, MARIADB_11_8)
SPOILT = (BROKEN_10_11, BROKEN_11_8, NO_SERVER_11_8)
