# SPDX-License-Identifier: Apache-2.0
"""Ends of the bridge's members that are no failures: on request, or as their instance is gone."""

from trove_upgrade.domain import exceptions


class RunAborted(exceptions.TroveUpgradeError):
    """An operator has ended a run before a member had come to its end."""

    code = 'BRIDGE_RUN_ABORTED'
    template = 'An operator aborted run {run_id}; work on instance {instance_id} ended with it.'


class InstanceGone(exceptions.TroveUpgradeError):
    """A member's instance was deleted while the run went on."""

    code = 'BRIDGE_INSTANCE_GONE'
    template = (
        'Instance {instance_id} was deleted while the run went on. Nothing is left to be done for '
        'it.'
    )


class OtherUpgrade(exceptions.TroveUpgradeError):
    """Another client's upgrade of the same instance came first."""

    code = 'BRIDGE_OTHER_UPGRADE'
    template = (
        'Instance {instance_id} was not upgraded by this run: upgrade {upgrade_id} to version '
        '{version_id} was begun by another client. Wait for its end.'
    )


class UpgradeHeld(OtherUpgrade):
    """Another client's upgrade of the same instance is held, for days perhaps."""

    code = 'BRIDGE_UPGRADE_HELD'
    template = (
        'Instance {instance_id} was not upgraded by this run: {found}. Let that upgrade proceed, '
        'or abort it and run again.'
    )


class UpgradeAborted(exceptions.TroveUpgradeError):
    """A client has aborted a member's upgrade before the server was rebuilt."""

    code = 'BRIDGE_UPGRADE_ABORTED'
    template = (
        'Upgrade {upgrade_id} of instance {instance_id} was aborted on request, and the former '
        'version serves. Our agent stays in its guest. Ask its owner, then run again.'
    )


#: What clients of the database service do with upgrades of their instances ends these members.
BY_CLIENTS: frozenset[str] = frozenset({OtherUpgrade.code, UpgradeHeld.code, UpgradeAborted.code})
#: Of members that are turned back and have not failed.
NO_FAILURES: frozenset[str | None] = BY_CLIENTS | {None, RunAborted.code, InstanceGone.code}
