# SPDX-License-Identifier: Apache-2.0
"""Packet filters whose programs refuse; what real ones do is tested on a real server."""

from trove_upgrade.guestagent.machine.commands import Completed
from trove_upgrade.guestagent.machine.packet_filter import Either, FilterError, Iptables
from trove_upgrade.tests.unit import base


class Programs:
    """`Commands` with iptables as far as chains and their hooks go; `refused` fails."""

    def __init__(self, refused=()):
        self.refused = refused
        self.has_nft = False
        self.rules = {'iptables': [], 'ip6tables': []}
        self.chains = {'iptables': set(), 'ip6tables': set()}

    def run(self, argv, timeout_seconds=60):
        program, words = argv[0], argv[3:]
        if program == 'nft' and self.has_nft:
            return Completed(0, '', '')
        if argv[1:] == ['--version'] and program != 'nft':
            return Completed(0, 'v1', '')
        if program == 'nft':
            return Completed(127, '', 'nft: command not found')
        if (program, words[0]) in self.refused:
            return Completed(4, '', f'{program}: no')
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


class TestIptables(base.TestCase):
    def test_a_family_that_refuses_a_rule_leaves_none_of_either(self):
        for word in ('-N', '-A', '-I'):
            programs = Programs(refused=[('ip6tables', word)])
            self.assertRaises(FilterError, Iptables(programs).close, 'abc', [3306], 101)
            self.assertEqual(({'iptables': [], 'ip6tables': []}), programs.rules)
            self.assertEqual(({'iptables': set(), 'ip6tables': set()}), programs.chains)

    def test_opening_twice_is_opening_once(self):
        programs = Programs()
        filter_ = Either(programs)
        filter_.close('abc', [3306], 101)
        self.assertEqual(4, len(programs.rules['iptables']))
        filter_.open()
        filter_.open()
        self.assertEqual({'iptables': [], 'ip6tables': []}, programs.rules)

    def test_rules_of_one_are_lifted_where_the_other_was_installed_since(self):
        programs = Programs()
        filter_ = Either(programs)
        filter_.close('abc', [3306], 101)
        programs.has_nft = True
        filter_.open()
        self.assertEqual({'iptables': [], 'ip6tables': []}, programs.rules)

    def test_each_rule_that_is_missing_or_added_counts_as_not_closed(self):
        programs = Programs()
        filter_ = Iptables(programs)
        filter_.close('abc', [3306, 3307], 101)
        self.assertTrue(filter_.is_closed('abc'))
        self.assertFalse(filter_.is_closed('abd'))
        whole = list(programs.rules['ip6tables'])
        for index in range(len(whole)):
            programs.rules['ip6tables'] = whole[:index] + whole[index + 1 :]
            self.assertFalse(filter_.is_closed('abc'), whole[index])
        programs.rules['ip6tables'] = ['-A trove_upgrade_closed_INPUT -j ACCEPT', *whole]
        self.assertFalse(filter_.is_closed('abc'))

    def test_a_rule_that_others_have_put_before_counts_as_not_closed(self):
        programs = Programs()
        filter_ = Iptables(programs)
        filter_.close('abc', [3306], 101)
        programs.rules['iptables'].insert(0, '-A INPUT -j ACCEPT')
        self.assertFalse(filter_.is_closed('abc'))
