# SPDX-License-Identifier: Apache-2.0
"""The guest's own packet filter, as far as it keeps clients away from a database server.

Two rules, of which each would do: no packet comes to the server's ports, and its user takes no
connection of TCP, on whichever port.  The server's own connections go out: it may fetch a key by
one.  They hold for both address families and for the guest's own programs.  The kernel forgets them
at a boot.

A program that is installed may be of no use: `iptables-legacy` wants a capability that the agent's
unit does not have, and a kernel may lack a part.  Such a program has made no rule.
"""

import enum
import itertools
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine.commands import Commands, Completed

LOG = logs.get_logger(__name__)
TABLE = 'trove_upgrade_closed'
_SECONDS = 20
_OUT_OF_TIME, _NOT_FOUND = 124, 127
#: Lines of a listed table that are no rules of it.  A list of flags is none of them.
_FRAME = ('table inet ', 'chain ', 'type filter hook ', '}')
_CHAINS = ('chain input {', 'chain output {')
#: The packets by which a server takes a connection; those of one that it makes itself differ.
_ANSWERS = ('--tcp-flags', 'SYN,ACK', 'SYN,ACK')
#: Rules of others with these may stand before ours in iptables: they let nothing through.
_HARMLESS = frozenset({'DROP', 'REJECT', 'LOG', 'NFLOG'})


class Kind(enum.StrEnum):
    """A packet filter, by its program; the record of a closed server has it."""

    NFT = 'nft'
    IPTABLES = 'iptables'


class FilterError(Exception):
    """Refusal of the packet filter: its program is missing, or the kernel does not take rules."""


class PacketFilter(Protocol):
    """Closes and opens the way to a server."""

    def close(self, token: str, ports: Sequence[int], user: int) -> Kind:
        """Keep every client away from `ports`, and from all that runs as `user`; return which
        filter does.

        `token`, of letters and digits, is of this closing alone: `is_closed` with it tells that the
        rules have been there ever since.

        :raises FilterError: it cannot be done; a rule is left only where the program does not
            remove it either, so that `open` is to be called.
        """

    def is_closed(self, token: str, made_by: Collection[str] = ()) -> bool:
        """Return whether the rules of that closing are all in force; `made_by`: as `open` has
        it.
        """

    def open(self, made_by: Collection[str] = ()) -> None:
        """Lift the rules.  Safe to repeat.

        `made_by`: the filters that have made them, none where that is not known.  These must do it;
        another one may fail, unless it shows rules of ours.

        :raises FilterError: they may still be there.
        """

    def lift_left(self) -> None:
        """Lift rules that no record knows of; a guest that saves its rules brings them back.

        :raises FilterError: they are there, and stay.
        """


class Nftables:
    """Packet filter with nft: one table, made and removed in one step."""

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
        """Remove the table.

        :raises FilterError: it may be there.
        """
        _done(self._nft(f'table inet {TABLE}\ndelete table inet {TABLE}\n'))

    def is_left(self) -> bool:
        """Return whether the table is there; True where nft does not answer in time."""
        return self._nft(f'list table inet {TABLE}').returncode in (0, _OUT_OF_TIME)

    def _nft(self, text: str) -> Completed:
        return self._commands.run(['nft', text], timeout_seconds=_SECONDS)


class Iptables:
    """Packet filter with iptables and ip6tables: a chain of its own that is asked first."""

    _PROGRAMS = ('iptables', 'ip6tables')
    _HOOKS = ('INPUT', 'OUTPUT')

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def close(self, token: str, ports: Sequence[int], user: int) -> None:
        self.open()
        try:
            for program in self._PROGRAMS:
                self._close(program, token, ports, user)
        except FilterError:
            for program in self._PROGRAMS:
                self._lift(program)  # the caller's `open` finds what stays
            raise

    def _close(self, program: str, token: str, ports: Sequence[int], user: int) -> None:
        matches = (
            *(('INPUT', ['--dport', str(port)]) for port in sorted(set(ports))),
            ('OUTPUT', [*_ANSWERS, '-m', 'owner', '--uid-owner', str(user)]),
        )
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
        """Look that nothing that could let packets through is asked before our chains, and that
        they have each of our rules and no other one.
        """
        listed = self._run(program, '-S')
        rules = [line for line in listed.stdout.splitlines() if line.startswith('-A ')]
        for hook in self._HOOKS:
            asked = [rule for rule in rules if rule.startswith(f'-A {hook} ')]
            jump = f'-A {hook} -j {TABLE}_{hook}'
            if jump not in asked or not all(map(_is_harmless, asked[: asked.index(jump)])):
                return False
        ours = [rule for rule in rules if rule.startswith(f'-A {TABLE}_')]
        expected = [f'{token}-{number}-{len(ours)}' for number in range(1, len(ours) + 1)]
        found = [_comment(rule) for rule in ours if rule.endswith(' -j DROP')]
        return listed.returncode == 0 and bool(ours) and sorted(found) == sorted(expected)

    def open(self) -> None:
        """Remove chains and jumps of both families; of one where the other cannot.

        :raises FilterError: some may be there.
        """
        for error in [self._lift(program) for program in self._PROGRAMS]:
            if error is not None:
                raise error

    def is_left(self) -> bool:
        """Return whether a family shows a chain of ours."""
        return any(f'-N {TABLE}_' in self._run(name, '-S').stdout for name in self._PROGRAMS)

    def _lift(self, program: str) -> FilterError | None:
        """Remove chains and jumps of one family, or return why that cannot be done."""
        try:
            for hook in self._HOOKS:
                self._remove(program, hook)
        except FilterError as error:
            return error
        return None

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
        self._filters: Mapping[Kind, Nftables | Iptables] = {
            Kind.NFT: Nftables(commands),
            Kind.IPTABLES: Iptables(commands),
        }

    def close(self, token: str, ports: Sequence[int], user: int) -> Kind:
        # looked for anew each time: a customer's script may install one
        version = self._commands.run(['nft', '--version'], timeout_seconds=_SECONDS)
        kind = Kind.NFT if version.returncode == 0 else Kind.IPTABLES
        self._filters[kind].close(token, ports, user)
        return kind

    def is_closed(self, token: str, made_by: Collection[str] = ()) -> bool:
        return any(
            filter_.is_closed(token)
            for kind, filter_ in self._filters.items()
            if not made_by or kind in made_by
        )

    def open(self, made_by: Collection[str] = ()) -> None:
        """Ask both: one may have been installed since."""
        refused = []
        for kind, filter_ in self._filters.items():
            try:
                filter_.open()
            except FilterError as error:
                if kind in made_by or filter_.is_left():
                    refused.append(error)
                elif is_installed(self._commands, kind):
                    LOG.info('%s has made no rules, and cannot be used: %s', kind, error)
        if refused:
            raise refused[0]

    def lift_left(self) -> None:
        for kind, filter_ in self._filters.items():
            if filter_.is_left():
                LOG.warning('%s has rules of a closed database that no record tells of', kind)
                filter_.open()


def _comment(rule: str) -> str:
    return rule.partition(' --comment ')[2].partition(' ')[0].strip('"')


def _is_harmless(rule: str) -> bool:
    """Return whether a listed rule of others lets nothing through that ours would stop."""
    try:
        words = shlex.split(rule)
    except ValueError:
        return False
    targets = [after for word, after in itertools.pairwise(words) if word in {'-j', '-g'}]
    return len(targets) <= 1 and _HARMLESS.issuperset(targets)


def is_installed(commands: Commands, program: str) -> bool:
    """Return whether the guest has the program."""
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
