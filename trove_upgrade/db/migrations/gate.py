# SPDX-License-Identifier: Apache-2.0
"""The contract gate: what a contract removes, no service may need any more.

A service is in the way as long as it is listed, silent or not: an API without requests has no
occasion to give a sign of life, and would fail at its next request.
"""

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa

from trove_upgrade.db import errors, models, services
from trove_upgrade.db.migrations.chain import MAIN
from trove_upgrade.db.release import RELEASE
from trove_upgrade.db.services import Service

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclasses.dataclass(frozen=True)
class Older:
    """A service that a contract has to wait for."""

    service: Service
    needs: str  #: the release that it has to be of, at least

    def __str__(self) -> str:
        one = self.service
        pid = f', process {one.pid}' if one.pid is not None else ''
        return (
            f'{one.id} ({one.binary} {one.release} {one.version} on {one.host}{pid}; {one.state}, '
            f'last seen {ago(one.silent_seconds)} ago)'
        )


def ago(seconds: float) -> str:
    """Format a time span in the unit that a person would use."""
    for unit, name in ((_DAY, 'd'), (_HOUR, 'h'), (_MINUTE, 'min')):
        if seconds >= 2 * unit:
            return f'{seconds / unit:.0f} {name}'
    return f'{max(seconds, 0):.0f} s'


def older_services(known: Sequence[Service], release: str, releases: Sequence[str]) -> list[Older]:
    """Return those of `known` that are of a release before `release`; `releases` are those of the
    chain, oldest first.

    A release that is not among them counts as older: nothing says that it can do without what goes.
    """
    recent = releases[releases.index(release) :] if release in releases else [release]
    return [Older(one, release) for one in known if one.release not in recent]


def older_service(known: services.Services) -> str | None:
    """Name a registered service of an earlier release than this one, which cannot read a row that
    is HELD; None: there is none.
    """
    older = older_services(known.list(), RELEASE, MAIN.releases())
    return next(map(str, older), None)


def older_taskmanager(known: services.Services) -> str | None:
    """Name a registered taskmanager of an earlier release than this one, which knows no keys of
    guests; None: there is none.
    """
    older = older_services(known.list(), RELEASE, MAIN.releases())
    return next((str(one) for one in older if one.service.binary == services.TASKMANAGER), None)


def listed(engine: sa.Engine) -> list[Service]:
    """All services of a database; none where the table has not been made yet."""
    with engine.connect() as connection:
        return listed_by(connection)


def listed_by(connection: sa.Connection) -> list[Service]:
    """List all services of a database over a connection that is open."""
    if not sa.inspect(connection).has_table(models.upgrade_services.name):
        return []
    return services.listed(connection)


def check(engine: sa.Engine, release: str, releases: Sequence[str]) -> None:
    """The gate of the contract revisions of a release.

    :raises OlderServices: a service of an earlier release is listed.
    """
    found = older_services(listed(engine), release, releases)
    if found:
        raise errors.OlderServices(
            release=release,
            count=len(found),
            are='is' if len(found) == 1 else 'are',
            found='; '.join(str(one) for one in found),
        )
