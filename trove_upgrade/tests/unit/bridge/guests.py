# SPDX-License-Identifier: Apache-2.0
"""Networks and guests in memory, behind the ports of `bridge.reach`."""

from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.choice import Choice

SOURCE = '10.0.0.2'


class Route:
    """Leads to every guest of a network."""

    def __init__(self, network_id, reaches=None):
        self.name = f'through qdhcp-{network_id} on this host'
        self.reaches = reaches
        self.host = 'node-1'

    def source_address(self, target):
        return 'fd00::2' if ':' in target else SOURCE


class Chooser:
    """Knows routes to these networks."""

    def __init__(self, *network_ids):
        self.network_ids = network_ids
        self.asked = []
        self.reaches = None  #: of its routes

    def choose(self, network_id, chassis):
        self.asked.append((network_id, chassis))
        if network_id not in self.network_ids:
            raise errors.NoRoute(network_id=network_id, found='nothing is configured')
        return Choice(Route(network_id, self.reaches), ())


class Shell:
    """Session that is open until it is closed."""

    def __init__(self):
        self.is_open = True

    def close(self):
        self.is_open = False


class Guests:
    """SSH servers: each lets the bridge in while Neutron does."""

    def __init__(self, neutron):
        self.neutron = neutron
        self.shells = []
        self.logins = []
        self.refusals = []  #: errors of the next logins

    def log_in(self, guest, route, login):
        self.logins.append((guest.server_id, guest.address, route.name, login.user))
        if self.refusals:
            raise self.refusals.pop(0)
        rules = [
            rule
            for port in self.neutron.ports.values()
            if guest.address in port.addresses
            for group in port.groups
            if group in self.neutron.groups
            for rule in self.neutron.groups[group].rules
        ]
        filtered = any(
            guest.address in port.addresses and port.is_filtered
            for port in self.neutron.ports.values()
        )
        source = route.source_address(guest.address)
        if filtered and not any((rule.source or '').startswith(f'{source}/') for rule in rules):
            raise errors.TimedOut(
                address=guest.address, port=22, route=route.name, phase='connect', seconds=1
            )
        shell = Shell()
        self.shells.append(shell)
        return shell
