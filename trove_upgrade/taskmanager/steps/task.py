# SPDX-License-Identifier: Apache-2.0
"""Trove saves whole stale objects: the instance's task is read again before anything that cannot be taken back."""
from trove_upgrade.domain import exceptions, instance, ports, upgrade


def require_our_task(instances: ports.InstanceRepository, row: upgrade.Upgrade) -> None:
    """:raises StepRefused: the instance is not in UPGRADING any more."""
    task = instances.task(row.instance_id)
    if task is not instance.Task.UPGRADING:
        changed = exceptions.InstanceChanged(upgrade_id=row.id, instance_id=row.instance_id, task=task.name)
        raise exceptions.StepRefused(changed.message, changed.code)
