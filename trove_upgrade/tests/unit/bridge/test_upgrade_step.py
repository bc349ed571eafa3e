# SPDX-License-Identifier: Apache-2.0
"""A member is handed to one upgrade, whatever dies meanwhile, and its end is the upgrade's."""

from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.steps.step import Stopped
from trove_upgrade.bridge.steps.upgrade import (
    UpgradeMember,
    UpgradeNotBegun,
    UpgradeNotCompleted,
)
from trove_upgrade.bridge.steps.verify import NotVerified, Verify
from trove_upgrade.bridge.visit import Visit
from trove_upgrade.domain import network, states
from trove_upgrade.domain.bridge_ends import OtherUpgrade, UpgradeAborted, UpgradeHeld
from trove_upgrade.domain.bridge_runs import MemberFacts, Nic, NoRoom
from trove_upgrade.domain.database_service import DatabaseServiceRefused
from trove_upgrade.domain.holds import NO_CHOICES, Choices
from trove_upgrade.domain.pace import Hosts
from trove_upgrade.domain.verified import Outcome, Verified
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.neutron import Dead, FakeNeutron, FakeNova
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.bridge.test_prove import a_member
from trove_upgrade.tests.unit.bridge.trove import an_instance
from trove_upgrade.tests.unit.domain.test_upgrades import row as a_row

TARGET = 'version-2'
U = states.UpgradeState


