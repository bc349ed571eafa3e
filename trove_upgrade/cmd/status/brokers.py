# SPDX-License-Identifier: Apache-2.0
"""Checks of the message broker: of transport_url, and of guest_transport_url where it names another
place.
"""

from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from trove_upgrade.cmd.status.results import failure, success, warning
from trove_upgrade.domain import exceptions

if TYPE_CHECKING:  # not before `main` has chosen the threads
    from trove_upgrade.rpc import broker, place

SECONDS = 5.0


def check(conf: cfg.ConfigOpts) -> upgradecheck.Result:
    """A broker of each place lets us in.

    :raises TransportInvalid, ConfigurationInvalid: a URL cannot be understood.
    """
    from trove_upgrade.rpc import broker, place

    results = [
        _let_in(at.option, broker.ask(conf, SECONDS, at)) for at in place.of_taskmanagers(conf)
    ]
    return upgradecheck.Result(
        max(one.code for one in results), ' '.join(one.details for one in results)
    )


def _let_in(option: str, asked: list['broker.Broker']) -> upgradecheck.Result:
    refused = '; '.join(f'{one.address}: {one.error}' for one in asked if one.error)
    name = option.rpartition(' ')[2]
    if not asked:
        return success(f'The transport of {option} has no broker that could be asked.')
    if not refused:
        return success(f'{", ".join(one.address for one in asked)} let us in by {option}.')
    if all(one.error for one in asked):
        return failure(
            f'No message broker of {option} lets us in: {refused}. Guests cannot be asked '
            'anything. Start the broker, or mend address, user, password and virtual host in '
            f'{name}.'
        )
    return warning(
        f'Not every message broker of {option} lets us in: {refused}. Start it, or mend its part '
        f'of {name}.'
    )


def check_consumers(conf: cfg.ConfigOpts, seen: str) -> upgradecheck.Result:
    """Taskmanagers listen at each place.  `seen`: what the table of services tells of them."""
    from trove_upgrade.rpc import place

    topic = conf.trove_upgrade.taskmanager_topic
    told = []
    for at in place.of_taskmanagers(conf):
        listening = _consumers(conf, topic, at)
        if listening == 0:
            return failure(
                f'A taskmanager runs, and no process listens on topic "{topic}" of the broker of '
                f'{at.option}: it has another broker or another taskmanager_topic. Heartbeats of '
                'guests are lost. Give every service the same configuration.'
            )
        told.append(
            f'the broker of {at.option} could not be asked who listens on topic "{topic}"'
            if listening is None
            else f'{listening} listen on topic "{topic}" of {at.option}'
        )
    return success(f'{seen}; {"; ".join(told)}.')


def _consumers(conf: cfg.ConfigOpts, topic: str, at: 'place.Place') -> int | None:
    from trove_upgrade.rpc import broker

    try:
        return broker.consumers(conf, topic, SECONDS, at)
    except exceptions.TroveUpgradeError:
        return None  # the check of the broker has it
