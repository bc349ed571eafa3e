# SPDX-License-Identifier: Apache-2.0
"""Packet filters whose programs refuse; what real ones do is tested on a real server."""

from trove_upgrade.guestagent.machine.packet_filter import (
    Either,
    FilterError,
    Iptables,
    Kind,
)
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.packet_programs import FAMILIES, Programs, State


class TestIptables(base.TestCase):
    def test_a_family_that_refuses_a_rule_leaves_none_of_either(self):
        for word in ('-N', '-A', '-I'):
            programs = Programs(refused=[('ip6tables', word)])
            self.assertRaises(FilterError, Iptables(programs).close, 'abc', [3306], 101)
            self.assertEqual(({'iptables': [], 'ip6tables': []}), programs.rules)
            self.assertEqual(({'iptables': set(), 'ip6tables': set()}), programs.chains)

    def test_opening_twice_is_opening_once(self):
        programs = Programs(nft=State.ABSENT)
        filter_ = Either(programs)
        filter_.close('abc', [3306], 101)
        self.assertEqual(4, len(programs.rules['iptables']))
        filter_.open()
        filter_.open()
        self.assertEqual({'iptables': [], 'ip6tables': []}, programs.rules)

    def test_rules_of_one_are_lifted_where_the_other_was_installed_since(self):
        programs = Programs(nft=State.ABSENT)
        filter_ = Either(programs)
        filter_.close('abc', [3306], 101)
        programs.states['nft'] = State.WORKS
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

    def test_a_rule_of_others_before_ours_that_lets_nothing_through_takes_nothing_away(self):
        for rule, is_closed in (
            ('-j DROP', True),
            ('-p tcp -j REJECT --reject-with tcp-reset', True),
            ('-j LOG --log-prefix "a b "', True),
            ('-p tcp', True),
            ('-j ACCEPT', False),
            ('-j their_chain', False),
            ('-g their_chain', False),
            ('-m comment --comment "x -j DROP" -j ACCEPT', False),
            ('-m comment --comment "-j" -j ACCEPT', False),
            ('-m comment --comment "open', False),
        ):
            programs = Programs()
            filter_ = Iptables(programs)
            filter_.close('abc', [3306], 101)
            programs.rules['ip6tables'].insert(0, f'-A INPUT {rule}')
            self.assertEqual(is_closed, filter_.is_closed('abc'), rule)


class TestEither(base.TestCase):
    def test_one_that_has_made_the_rules_must_lift_them_and_the_other_one_may_fail(self):
        for made_by, broken in (
            (Kind.NFT, FAMILIES),
            (Kind.NFT, ('ip6tables',)),
            (Kind.IPTABLES, ('nft',)),
        ):
            programs = Programs(nft=State.WORKS if made_by is Kind.NFT else State.ABSENT)
            filter_ = Either(programs)
            self.assertEqual(made_by, filter_.close('abc', [3306], 101))
            programs.states.update(dict.fromkeys(broken, State.REFUSES))
            self.assertTrue(filter_.is_closed('abc', [made_by]))
            filter_.open([made_by])
            self.assertEqual(list(FAMILIES), programs.let_in())

    def test_where_the_one_that_made_them_fails_they_may_still_be_there(self):
        programs = Programs()
        filter_ = Either(programs)
        made_by = filter_.close('abc', [3306], 101)
        programs.states['nft'] = State.REFUSES
        self.assertRaises(FilterError, filter_.open, [made_by])

    def test_rules_that_are_shown_and_stay_are_told_by_either_program(self):
        programs = Programs(nft=State.ABSENT)
        filter_ = Either(programs)
        filter_.close('abc', [3306], 101)
        programs.refused.add(('ip6tables', '-X'))
        self.assertRaises(FilterError, filter_.open)
        self.assertRaises(FilterError, filter_.open, [Kind.NFT])

    def test_a_family_that_cannot_be_opened_does_not_keep_the_other_one_closed(self):
        programs = Programs(nft=State.ABSENT)
        filter_ = Either(programs)
        made_by = filter_.close('abc', [3306], 101)
        programs.refused.add(('iptables', '-D'))
        self.assertRaises(FilterError, filter_.open, [made_by])
        self.assertEqual(['ip6tables'], programs.let_in())

    def test_rules_that_could_not_be_undone_are_found_by_the_opening_alone(self):
        programs = Programs(nft=State.ABSENT, refused=[('ip6tables', '-I'), ('iptables', '-X')])
        self.assertRaises(FilterError, Either(programs).close, 'abc', [3306], 101)
        self.assertRaises(FilterError, Either(programs).open)
        programs = Programs(nft=State.ABSENT, ip6tables=State.REFUSES)
        self.assertRaises(FilterError, Either(programs).close, 'abc', [3306], 101)
        Either(programs).open()
        self.assertEqual(list(FAMILIES), programs.let_in())

    def test_rules_of_no_record_are_lifted_and_no_program_need_be_there(self):
        for nft in State:
            programs = Programs(nft=State.ABSENT)
            Either(programs).close('abc', [3306], 101)
            programs.states['nft'] = nft
            Either(programs).lift_left()
            self.assertEqual(list(FAMILIES), programs.let_in())
        Either(Programs(**dict.fromkeys(('nft', *FAMILIES), State.ABSENT))).lift_left()
