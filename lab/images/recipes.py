# SPDX-License-Identifier: Apache-2.0
"""Recipes of the lab's guest images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

_SYSTEM = (
    'tini',
    'sysvinit-utils',
    'init-system-helpers',
    'python3',
    'iproute2',
    'e2fsprogs',
    'util-linux',
    'mount',
    'procps',
    'nftables',
)
_PACKAGES = (*_SYSTEM, 'mariadb-server', 'mariadb-client')
#: What a guest needs whose database runs in a container: an engine, its firewall rules, and what
#: Trove's own agent calls.
_ENGINE = (
    'docker.io',
    'containerd',
    'runc',
    'iptables',
    'sudo',
    'passwd',
    'ca-certificates',
    'lsof',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """An image before it is built.

    `init` is what becomes process 1: `tini` with sysv-style services, or `systemd`.
    `python_version` is the one of the suite, which the agents' dependencies are fetched for.  With
    `runs_containers` the image has no database server but a container engine, and Trove's own agent
    beside ours.  `preloaded` are archives of container images (of `docker save`'s form, named by
    what is in them) that the engine has from the start.  With `old_agent_python` the image is one
    from before the upgrade feature: an agent of old under that Python, and nothing of ours.  With
    `is_stock` it is one as Trove's project makes it: Trove's agent, and nothing of ours.
    """

    name: str
    suite: str
    python_version: str
    packages: tuple[str, ...] = _PACKAGES
    has_agent: bool = True
    init: str = 'tini'
    runs_containers: bool = False
    preloaded: tuple[Path, ...] = ()
    old_agent_python: str = ''
    is_stock: bool = False

    @property
    def is_old(self) -> bool:
        """Return whether its guests have an agent from before the upgrade feature."""
        return bool(self.old_agent_python)

    def without_agent(self) -> Recipe:
        """Return the image with a database and no agent in it: an upgrade to it never sees a
        heartbeat.
        """
        return dataclasses.replace(self, name=f'{self.name}-no-agent', has_agent=False)

    def stock(self) -> Recipe:
        """Return the image as Trove's project makes it, with SSH for operators and nothing of
        ours, not even what `without_agent` leaves.
        """
        return dataclasses.replace(
            self,
            name=f'{self.name}-stock',
            has_agent=False,
            is_stock=True,
            packages=(*self.packages, 'openssh-server'),
        )

    def with_preloaded(self, *archives: Path) -> Recipe:
        """Return the image with these container images in its engine's store."""
        return dataclasses.replace(self, name=f'{self.name}-preloaded', preloaded=archives)

    def with_systemd(self) -> Recipe:
        """Return the image with systemd as process 1, and with cloud-init, as images of real clouds
        are; an old one gets its files injected and has none.
        """
        extra = ('systemd', 'systemd-sysv', 'dbus', *(() if self.is_old else ('cloud-init',)))
        return dataclasses.replace(
            self, name=f'{self.name}-systemd', init='systemd', packages=self.packages + extra
        )


#: MariaDB 10.11, Python 3.11: what guests run before an upgrade.
BOOKWORM = Recipe(name='mariadb-bookworm', suite='bookworm', python_version='3.11')
#: MariaDB 11.8, Python 3.13: what they are upgraded to.
TRIXIE = Recipe(name='mariadb-trixie', suite='trixie', python_version='3.13')
#: MySQL 9.7, Python 3.14.  No release of Debian has MySQL, so this follows the moving suite: a base
#: that is in the cache stays as it is, a new one is as good as the suite of its day.
MYSQL_SID = Recipe(
    name='mysql-sid',
    suite='sid',
    python_version='3.14',
    packages=(*_SYSTEM, 'mysql-server', 'mysql-client'),
)
#: Trove 26's guests, whose database runs in a container: Docker 20.10 with Python 3.11, and Docker
#: 26.1 with Python 3.13.
TROVE_BOOKWORM = Recipe(
    name='trove-bookworm',
    suite='bookworm',
    python_version='3.11',
    packages=(*_SYSTEM, *_ENGINE),
    runs_containers=True,
)
TROVE_TRIXIE = Recipe(
    name='trove-trixie',
    suite='trixie',
    python_version='3.13',
    packages=(*_SYSTEM, *_ENGINE, 'docker-cli'),
    runs_containers=True,
)
#: What operators of old guests came in by, and what the old agent's database wants.
_OLD = (*_PACKAGES, 'openssh-server', 'sudo', 'passwd', 'ca-certificates', 'tar')
#: MariaDB 10.5, Python 2.7 (and 3.9), OpenSSH 8.4, sysv scripts: guests that were made before the
#: upgrade feature, as old as a mirror still has them.
OLD_BULLSEYE = Recipe(
    name='old-bullseye',
    suite='bullseye',
    python_version='3.9',
    packages=(*_OLD, 'python2.7'),
    has_agent=False,
    old_agent_python='python2.7',
)
#: Stands in for it once no mirror has bullseye any more: the same agent, under Python 3.
OLD_BOOKWORM = Recipe(
    name='old-bookworm',
    suite='bookworm',
    python_version='3.11',
    packages=_OLD,
    has_agent=False,
    old_agent_python='python3',
)
