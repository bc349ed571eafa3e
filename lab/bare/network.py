# SPDX-License-Identifier: Apache-2.0
"""The bare machine's way out: a network namespace, a pair of interfaces, and masquerading on the
machine's side.

Nothing of the machine listens in that namespace, so a cloud of the machine and one in the bare
machine use the same ports.
"""

import dataclasses
import ipaddress
import pathlib
import re

from lab import errors
from lab.bare.place import NAME
from lab.commands import Commands

#: Of the block for tests between networks, which no network uses.  Source: RFC 2544, appendix
#: C.2.2.
_LINK = ipaddress.ip_network('198.18.93.0/30')
_OUTSIDE, _INSIDE = 'tu-bare', 'eth0'  #: interface names; at most 15 characters
_FORWARDING = pathlib.Path('/proc/sys/net/ipv4/ip_forward')
_DEVICE = re.compile(r'\bdev (\S+)')


@dataclasses.dataclass
class Network:
    """Makes and removes it.  Every call may be repeated, also by another process than the one
    before.
    """

    commands: Commands
    #: file that keeps the machine's own setting of forwarding until it is restored
    kept: pathlib.Path

    @property
    def namespace(self) -> pathlib.Path:
        """Path of the namespace, for nsenter."""
        return pathlib.Path('/run/netns') / NAME

    def make(self) -> None:
        """Make it.

        :raises errors.LabError: the machine has no route to anywhere, or a program failed.
        """
        outside, inside = (f'{address}' for address in _LINK.hosts())
        device = self._default_device()
        mtu = pathlib.Path(f'/sys/class/net/{device}/mtu').read_text().strip()
        run = self.commands.run
        run(['ip', 'netns', 'add', NAME])
        run(
            [
                'ip',
                'link',
                'add',
                _OUTSIDE,
                'mtu',
                mtu,
                'type',
                'veth',
                'peer',
                'name',
                _INSIDE,
                'mtu',
                mtu,
                'netns',
                NAME,
            ]
        )
        run(['ip', 'addr', 'add', f'{outside}/{_LINK.prefixlen}', 'dev', _OUTSIDE])
        run(['ip', 'link', 'set', _OUTSIDE, 'up'])
        run(['ip', '-n', NAME, 'addr', 'add', f'{inside}/{_LINK.prefixlen}', 'dev', _INSIDE])
        for name in ('lo', _INSIDE):
            run(['ip', '-n', NAME, 'link', 'set', name, 'up'])
        run(['ip', '-n', NAME, 'route', 'add', 'default', 'via', outside])
        run(['nft', '--file', '-'], input_text=_rules(device))
        self.kept.write_text(_FORWARDING.read_text())
        _FORWARDING.write_text('1')

    def remove(self) -> None:
        """Remove what is there of it, and restore the machine's setting of forwarding."""
        if self.kept.exists():
            _FORWARDING.write_text(self.kept.read_text())
            self.kept.unlink()
        for argv in (
            ['nft', 'delete', 'table', 'ip', NAME],
            ['ip', 'link', 'delete', _OUTSIDE],
            ['ip', 'netns', 'delete', NAME],
        ):
            self.commands.run(argv, check=False)  # what is not there is no error

    def _default_device(self) -> str:
        route = self.commands.run(['ip', '-4', 'route', 'show', 'default']).output
        found = _DEVICE.search(route)
        if not found:
            raise errors.LabError(
                'The bare machine cannot reach package registries: this machine has no default '
                'route. Add one.',
                code='lab_machine_lacks',
            )
        return found.group(1)


def _rules(device: str) -> str:
    return f"""table ip {NAME} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr {_LINK} oifname "{device}" masquerade
    }}
}}
"""
