# SPDX-License-Identifier: Apache-2.0
"""The comparison of the data, as the upgrade has recorded it."""

from collections.abc import Mapping
from typing import Any

from trove_upgrade.bridge.verification.result import Verified
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.domain.upgrades import Upgrade

NAME = 'rows'


def check(upgrade: Upgrade, instance_id: str, version_id: str) -> Verified:
    """Look at what the guest found when it compared the data before and after: before any client
    could write.
    """
    if (upgrade.instance_id, upgrade.target_version_id) != (instance_id, version_id):
        return Verified.failed(
            NAME,
            f'Upgrade {upgrade.id} is of instance {upgrade.instance_id} to version '
            f'{upgrade.target_version_id}.',
        )
    if upgrade.state is not UpgradeState.COMPLETED:
        return Verified.failed(NAME, f'Upgrade {upgrade.id} is {upgrade.state}.')
    found = upgrade.progress.restore.fingerprint
    if not found:
        return Verified.failed(NAME, f'Upgrade {upgrade.id} has recorded no comparison.')
    return _of(found)


def _of(found: Mapping[str, Any]) -> Verified:
    missing = _list(found, 'missing')
    if missing:
        return Verified.failed(NAME, f'Not what it was: {"; ".join(missing)}.')
    accepted, uncompared = _list(found, 'accepted'), _list(found, 'not_compared')
    more = [
        *([f'accepted by an operator: {"; ".join(accepted)}'] if accepted else []),
        *([f'not compared row by row: {", ".join(uncompared)}'] if uncompared else []),
    ]
    return Verified.ok(
        NAME,
        f'{found.get("rows_compared", "?")} rows of {found.get("tables_compared", "?")} tables are '
        f'those of before{"".join(f"; {each}" for each in more)}.',
    )


def _list(found: Mapping[str, Any], key: str) -> list[str]:
    return [str(entry) for entry in found.get(key) or ()]
