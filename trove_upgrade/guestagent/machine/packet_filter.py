# SPDX-License-Identifier: Apache-2.0
"""The guest's own packet filter, as far as it keeps clients away from a database server.

Two rules, of which each would do: no packet comes to the server's ports, and its user takes no
connection of TCP, on whichever port.  The server's own connections go out: it may fetch a key by
one.  They hold for both address
families and for the guest's own programs.  The kernel forgets them at a boot.
"""

from collections.abc import Sequence
from typing import Protocol

from trove_upgrade.guestagent.machine.commands import Commands, Completed

TABLE = 'trove_upgrade_closed'
_SECONDS = 20
_NOT_FOUND = 127
#: Lines of a listed table that are no rules of it.  A list of flags is none of them.
_FRAME = ('table inet ', 'chain ', 'type filter hook ', '}')
_CHAINS = ('chain input {', 'chain output {')
#: The packets by which a server takes a connection; those of one that it makes itself differ.
_ANSWERS = ('--tcp-flags', 'SYN,ACK', 'SYN,ACK')


class FilterError(Exception):
    """Refusal of the packet filter: its program is missing, or the kernel does not take rules."""


class PacketFilter(Protocol):
    """Closes and opens the way to a server."""

    def close(self, token: str, ports: Sequence[int], user: int) -> None:
        """Keep every client away from `ports`, and from all that runs as `user`.

        `token`, of letters and digits, is of this closing alone: `is_closed` with it tells that the
        rules have been there ever since.

        :raises FilterError: it cannot be done; no rule is left.
        """

    def is_closed(self, token: str) -> bool:
        """Return whether the rules of that closing are all in force."""

    def open(self) -> None:
        """Lift the rules.  Safe to repeat.

        :raises FilterError: they may still be there.
        """


