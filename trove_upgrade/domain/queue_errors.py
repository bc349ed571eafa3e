# SPDX-License-Identifier: Apache-2.0
"""Errors of an operator's work on the queues of the taskmanagers, in the form of all others."""

from trove_upgrade.domain import exceptions


class BrokerUnavailable(exceptions.TroveUpgradeError):
    """Failure of an operator's command to reach a broker that lets it in."""

    code = 'BROKER_UNAVAILABLE'
    template = (
        'The queues of the taskmanagers cannot be looked at: {found}. Look at {option} and at the '
        'broker, then run the same command again.'
    )


class BrokerRefused(BrokerUnavailable):
    """The broker let an operator's command in, and its user may not do what was asked."""

    code = 'BROKER_REFUSED'
    template = (
        'The broker refuses what was asked about the queues of the taskmanagers: {found}. What was '
        'deleted before stays deleted. Give the user of {option} the right to configure queues and '
        'exchanges that begin with "trove-upgrade" ("rabbitmqctl set_permissions"), or delete them '
        'with rabbitmqctl; then run the same command again.'
    )


class QueuesInUse(exceptions.TroveUpgradeError):
    """A taskmanager listens on a queue that was to be deleted."""

    code = 'QUEUES_IN_USE'
    template = (
        'These queues have consumers and stay: {found}. Stop the taskmanagers, then run '
        'the same command again.'
    )
