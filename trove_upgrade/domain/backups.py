# SPDX-License-Identifier: Apache-2.0
"""Trove's backups, as far as an upgrade matters to them: the chain below an incremental backup must
be of one release of the server.

An incremental backup holds the pages that have changed since its parent. It can be restored only on
top of all its ancestors, by one release of the database's tools; after an upgrade the parent is of
another release. Trove compares no versions, so that the restore is the first to fail. Source:
trove/backup/models.py, Backup.create (Trove 26).
"""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence

from trove_upgrade.domain import states, versions
from trove_upgrade.domain.upgrades import Upgrade

_S = states.UpgradeState
#: Storage driver of volume snapshots, which are whole without a parent. Source:
#: trove/taskmanager/models.py, create_backup (Trove 26).
SNAPSHOTS = 'cinder'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backup:
    """A row of Trove's `backups`."""

    id: str
    project_id: str | None
    instance_id: str | None  #: None for one that was brought from another region
    #: of the instance at the time of the backup, whatever its parent is of
    datastore_version_id: str | None
    parent_id: str | None
    created_at: datetime.datetime | None
    storage_driver: str | None = None

    @property
    def is_snapshot(self) -> bool:
        """Return True where it needs no parent, even if its row names one."""
        return self.storage_driver == SNAPSHOTS


def of_other_version(chain: Iterable[Backup], version_id: str) -> Backup | None:
    """The first of the chain that was made of another datastore version; None: there is none."""
    return next(
        (each for each in chain if each.datastore_version_id not in {None, version_id}), None
    )


def began_at(chain: Iterable[Backup]) -> datetime.datetime | None:
    """Return when the first backup of a chain was made; None: that is not known."""
    return min((each.created_at for each in chain if each.created_at is not None), default=None)


def replaced_since(
    chain: Sequence[Backup], upgrades_newest_first: Iterable[Upgrade]
) -> Upgrade | None:
    """The newest upgrade that has put another release of the server on the data since the chain
    began; None: there is none.

    It tells what equal version ids hide: a version that was repointed to a newer image, and an
    instance that went to another version and came back. An upgrade and a backup exclude one
    another, so the moment at which the upgrade was accepted divides the backups, also where the
    clocks of the API and of the database differ by seconds.
    """
    moment = began_at(chain)
    if moment is None:
        return None
    return next(
        (
            each
            for each in upgrades_newest_first
            if each.created_at > moment and _replaced_server(each)
        ),
        None,
    )


def _replaced_server(ended: Upgrade) -> bool:
    """Return True where another release has worked on the data; for unknown releases, where the
    version or the image is another one.
    """
    if not (ended.state is _S.COMPLETED or (ended.state is _S.FAILED and ended.no_return)):
        return False
    former = versions.read_number(ended.progress.former.server_version or '')
    running = versions.read_number(ended.progress.new.server_version or '')
    if former is not None and running is not None:
        return former != running
    return (
        ended.former_version_id != ended.target_version_id
        or ended.former_image_id != ended.target_image_id
    )