class Nftables:
    """`PacketFilter` with nft: one table, made and removed in one step."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def close(self, token: str, ports: Sequence[int], user: int) -> None:
        listed = ', '.join(str(port) for port in sorted(set(ports)))
        # the first line makes the table for the second, which would fail without one
        _done(
            self._nft(
                f'table inet {TABLE}\n'
                f'delete table inet {TABLE}\n'
                f'table inet {TABLE} {{\n'
                'chain input {\ntype filter hook input priority -10; policy accept;\n'
                f'tcp dport {{ {listed} }} drop comment "{token}"\n}}\n'
                'chain output {\ntype filter hook output priority -10; policy accept;\n'
                f'meta skuid {user} tcp flags & (syn | ack) == (syn | ack) '
                f'drop comment "{token}"\n}}\n'
                '}\n'
            )
        )

    def is_closed(self, token: str) -> bool:
        """Look that the table is as it was made: its two rules alone, and no flag, as one would
        let it sleep.
        """
        done = self._nft(f'list table inet {TABLE}')
        lines = [line.strip() for line in done.stdout.splitlines()]
        rules = [line for line in lines if line and not line.startswith(_FRAME)]
        return (
            done.returncode == 0
            and [line for line in lines if line.startswith('chain ')] == list(_CHAINS)
            and len(rules) == len(_CHAINS)
            and all(rule.endswith(f'drop comment "{token}"') for rule in rules)
        )

    def open(self) -> None:
        _done(self._nft(f'table inet {TABLE}\ndelete table inet {TABLE}\n'))

    def _nft(self, text: str) -> Completed:
        return self._commands.run(['nft', text], timeout_seconds=_SECONDS)


class Iptables:
    """`PacketFilter` with iptables and ip6tables: a chain of its own that is asked first."""

    _PROGRAMS = ('iptables', 'ip6tables')
    _HOOKS = ('INPUT', 'OUTPUT')

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def close(self, token: str, ports: Sequence[int], user: int) -> None:
        self.open()
        try:
            self._close(token, ports, user)
        except FilterError:
            self.open()
            raise

    def _close(self, token: str, ports: Sequence[int], user: int) -> None:
        matches = (
            *(('INPUT', ['--dport', str(port)]) for port in sorted(set(ports))),
            ('OUTPUT', [*_ANSWERS, '-m', 'owner', '--uid-owner', str(user)]),
        )
        for program in self._PROGRAMS:
            for hook in self._HOOKS:
                _done(self._run(program, '-N', f'{TABLE}_{hook}'))
            for number, (hook, match) in enumerate(matches, 1):
                comment = f'{token}-{number}-{len(matches)}'
                words = ('-p', 'tcp', *match, '-m', 'comment', '--comment', comment, '-j', 'DROP')
                _done(self._run(program, '-A', f'{TABLE}_{hook}', *words))
            for hook in self._HOOKS:
                _done(self._run(program, '-I', hook, '1', '-j', f'{TABLE}_{hook}'))

    def is_closed(self, token: str) -> bool:
        return all(self._is_closed(program, token) for program in self._PROGRAMS)

    def _is_closed(self, program: str, token: str) -> bool:
        """Look that the chains are asked before all others, and have each of our rules and no
        other one.
        """
        listed = self._run(program, '-S')
        rules = [line for line in listed.stdout.splitlines() if line.startswith('-A ')]
        for hook in self._HOOKS:
            first = next((rule for rule in rules if rule.startswith(f'-A {hook} ')), '')
            if first != f'-A {hook} -j {TABLE}_{hook}':
                return False
        ours = [rule for rule in rules if rule.startswith(f'-A {TABLE}_')]
        expected = [f'{token}-{number}-{len(ours)}' for number in range(1, len(ours) + 1)]
        found = [_comment(rule) for rule in ours if rule.endswith(' -j DROP')]
        return listed.returncode == 0 and bool(ours) and sorted(found) == sorted(expected)

    def open(self) -> None:
        for program in self._PROGRAMS:
            if is_installed(self._commands, program):
                for hook in self._HOOKS:
                    self._remove(program, hook)

    def _remove(self, program: str, hook: str) -> None:
        listed = _done(self._run(program, '-S'))
        chain = f'{TABLE}_{hook}'
        for line in listed.stdout.splitlines():
            if line == f'-A {hook} -j {chain}':
                _done(self._run(program, '-D', hook, '-j', chain))
        if f'-N {chain}' in listed.stdout.splitlines():
            _done(self._run(program, '-F', chain))
            _done(self._run(program, '-X', chain))

    def _run(self, program: str, *words: str) -> Completed:
        return self._commands.run([program, '-w', '5', *words], timeout_seconds=_SECONDS)


class Either:
    """`PacketFilter` of a guest: nft where it is installed, else iptables."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._nft, self._iptables = Nftables(commands), Iptables(commands)

    def _found(self) -> Nftables | Iptables:
        """Look anew each time: a customer's script may install one."""
        version = self._commands.run(['nft', '--version'], timeout_seconds=_SECONDS)
        return self._nft if version.returncode == 0 else self._iptables

    def close(self, token: str, ports: Sequence[int], user: int) -> None:
        self._found().close(token, ports, user)

    def is_closed(self, token: str) -> bool:
        return self._found().is_closed(token)

    def open(self) -> None:
        """Lift the rules of both: one may have been installed since."""
        if is_installed(self._commands, 'nft'):
            self._nft.open()
        self._iptables.open()


def _comment(rule: str) -> str:
    return rule.partition(' --comment ')[2].partition(' ')[0].strip('"')


def is_installed(commands: Commands, program: str) -> bool:
    """Return whether the guest has the program: one that it lacks has left no rule."""
    found = commands.run([program, '--version'], timeout_seconds=_SECONDS)
    return found.returncode != _NOT_FOUND


def _done(completed: Completed) -> Completed:
    """Return what has succeeded.

    :raises FilterError: it has not.
    """
    if completed.returncode != 0:
        found = completed.said or f'the packet filter ended with code {completed.returncode}'
        raise FilterError(found)
    return completed
