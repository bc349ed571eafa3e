# SPDX-License-Identifier: Apache-2.0
"""Backups, which are Trove's: only an incremental one on top of what a former release of the server
has made is refused.
"""

import contextlib
import datetime
from collections.abc import Iterator

from oslo_db import exception as db_exception

from trove_upgrade.api import errors
from trove_upgrade.api.call import Call
from trove_upgrade.db import faults
from trove_upgrade.db.errors import SchemaMissing
from trove_upgrade.domain import backups, exceptions, instances, logs, silence
from trove_upgrade.domain.upgrades import Upgrade

LOG = logs.get_logger(__name__)

#: So many of an instance's newest upgrades are looked at.
_UPGRADES = 50


def refuse_former(call: Call) -> None:
    """Look at the parent that Trove would take for the incremental backup that the
    call's document describes.

    Instance and parent of another project are Trove's to answer, as is what does not exist.

    :raises BackupOfFormerVersion: 422; the parent, or what it builds on, is of another version or
    release than the instance.
    """
    try:
        row = call.services.repos.instances.get(
            call.document['instance'], call.scope, with_details=False
        )
    except exceptions.InstanceNotFound:
        return
    parent = _parent(call, row)
    found = None if parent is None or parent.is_snapshot else _found(call, row, parent)
    if found is not None:
        LOG.info('An incremental backup of instance %s was refused: %s', row.id, found)
        raise errors.BackupOfFormerVersion(instance_id=row.id, found=found)


def _parent(call: Call, instance: instances.Instance) -> backups.Backup | None:
    """Return the parent that Trove would take; None: Trove makes a full backup, or finds none that
    this project may name.
    """
    named = call.document.get('parent_id')
    if not named:
        return call.services.repos.backups.last_completed(instance.id, call.scope)
    parent = call.services.repos.backups.get(named)
    return parent if parent is not None and call.scope in {None, parent.project_id} else None


def _found(call: Call, instance: instances.Instance, parent: backups.Backup) -> str | None:
    """Return what makes `parent` none, in words; None: nothing does."""
    chain = call.services.repos.backups.chain(parent)
    other = backups.of_other_version(chain, instance.version.id)
    if other is not None:
        return errors.BackupOfFormerVersion.other_version.format(
            backup_id=parent.id,
            former=_version_name(call, other.datastore_version_id),
            present=instance.version.name,
        )
    replaced = backups.replaced_since(
        chain, _upgrades_since(call, instance.id, backups.began_at(chain))
    )
    if replaced is None:
        return None
    return errors.BackupOfFormerVersion.other_release.format(
        backup_id=parent.id, moment=silence.moment(replaced.created_at)
    )


def _upgrades_since(
    call: Call, instance_id: str, moment: datetime.datetime | None
) -> Iterator[Upgrade]:
    """Yield the newest first, each read when it is asked for: a row can be long.

    There are none where our tables were not made yet: then nothing was upgraded by us.
    """
    if moment is None:
        return
    upgrades = call.services.repos.upgrades
    try:
        listed = upgrades.list(limit=_UPGRADES, instance_id=instance_id).items
    except db_exception.DBError as error:
        if isinstance(faults.explain(error), SchemaMissing):
            return
        raise
    for each in listed:
        if each.created_at > moment:
            with contextlib.suppress(exceptions.UpgradeNotFound):  # purged since
                yield upgrades.get(each.id)


def _version_name(call: Call, version_id: str | None) -> str:
    """Its id where the operator has deleted it since."""
    try:
        return call.services.repos.datastores.version_by_id(version_id or '').name
    except exceptions.DatastoreVersionNotFound:
        return str(version_id)
