# SPDX-License-Identifier: Apache-2.0
"""Refusals that admission alone gives: an upgrade of this instance cannot begin as it is."""

from trove_upgrade.domain.exceptions import TroveUpgradeError


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
