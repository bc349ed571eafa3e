# SPDX-License-Identifier: Apache-2.0
"""Rules of guests' ports that a test lays down, and their enforcement."""

import threading

from lab import errors
from lab.commands import HostCommands
from lab.hypervisor.groups import guard as guarding
from lab.hypervisor.groups.rules import Direction, Rule

OUT = Rule(direction=Direction.EGRESS)


def allowed(port, *remotes, protocol='tcp'):
    return Rule(
        direction=Direction.INGRESS,
        protocol=protocol,
        port_min=port,
        port_max=port,
        remotes=remotes or None,
    )


class Rules:
    """A source of rules that the test changes."""

    def __init__(self):
        self.of_port = {}
        self.broken = False
        self.reads = 0

    def read(self):
        self.reads += 1
        if self.broken:
            raise errors.CommandFailed('no Neutron')
        return dict(self.of_port)


def enforce(case, host, rules):
    """Enforce what the source has until the test ends, as the cloud's own process does."""
    ended = threading.Event()
    guard = guarding.Guard(rules, host.fabric.plugged, HostCommands(), print)
    thread = threading.Thread(target=guarding.run, args=(guard, ended))
    thread.start()
    case.addCleanup(thread.join)
    case.addCleanup(ended.set)
