# SPDX-License-Identifier: Apache-2.0
"""Who is next in a run: within the limits, in waves, and not after too many failures."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain.pace import (
    CANARY,
    Hosts,
    Limits,
    Pace,
    Standing,
    Stop,
    StopRule,
    Wait,
    deal,
    has_room,
    stop_of,
    turn,
)
from trove_upgrade.tests import base

NODES = st.sampled_from([None, 'node-1', 'node-2'])
HYPERVISORS = st.sampled_from([None, 'h-1', 'h-2', 'h-3'])
HOSTS = st.builds(Hosts, node=NODES, hypervisor=HYPERVISORS)
LIMITS = st.builds(
    Limits,
    at_once=st.integers(1, 5),
    per_node=st.integers(1, 4),
    per_hypervisor=st.integers(1, 3),
)
PACES = st.builds(
    Pace,
    limits=LIMITS,
    canary=st.integers(0, 3),
    wave_size=st.integers(0, 5),
    stop=st.builds(StopRule, count=st.integers(0, 4), percent=st.integers(0, 100)),
)


def standing(instance_id, wave=1, **more):
    return Standing(instance_id=instance_id, wave=wave, **more)


def one_wave(**limits):
    return Pace(limits=Limits(**limits), canary=0, stop=StopRule(count=100))


class Fleet:
    """Members of a run, as a claim, an end and a kill change them."""

    def __init__(self, hosts, pace):
        self.pace = pace
        waves = deal([one.node for one in hosts], pace)
        self.members = {
            f'i{number:03}': standing(f'i{number:03}', wave, hosts=one)
            for number, (one, wave) in enumerate(zip(hosts, waves, strict=True))
        }

    def turn(self, accepted=0):
        return turn(self.members.values(), self.pace, accepted)

    def change(self, instance_id, **changes):
        old = self.members[instance_id]
        self.members[instance_id] = Standing(**{**vars(old), **changes})

    def claim(self, instance_id):
        tries = self.members[instance_id].tries + 1
        self.change(instance_id, is_held=True, is_begun=True, tries=tries)

    def held(self):
        return [one for one in self.members.values() if one.is_held]


class TestLaws(base.TestCase):
    @given(hosts=st.lists(HOSTS, max_size=12), pace=PACES, data=st.data())
    def test_no_limit_is_exceeded_no_wave_overtaken_and_each_member_comes_to_its_end(
        self, hosts, pace, data
    ):
        fleet, accepted = Fleet(hosts, pace), 0
        for _ in range(len(hosts) * 8):
            found = fleet.turn(accepted)
            held = fleet.held()
            actions = [
                *(['claim'] if found.takeable else []),
                *(['end', 'fail', 'leave'] if held else []),
                *(['accept'] if found.stop and not held else []),
            ]
            if not actions:
                break
            match data.draw(st.sampled_from(actions)):
                case 'claim':
                    fleet.claim(found.takeable[0])
                case 'end':
                    fleet.change(held[0].instance_id, is_held=False, is_ended=True)
                case 'fail':
                    fleet.change(held[0].instance_id, is_held=False, is_ended=True, has_failed=True)
                case 'leave':  # its process was killed, or a service is away
                    is_upgrading = data.draw(st.booleans())
                    fleet.change(held[0].instance_id, is_held=False, is_upgrading=is_upgrading)
                case 'accept':
                    accepted = sum(one.has_failed for one in fleet.members.values())
            self.is_within(fleet)
        else:
            return  # it went on to the end of the test's patience
        self.assertTrue(all(one.is_ended for one in fleet.members.values()), fleet.members)

    def is_within(self, fleet):
        limits = fleet.pace.limits
        held = [one for one in fleet.members.values() if one.is_load]
        self.assertLessEqual(len(held), limits.at_once)
        nodes = Counter(one.hosts.node for one in held if one.hosts.node)
        hypervisors = Counter(one.hosts.hypervisor for one in held if one.hosts.hypervisor)
        self.assertLessEqual(max(nodes.values(), default=0), limits.per_node)
        self.assertLessEqual(max(hypervisors.values(), default=0), limits.per_hypervisor)
        begun = [one.wave for one in fleet.members.values() if one.is_begun]
        for one in fleet.members.values():
            if not one.is_begun and not one.is_ended:
                self.assertGreaterEqual(one.wave, max(begun, default=0), 'a wave was overtaken')

    @given(kinds=st.lists(st.integers(0, 4)), canary=st.integers(0, 6), wave_size=st.integers(0, 7))
    def test_a_canary_has_its_size_and_as_many_kinds_as_it_can(self, kinds, canary, wave_size):
        waves = deal(kinds, Pace(canary=canary, wave_size=wave_size))
        counted = Counter(waves)
        self.assertEqual(min(canary, len(kinds)), counted[CANARY])
        of_canary = {kind for kind, wave in zip(kinds, waves, strict=True) if wave == CANARY}
        self.assertEqual(min(canary, len(set(kinds))), len(of_canary))
        rest = [count for wave, count in sorted(counted.items()) if wave != CANARY]
        if wave_size:
            self.assertTrue(all(count == wave_size for count in rest[:-1]), rest)
        else:
            self.assertLessEqual(len(rest), 1)


class TestTurn(base.TestCase):
    def waits(self, members, pace, accepted=0):
        return turn(members, pace, accepted).waits

    def test_what_is_full_is_named(self):
        busy = standing('busy', is_held=True, tries=1, hosts=Hosts(node='n', hypervisor='h'))
        there = standing('there', hosts=Hosts(node='n', hypervisor='h'))
        for limits, wait in (
            ({'at_once': 1}, Wait.AT_ONCE),
            ({'per_node': 1}, Wait.NODE),
            ({'per_hypervisor': 1}, Wait.HYPERVISOR),
            ({'per_hypervisor': 2}, Wait.TURN),
        ):
            self.assertEqual({'there': wait}, self.waits([busy, there], one_wave(**limits)))

    def test_hosts_that_are_not_known_are_limited_by_the_number_alone(self):
        busy = standing('busy', is_held=True, tries=1)
        pace = one_wave(per_node=1, per_hypervisor=1)
        self.assertEqual({'next': Wait.TURN}, self.waits([busy, standing('next')], pace))

    def test_a_wave_waits_for_the_one_before_also_where_its_host_was_killed(self):
        pace = Pace(canary=1)
        for canary in (
            standing('c', CANARY, is_held=True, is_begun=True, tries=1),
            standing('c', CANARY, is_begun=True, tries=1),
            standing('c', CANARY),
        ):
            self.assertEqual(Wait.WAVE, self.waits([canary, standing('n')], pace)['n'])
        ended = standing('c', CANARY, is_ended=True, tries=1)
        self.assertEqual({'n': Wait.TURN}, self.waits([ended, standing('n')], pace))

    def test_one_that_cannot_be_turned_back_now_does_not_hold_up_the_others(self):
        stuck = standing('stuck', tries=1, is_begun=True, is_undoing=True, has_failed=True)
        found = turn([stuck, standing('n', 2)], one_wave())
        self.assertEqual(('stuck', 'n'), found.takeable)

    def test_an_upgrade_that_no_host_looks_at_loads_its_hypervisor_and_comes_first(self):
        there = Hosts(hypervisor='h')
        alone = standing('z-alone', tries=5, is_begun=True, is_upgrading=True, hosts=there)
        members = [standing('new', hosts=there), standing('left', tries=1), alone]
        found = turn(members, one_wave(per_hypervisor=1))
        self.assertEqual(('z-alone', 'left'), found.takeable)
        self.assertEqual(Wait.HYPERVISOR, found.waits['new'])

    def test_one_that_was_left_comes_first_and_one_that_was_left_again_last(self):
        members = [standing('new'), standing('left', tries=1), standing('again', tries=2)]
        self.assertEqual(('left', 'new', 'again'), turn(members, one_wave()).takeable)


class TestStop(base.TestCase):
    def failed(self, count, wave=1):
        return [
            standing(f'f{wave}-{number}', wave, tries=1, is_ended=True, has_failed=True)
            for number in range(count)
        ]

    def others(self, count):
        return [standing(f'o{number}') for number in range(count)]

    def test_the_greater_of_count_and_percentage_is_allowed(self):
        for rule, members, allowed in (
            (StopRule(count=2, percent=5), 10, 2),
            (StopRule(count=2, percent=5), 100, 5),
            (StopRule(count=0, percent=0), 100, 0),
            (StopRule(count=0, percent=5), 19, 0),
        ):
            self.assertEqual(allowed, rule.allowed(members))

    def test_one_more_than_that_stops_the_run_and_what_was_begun_goes_on(self):
        pace = Pace(canary=0, stop=StopRule(count=2, percent=0))
        self.assertIsNone(stop_of([*self.failed(2), *self.others(3)], pace, 0))
        begun = standing('begun', tries=1, is_begun=True)
        found = turn([*self.failed(3), *self.others(1), begun], pace)
        self.assertEqual(
            (Stop.TOO_MANY_FAILED, ('begun',), Wait.STOPPED),
            (found.stop, found.takeable, found.waits['o0']),
        )

    def test_one_that_a_host_has_taken_and_not_touched_is_not_begun(self):
        pace = Pace(canary=0, stop=StopRule(count=0, percent=0))
        found = turn([*self.failed(1), standing('untouched', tries=3)], pace)
        self.assertEqual(((), {'untouched': Wait.STOPPED}), (found.takeable, dict(found.waits)))

    def test_a_canary_that_fails_stops_the_run_whatever_the_rule_allows(self):
        pace = Pace(canary=1, stop=StopRule(count=10))
        members = [*self.failed(1, CANARY), *self.others(9)]
        self.assertEqual(Stop.CANARY_FAILED, turn(members, pace).stop)

    def test_why_it_has_stopped_is_told_in_words(self):
        rule = StopRule(count=2, percent=0)
        pace = Pace(canary=1, stop=rule)
        for members, told in (
            ([*self.failed(2), *self.others(3)], None),
            ([*self.failed(3), *self.others(3)], '3 of 6 have failed, and it goes on with 2'),
            ([*self.failed(1, CANARY), *self.others(3)], 'one of its canary has failed'),
        ):
            self.assertEqual(told, turn(members, pace).stop_told(rule))

    def test_failures_that_an_operator_has_seen_count_no_more(self):
        pace = Pace(canary=1, stop=StopRule(count=1, percent=0))
        members = [*self.failed(1, CANARY), *self.others(9)]
        self.assertIsNone(turn(members, pace, accepted=1).stop)
        members += self.failed(1)
        self.assertIsNone(turn(members, pace, accepted=1).stop)
        members += self.failed(2, 2)
        self.assertEqual(Stop.TOO_MANY_FAILED, turn(members, pace, accepted=1).stop)

    def test_room_at_hosts_is_told_beside_the_others(self):
        hosts = Hosts(node='n')
        self.assertIs(Wait.NODE, has_room(hosts, [hosts], Limits(per_node=1)))
        self.assertIsNone(has_room(hosts, [Hosts(node='m')], Limits(per_node=1)))