class Service:
    """The API and the tables behind it: an upgrade that is asked for is there."""

    def __init__(self):
        self.rows = []
        self.asked = []
        self.states = [U.RUNNING, U.COMPLETED]  #: of each look; the last one stays
        self.loses_answer = False
        self.refusal = None
        self.is_ours = True
        self.error_code = None

    def instance(self, instance_id):
        return an_instance(id=instance_id)

    def upgrade(self, instance_id, version_id):
        self.asked.append((instance_id, version_id))
        if self.refusal is not None:
            raise self.refusal
        if self.is_ours:
            self.begin(version_id)
        if self.loses_answer:
            raise Dead

    def begin(self, version_id, upgrade_id=None):
        found = upgrade_id or f'upgrade-{len(self.rows) + 1}'
        self.rows.append(a_row(id=found, target_version_id=version_id, cause='why'))

    def latest_of(self, instance_id):
        return self.rows[-1] if self.rows else None

    def get(self, upgrade_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        [found] = [row for row in self.rows if row.id == upgrade_id]
        return found.evolve(state=state, error_code=self.error_code)

    def sleep(self, seconds):
        """No time passes here."""


class TestUpgradeMember(base.TestCase):
    def setUp(self):
        super().setUp()
        self.service = Service()
        self.neutron = FakeNeutron(a_port('port-1', server_id='s', network_id='net-1'))
        self.nova = FakeNova(self.neutron)
        self.nova.hypervisor = 'h-7'
        self.told = []
        self.is_stopping = False
        self.is_full = False
        self.settled = []
        self.member = a_member().evolve(facts=MemberFacts(bundle='sha', target_version_id=TARGET))

    def save(self, member):
        self.member = member
        return member

    def step(self):
        return UpgradeMember(
            api=self.service,
            upgrades=self.service,
            server_ports=ServerPorts(self.nova, self.neutron),
            pause=self.service,
            tell=lambda member, message: self.told.append(message),
            is_stopping=lambda: self.is_stopping,
            settle_hosts=self.settle,
        )

    def settle(self, member, hosts):
        if self.is_full:
            raise NoRoom(instance_id=member.instance_id, run_id=member.run_id, found='full')
        self.settled.append(hosts)
        return member

    def run_it(self):
        return self.step().run(self.member, Visit(), self.save)

    def test_one_whose_hypervisor_is_full_is_not_asked_for(self):
        self.is_full = True
        self.assertRaises(NoRoom, self.run_it)
        self.assertEqual(([], None), (self.service.asked, self.member.facts.asked_after))

    def test_it_loads_its_hypervisor_and_no_node_any_more(self):
        self.run_it()
        self.assertEqual([Hosts(node=None, hypervisor='h-7')], self.settled)

    def test_it_is_asked_once_and_waited_for(self):
        done = self.run_it()
        self.assertEqual([('i', TARGET)], self.service.asked)
        self.assertEqual('upgrade-1', done.member.facts.upgrade_id)
        self.assertIn('COMPLETED', done.message)
        self.assertEqual(1, len(self.told))

    def test_what_the_nics_were_is_recorded_before_it_is_asked(self):
        self.service.refusal = network.NetworkUnavailable(what='x', found='away')
        self.assertRaises(network.NetworkUnavailable, self.run_it)
        [port] = self.neutron.ports.values()
        nic = Nic(port_id='port-1', security_groups=port.groups)
        self.assertEqual((nic,), self.member.facts.nics)
        self.assertEqual(
            {*port.addresses, *(one.address for one in an_instance().addresses)},
            set(self.member.facts.addresses),
        )
        self.assertTrue(self.member.facts.is_handed_over)

    def test_a_port_that_has_only_the_servers_id_is_none_of_its_nics(self):
        forged = a_port('forged', server_id='s', project_id='another', addresses=('10.66.0.7',))
        self.neutron.ports['forged'] = forged
        self.run_it()
        self.assertEqual(['port-1'], [nic.port_id for nic in self.member.facts.nics])
        self.assertNotIn('10.66.0.7', self.member.facts.addresses)

    def test_a_request_whose_answer_was_lost_is_not_sent_again(self):
        self.service.begin('version-1')
        self.service.loses_answer = True
        self.assertRaises(Dead, self.run_it)
        self.assertIsNone(self.member.facts.upgrade_id)
        done = self.run_it()
        self.assertEqual((1, 'upgrade-2'), (len(self.service.asked), done.member.facts.upgrade_id))

    def test_a_process_that_died_before_it_asked_asks(self):
        self.service.refusal = Dead()
        self.assertRaises(Dead, self.run_it)
        self.service.refusal = None
        self.assertEqual('upgrade-1', self.run_it().member.facts.upgrade_id)

    def test_one_that_is_known_is_waited_for_alone(self):
        self.service.begin(TARGET)
        self.member = self.member.learned(asked_after='', upgrade_id='upgrade-1')
        self.run_it()
        self.assertEqual([], self.service.asked)

    def test_each_other_end_fails_the_member_with_its_cause(self):
        for state in (U.FAILED, U.ABORTED, U.ROLLED_BACK):
            with self.subTest(state):
                self.member = self.member.learned(upgrade_id=None, asked_after=None)
                self.service.states = [state]
                error = self.assertRaises(UpgradeNotCompleted, self.run_it)
                self.assertIn(state, error.message)
                self.assertIn('why', error.message)

    def test_one_that_was_aborted_on_request_has_an_end_of_its_own(self):
        self.service.error_code = 'ABORTED_ON_REQUEST'
        self.service.states = [U.RUNNING, U.ABORTED]
        error = self.assertRaises(UpgradeAborted, self.run_it)
        self.assertIn('upgrade-1', error.message)

    def test_one_that_is_refused_as_another_is_held_has_an_end_of_its_own(self):
        words = 'its upgrade u-9 to version 11.8 is held. Let that one proceed, or abort it first.'
        self.service.refusal = DatabaseServiceRefused(
            what='it', status=422, found=words, error_code='UPGRADE_HELD'
        )
        error = self.assertRaises(UpgradeHeld, self.run_it)
        self.assertIn('u-9', error.message)

    def test_another_clients_upgrade_that_is_held_or_to_be_held_is_not_waited_for(self):
        """It came between our look at the tables and our request, and leads where ours would."""
        self.service.begin(TARGET)
        for state, choices in ((U.HELD, NO_CHOICES), (U.RUNNING, Choices(hold=True))):
            held = a_row(id='held', target_version_id=TARGET, state=state)
            held = held.evolve(progress=held.progress.evolve(choices=choices))
            self.service.rows[-1:] = [held]
            self.service.states = [state]
            for upgrade_id in (None, 'held'):
                self.member = self.member.learned(asked_after='', upgrade_id=upgrade_id)
                self.assertRaises(UpgradeHeld, self.run_it)

    def test_another_clients_upgrade_is_not_taken_for_ours(self):
        self.service.loses_answer = True
        self.service.is_ours = False
        self.assertRaises(Dead, self.run_it)
        self.service.begin('version-9')
        self.assertRaises(OtherUpgrade, self.run_it)

    def test_an_api_with_another_database_is_told(self):
        self.service.is_ours = False
        self.assertRaises(UpgradeNotBegun, self.run_it)

    def test_a_process_that_is_to_end_leaves_the_upgrade_alone(self):
        self.is_stopping = True
        self.assertRaises(Stopped, self.run_it)
        self.assertEqual('upgrade-1', self.member.facts.upgrade_id)

    def test_a_refusal_that_comes_of_an_earlier_request_of_ours_is_its_upgrade(self):
        """The first request got no answer, and was done late."""

        def refused(instance_id, version_id):
            self.service.begin(TARGET)
            raise DatabaseServiceRefused(what='it', status=422, found='busy')

        self.service.upgrade = refused
        self.assertEqual('upgrade-1', self.run_it().member.facts.upgrade_id)

    def test_a_refusal_is_the_end_where_none_has_begun(self):
        self.service.refusal = DatabaseServiceRefused(what='it', status=400, found='no')
        self.assertRaises(DatabaseServiceRefused, self.run_it)
        self.assertTrue(self.member.facts.may_have_begun)

    def test_one_that_is_turned_back_is_settled_by_what_has_begun(self):
        asked = self.member.learned(asked_after='')
        self.assertFalse(self.step().settle(asked).facts.is_handed_over)
        self.service.begin(TARGET)
        self.assertEqual('upgrade-1', self.step().settle(asked).facts.upgrade_id)

    def test_our_agent_is_left_to_a_held_upgrade_of_another_client(self):
        self.service.begin('version-9')
        self.service.rows[-1] = self.service.rows[-1].evolve(state=U.HELD)
        for asked_after in (None, 'upgrade-1'):  # by us before it was seen, or refused for it
            member = self.step().settle(self.member.learned(asked_after=asked_after))
            self.assertEqual('upgrade-1', member.facts.upgrade_id)
            self.assertTrue(member.facts.is_handed_over)

    def test_an_active_upgrade_of_another_client_is_found_where_none_was_asked_for(self):
        self.assertFalse(self.step().settle(self.member).facts.is_handed_over)
        self.service.begin('version-9')
        self.assertEqual('upgrade-1', self.step().settle(self.member).facts.upgrade_id)
        self.service.rows[0] = self.service.rows[0].evolve(state=U.COMPLETED)
        self.assertFalse(self.step().settle(self.member).facts.is_handed_over)


class TestVerify(base.TestCase):
    def setUp(self):
        super().setUp()
        self.found = []
        self.pauses = 0
        self.saved = []
        self.is_stopping = False
        self.member = a_member().learned(
            target_version_id=TARGET,
            upgrade_id='upgrade-1',
            addresses=('10.0.0.7',),
            nics=(Nic(port_id='port-1', security_groups=('group-1',)),),
        )

    def verify(self, expected, tell, record_user):
        self.expected = expected
        record_user('tu_check_1')
        for _ in range(self.pauses):
            tell('It is waited for.')
        return self.found

    def save(self, member):
        self.saved.append(member)
        return member

    def looks(self, *outcomes):
        self.found = [
            Verified(f'look {number}', outcome, f'message {number}')
            for number, outcome in enumerate(outcomes)
        ]
        step = Verify(verifier=self, is_stopping=lambda: self.is_stopping)
        return step.run(self.member, Visit(), self.save)

    def test_what_was_found_and_what_is_not_offered_are_told_apart(self):
        done = self.looks(Outcome.OK, Outcome.NOT_OFFERED)
        self.assertEqual('As it should be: look 0. Not offered here: look 1.', done.message)
        self.assertEqual(tuple(self.found), done.member.facts.verified)

    def test_it_is_compared_with_what_the_member_had_before_its_upgrade(self):
        self.looks()
        self.assertEqual(
            (TARGET, 'upgrade-1', ('10.0.0.7',), {'port-1': ('group-1',)}),
            (
                self.expected.version_id,
                self.expected.upgrade_id,
                self.expected.addresses,
                self.expected.groups,
            ),
        )

    def test_one_that_failed_fails_the_member_and_all_are_recorded(self):
        error = self.assertRaises(NotVerified, self.looks, Outcome.OK, Outcome.FAILED)
        self.assertIn('look 1: message 1', error.message)
        self.assertNotIn('message 0', error.message)
        self.assertEqual(2, len(self.saved[-1].facts.verified))

    def test_a_user_that_a_killed_check_has_left_is_known_to_the_next_one(self):
        self.looks()
        self.assertEqual('tu_check_1', self.saved[0].facts.check_user)
        self.member = self.saved[0]
        self.looks()
        self.assertEqual('tu_check_1', self.expected.left_user)

    def test_each_pause_keeps_the_member_and_lets_the_process_end(self):
        self.pauses = 2
        self.looks()
        self.assertEqual(4, len(self.saved))
        self.is_stopping = True
        self.assertRaises(Stopped, self.looks)
