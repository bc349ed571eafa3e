# SPDX-License-Identifier: Apache-2.0
"""Programs of packet filters, and the rules of a kernel that they share."""

import enum
import re

from trove_upgrade.guestagent.machine.commands import Completed
from trove_upgrade.guestagent.machine.packet_filter import TABLE

FAMILIES = ('iptables', 'ip6tables')


class State(enum.Enum):
    """A program of the guest."""

    WORKS = 'it works'
    ABSENT = 'it is not installed'
    REFUSES = 'every call but for its version fails'


class Programs:
    """`Commands` with nft, iptables and ip6tables as far as our rules go.  `states` has programs
    that do not work, `refused` single calls that fail, each by its first word.
    """

    def __init__(self, refused=(), **states):
        self.refused = set(refused)
        self.states = states
        self.table = None  #: the token of nft's table
        self.rules = {family: [] for family in FAMILIES}
        self.chains = {family: set() for family in FAMILIES}

    def run(self, argv, timeout_seconds=60):
        program, words = argv[0], list(argv[1:])
        state = self.states.get(program, State.WORKS)
        if state is State.ABSENT:
            return Completed(127, '', f'{program}: command not found')
        if words == ['--version']:
            return Completed(0, 'v1', '')
        called = words[0].split()[0] if program == 'nft' else words[2]
        if state is State.REFUSES or (program, called) in self.refused:
            return Completed(3, '', f'{program}: Permission denied (you must be root)')
        return self._nft(words[0]) if program == 'nft' else self._iptables(program, words[2:])

    def _nft(self, text):
        if text.startswith('list'):
            if self.table is None:
                return Completed(1, '', 'No such file or directory')
            rule = f'drop comment "{self.table}"'
            chains = (f'chain {name} {{\n{rule}\n}}\n' for name in ('input', 'output'))
            return Completed(0, f'table inet {TABLE} {{\n{"".join(chains)}}}\n', '')
        made = re.search(r'comment "(\w+)"', text)
        self.table = made and made[1]
        return Completed(0, '', '')

    def _iptables(self, program, words):
        rules, chains = self.rules[program], self.chains[program]
        match words:
            case ['-N', name]:
                chains.add(name)
            case ['-A', name, *match]:
                assert name in chains
                rules.append(f'-A {name} {" ".join(match)}')
            case ['-F', name]:
                assert name in chains
                rules[:] = [rule for rule in rules if not rule.startswith(f'-A {name} ')]
            case ['-X', name]:
                chains.remove(name)
            case ['-I', hook, '1', '-j', name]:
                rules.insert(0, f'-A {hook} -j {name}')
            case ['-D', hook, '-j', name]:
                rules.remove(f'-A {hook} -j {name}')
        return Completed(0, '\n'.join((*(f'-N {name}' for name in chains), *rules)), '')

    def let_in(self):
        """Return the address families whose clients come through."""
        return [
            family
            for family in FAMILIES
            if self.table is None and not any('INPUT' in rule for rule in self.rules[family])
        ]
