# SPDX-License-Identifier: Apache-2.0
"""Refusals that admission alone gives: an upgrade of this instance cannot begin as it is, or not be
acted on as it is.
"""

from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.exceptions import (
    InstanceBusy,
    InstanceChanged,
    InstanceDeleted,
    TroveUpgradeError,
)


class InstanceHasNoServer(TroveUpgradeError):
    """Refusal of an upgrade: the instance has no server to rebuild."""

    code = 'INSTANCE_HAS_NO_SERVER'
    template = (
        'Instance {instance_id} cannot be upgraded: it has no server. '
        'Wait until it is built, or restore it from a backup.'
    )


class GuestAgentMissing(TroveUpgradeError):
    """Refusal of an upgrade: no agent of ours was heard from the guest lately, and without one
    nothing can be upgraded in one piece.
    """

    code = 'GUEST_AGENT_MISSING'
    template = (
        'Instance {instance_id} cannot be upgraded: {heard}. Ask for an upgrade check of the '
        'instance, which asks the guest itself; if it finds none either, ask the operator to put '
        'the agent into the guest.'
    )
    never = (
        'no upgrade agent was ever heard from its guest, so its image holds none or it does not '
        'reach the message broker'
    )
    silent = (
        'the upgrade agent of its guest was last heard at {seen_at}, so the guest stopped or '
        'hangs, lost the message broker, or got a root disk without the agent'
    )


class InstanceHeld(InstanceBusy):
    """Refusal of an upgrade: another one of the instance is prepared, and waits."""

    code = Code.UPGRADE_HELD
    template = (
        'Instance {instance_id} cannot be upgraded: its upgrade {upgrade_id} to version '
        '{target_number} is held. Let that one proceed, or abort it first.'
    )


class InstanceUpgrading(InstanceBusy):
    """Refusal of an upgrade: another one of the instance goes on."""

    code = Code.INSTANCE_BUSY
    template = (
        'Instance {instance_id} cannot be upgraded now: its status is {status}, as its upgrade '
        '{upgrade_id} to version {target_number} goes on. Follow that one to its end, and try '
        'again.'
    )


class OlderService(TroveUpgradeError):
    """Refusal of an upgrade with choices: a registered taskmanager would not act on them, or a
    registered API could not show an upgrade that is HELD.
    """

    code = 'SERVICE_OLDER'
    template = (
        'Instance {instance_id} cannot be upgraded with on_failure, hold or not_before yet: a '
        'service of an earlier release is registered, which does not know them. Leave them out, '
        'or try again when the operator has replaced it.'
    )


class AbortRefused(TroveUpgradeError):
    """Refusal to abort: the former guest is not there any more, or the upgrade has ended."""

    code = 'ABORT_REFUSED'
    template = 'Upgrade {upgrade_id} cannot be aborted: {found}. {advice}'


class ProceedRefused(TroveUpgradeError):
    """Refusal to proceed: the upgrade is not held."""

    code = 'PROCEED_REFUSED'
    template = 'Upgrade {upgrade_id} cannot proceed: {found}. {advice}'


class HeldInstanceChanged(InstanceChanged):
    """Refusal to proceed, for good: the instance is not what the held upgrade has prepared."""

    template = (
        'Upgrade {upgrade_id} cannot proceed: instance {instance_id} has {found} than when the '
        'upgrade was prepared. Nothing was changed. Abort it and begin a new one.'
    )

    @property
    def cause(self) -> str:
        """Return the cause of the upgrade that ends for this reason."""
        return (
            'It did not proceed: instance {instance_id} has {found} than when the upgrade was '
            'prepared. Nothing was changed. Begin a new one.'
        ).format(**self.facts)


class HeldInstanceDeleted(InstanceDeleted):
    """Refusal to proceed, for good: the instance was deleted, or is being deleted."""

    template = (
        'Upgrade {upgrade_id} cannot proceed: instance {instance_id} {found}. Nothing was '
        'changed. Abort it, or leave it: it ends by itself within the hour.'
    )

    @property
    def cause(self) -> str:
        """Return the cause of the upgrade that ends for this reason."""
        return InstanceDeleted(**self.facts).message


class FailedInstanceDeleted(InstanceDeleted):
    """Refusal to retry or roll back: the instance was deleted since."""

    template = (
        'Upgrade {upgrade_id} cannot go on: instance {instance_id} was deleted. There is nothing '
        'left to do.'
    )


#: Refusals by the instance after which an upgrade that is HELD never proceeds.
ENDS_OF_HOLD = (HeldInstanceChanged, HeldInstanceDeleted)


class ActionOvertaken(TroveUpgradeError):
    """Another action, or a taskmanager, has moved the upgrade between the look at it and the act,
    again and again.
    """

    code = 'ACTION_OVERTAKEN'
    template = (
        'Nothing was done with upgrade {upgrade_id}: it has just been moved on. Look at it, and '
        'ask again.'
    )
