# SPDX-License-Identifier: Apache-2.0
"""The process that keeps the guests' ports as Neutron's security groups are.

It reads all rules every half second and replaces those of a port in one step, where they have
changed: a change is in force within a second.  Where Neutron cannot be asked, all stays as it is.

    python -m lab.hypervisor.groups.guard

`<run dir>/hypervisor.json` has Neutron's address and a user who sees all projects; the environment
variable TROVE_UPGRADE_LAB_RUN names the run directory.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lab import errors, rest
from lab.commands import Commands, HostCommands
from lab.hypervisor.groups import ruleset
from lab.hypervisor.groups.neutron import NeutronRules
from lab.hypervisor.groups.rules import PortRules, RuleSource
from lab.hypervisor.host import LabHost
from lab.hypervisor.netns import NETNS_DIR, entry
from lab.hypervisor.network import PluggedPort
from lab.layout import RUN_VARIABLE

PERIOD_SECONDS = 0.5


class Guard:
    """Enforces the rules of a source at the ports that are plugged."""

    def __init__(
        self,
        source: RuleSource,
        plugged: Callable[[], Iterable[PluggedPort]],
        commands: Commands,
        tell: Callable[[str], None],
    ) -> None:
        self._source = source
        self._plugged = plugged
        self._commands = commands
        self._tell = tell
        self._applied: dict[tuple[str, int, str], PortRules] = {}

    def look(self) -> None:
        """Compare once, and replace what differs.

        A port that is plugged and not in the source stays as it is: closed, where it is new.
        """
        try:
            wanted = self._source.read()
        except errors.LabError as error:
            self._tell(f'The rules cannot be read, those of before stay: {error}')
            return
        found: dict[tuple[str, int, str], PortRules] = {}
        for port in self._plugged():
            rules = wanted.get((port.network_id, port.mac))
            place = (port.namespace, _inode(port.namespace), port.device)
            if rules is not None and (rules == self._applied.get(place) or self._set(port, rules)):
                found[place] = rules
        self._applied = found

    def _set(self, port: PluggedPort, rules: PortRules) -> bool:
        try:
            self._commands.run(
                [*entry(port.namespace), 'nft', '-f', '-'],
                input_text=ruleset.script(port.device, rules),
            )
        except errors.LabError as error:
            # The namespace may have gone meanwhile; if it is there, the next look tries again.
            self._tell(f'Port {port.device} of network {port.network_id}: {error}')
            return False
        what = 'open' if rules.open else f'{len(rules.rules)} rules'
        self._tell(f'Port {port.device} of network {port.network_id}: {what}')
        return True


def _inode(namespace: str) -> int:
    """A namespace that was made anew under its name has another, and no rules yet."""
    try:
        return (NETNS_DIR / namespace).stat().st_ino
    except FileNotFoundError:
        return 0


def run(guard: Guard, ended: threading.Event, period_seconds: float = PERIOD_SECONDS) -> None:
    """Look again and again, until `ended` is set."""
    while not ended.wait(period_seconds):
        guard.look()


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Guard the cloud that the environment names; a signal ends it."""
    run_dir = Path(environ[RUN_VARIABLE])
    facts = json.loads((run_dir / 'hypervisor.json').read_text('utf-8'))
    login = facts['auth']
    session = rest.Session(
        login['auth_url'], login['username'], login['password'], login['project_name']
    )
    host = LabHost.open(run_dir / 'hypervisor')
    source = NeutronRules(session, facts['neutron_url'])
    guard = Guard(source, host.fabric.plugged, HostCommands(), lambda text: print(text, flush=True))
    run(guard, threading.Event())


if __name__ == '__main__':
    main()
