# SPDX-License-Identifier: Apache-2.0
"""Backups of an instance: a list of them, and each by itself."""

from collections.abc import Iterator

from trove_upgrade.bridge.verification.result import Verified
from trove_upgrade.domain.database_service import DatabaseService, DatabaseServiceRefused

NAME = 'backups'


def check(service: DatabaseService, instance_id: str) -> Verified:
    """List all backups and show each.

    :raises NotOffered: the service has none.
    """
    listed = [backup.id for backup in service.backups(instance_id)]
    refused = dict(_refusals(service, listed))
    if refused:
        still = {backup.id for backup in service.backups(instance_id)}  # tenants delete theirs
        refused = {backup_id: why for backup_id, why in refused.items() if backup_id in still}
    if refused:
        return Verified.failed(NAME, ' '.join(refused.values()))
    return Verified.ok(NAME, f'{len(listed)} are listed, and each is shown.')


def _refusals(service: DatabaseService, backup_ids: list[str]) -> Iterator[tuple[str, str]]:
    for backup_id in backup_ids:
        try:
            service.backup(backup_id)
        except DatabaseServiceRefused as error:
            yield backup_id, error.message
