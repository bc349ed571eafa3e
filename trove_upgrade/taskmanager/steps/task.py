# SPDX-License-Identifier: Apache-2.0
"""Trove saves whole stale objects: the instance's task is read again before anything
that cannot be taken back.
"""

from trove_upgrade.domain import exceptions, ports
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.instances import Holder, Task
from trove_upgrade.domain.upgrades import Upgrade


def require_our_task(instances: ports.InstanceRepository, upgrade: Upgrade) -> None:
    """Trove's own upgrade sets the same task that we do: only the version tells the two apart.

    :raises StepRefused: the instance is not in UPGRADING any more, has another version,
    or has been deleted.
    """
    _require(upgrade, instances.holder(upgrade.instance_id))


def require_quiet(instances: ports.InstanceRepository, upgrade: Upgrade) -> None:
    """Require that the task is ours and that no backup runs: one that Trove let in just before our
    task was set would be cut off by the stop.
    """
    holder = instances.holder(upgrade.instance_id)
    _require(upgrade, holder)
    if holder.backup_running:
        raise exceptions.StepRefused(
            f'Instance {upgrade.instance_id} cannot be upgraded: a backup of it is running. Wait '
            'until it has ended, and upgrade again.',
            Code.BACKUP_RUNNING,
        )


def _require(upgrade: Upgrade, holder: Holder) -> None:
    if holder.deleted:
        deleted = exceptions.InstanceDeleted(upgrade_id=upgrade.id, instance_id=upgrade.instance_id)
        raise exceptions.StepRefused(deleted.message, deleted.code)
    found = None
    if holder.task is not Task.UPGRADING:
        found = holder.task.name
    elif holder.version_id != upgrade.former_version_id:
        found = f'UPGRADING of another action, to version {holder.version_id}'
    if found is not None:
        changed = exceptions.InstanceChanged(
            upgrade_id=upgrade.id, instance_id=upgrade.instance_id, task=found, expected='UPGRADING'
        )
        raise exceptions.StepRefused(changed.message, changed.code)
