# SPDX-License-Identifier: Apache-2.0
"""An upgraded instance is looked at as its owner would, and what differs is told."""

import dataclasses
import itertools

from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.verification.accounts import PREFIX
from trove_upgrade.bridge.verification.expected import Expected, addresses_of, groups_of
from trove_upgrade.bridge.verification.verifier import Verifier
from trove_upgrade.domain import database_service as domain
from trove_upgrade.domain import exceptions
from trove_upgrade.domain.network import NetworkPort, NetworkUnavailable
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.domain.verified import Outcome
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.neutron import FakeNeutron, FakeNova
from trove_upgrade.tests.unit.bridge.trove import FakeTrove, Time, an_instance
from trove_upgrade.tests.unit.bridge.upgrades import an_ended_upgrade

PORT = NetworkPort(
    id='port-1',
    network_id='net',
    project_id='p1',
    server_id='s1',
    mac_address='fa:16:3e:00:00:01',
    addresses=('10.0.0.7',),
    groups=('default', 'trove'),
    is_filtered=True,
    revision=1,
)
COMPARED = {'missing': [], 'rows_compared': 12, 'tables_compared': 3, 'digest': 'd'}
BACKUP = domain.ShownBackup(
    id='b1', name='nightly', status='COMPLETED', instance_id='i1', parent_id=None
)
NAMES = ['version', 'status', 'security groups', 'addresses', 'backups', 'user', 'rows']


class Interrupted(BaseException):
    """Ctrl-C, at a moment that a test chooses."""


class VerifierTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.trove = FakeTrove(an_instance())
        self.trove.kept_backups = [BACKUP]
        self.neutron = FakeNeutron(PORT)
        self.nova = FakeNova(self.neutron, project_id=PORT.project_id)
        self.time = Time()
        self.upgrade = an_ended_upgrade(fingerprint=COMPARED)
        self.told = []
        numbers = itertools.count(1)
        self.verifier = Verifier(
            service=self.trove,
            server_ports=ServerPorts(self.nova, self.neutron),
            upgrades=self,
            clock=self.time,
            pause=self.time,
            token=lambda count: f'{next(numbers):0{2 * count}d}'[::-1],
        )
        self.expected = Expected(
            instance_id='i1',
            server_id='s1',
            version_id='v2',
            addresses=addresses_of(an_instance(), [PORT]),
            groups=groups_of([PORT]),
            upgrade_id=self.upgrade.id,
        )

    def get(self, upgrade_id):
        if upgrade_id != self.upgrade.id:
            raise exceptions.UpgradeNotFound(upgrade_id=upgrade_id)
        return self.upgrade

    def verify(self):
        return self.verifier.verify(self.expected, self.told.append)

    def found(self):
        return {one.name: one for one in self.verify()}

    def failures(self):
        return [(one.name, one.message) for one in self.verify() if one.is_failure]

    def left_users(self):
        return [name for name in self.trove.names if name.startswith(PREFIX)]


class TestAllIsWell(VerifierTestCase):
    def test_every_check_holds_in_its_order(self):
        results = self.verify()
        self.assertEqual(NAMES, [one.name for one in results])
        self.assertEqual({Outcome.OK}, {one.outcome for one in results}, results)
        self.assertIn('12 rows of 3 tables', results[-1].message)

    def test_the_user_of_the_check_is_gone_and_those_of_the_tenant_stay(self):
        self.verify()
        self.assertEqual(['app'], self.trove.names)
        [(name, password)] = self.trove.created_users
        self.assertLessEqual(len(name), 16)
        self.assertGreaterEqual(len(password), 16)

    def test_each_check_takes_another_name(self):
        self.verify()
        self.verify()
        self.assertEqual(2, len({name for name, _ in self.trove.created_users}))

    def test_a_service_that_has_neither_backups_nor_users_is_told_of_and_fails_nothing(self):
        self.trove.offers = False
        found = self.found()
        self.assertEqual(
            [Outcome.NOT_OFFERED] * 2, [found['backups'].outcome, found['user'].outcome]
        )
        self.assertEqual([], self.failures())


class TestStatus(VerifierTestCase):
    def test_an_instance_that_serves_a_little_later_is_waited_for(self):
        self.trove.shown = [('UPGRADE', ''), ('ACTIVE', 'SHUTDOWN')]
        self.assertEqual([], self.failures())
        self.assertEqual(
            ['The service shows UPGRADE.', 'The service shows ACTIVE, SHUTDOWN.'], self.told
        )

    def test_one_that_does_not_fails_with_what_is_shown(self):
        self.trove.there['i1'] = an_instance(status='ERROR', operating_status='', fault='why')
        [(name, message)] = self.failures()
        self.assertEqual('status', name)
        self.assertIn('ERROR after 180 s. Its fault: why', message)

    def test_a_running_backup_and_a_service_without_the_second_status_are_well(self):
        for status, operating in (('BACKUP', 'HEALTHY'), ('HEALTHY', None), ('ACTIVE', 'ACTIVE')):
            with self.subTest(status, operating=operating):
                self.trove.there['i1'] = an_instance(status=status, operating_status=operating)
                self.assertEqual([], self.failures())

    def test_an_upgrade_that_is_not_known_ends_it(self):
        self.expected = dataclasses.replace(self.expected, upgrade_id='other')
        self.assertRaises(exceptions.UpgradeNotFound, self.verify)

    def test_an_instance_that_is_gone_ends_it(self):
        self.trove.there.clear()
        self.assertRaises(exceptions.InstanceNotFound, self.verify)


class TestVersion(VerifierTestCase):
    def test_another_name_or_another_number_of_that_name_is_not_the_target(self):
        for changes in ({'version_name': 'old'}, {'version_number': '11.8.5'}):
            with self.subTest(changes):
                self.trove.there['i1'] = an_instance(**changes)
                [(name, message)] = self.failures()
                self.assertEqual('version', name)
                self.assertIn('the target is new (11.8.6)', message)

    def test_a_service_that_shows_no_number_is_believed_by_the_name(self):
        self.trove.there['i1'] = an_instance(version_number=None)
        self.assertEqual([], self.failures())


class TestPorts(VerifierTestCase):
    def change(self, **changes):
        self.neutron.ports = {PORT.id: dataclasses.replace(PORT, **changes)}

    def test_groups_in_another_order_are_those_of_before(self):
        self.change(groups=('trove', 'default'))
        self.assertEqual([], self.failures())

    def test_a_group_that_is_gone_and_one_that_came_are_named(self):
        self.change(groups=('default', 'other'))
        [(name, message)] = self.failures()
        self.assertEqual('security groups', name)
        self.assertIn('port port-1 lack trove and have other more', message)

    def test_a_port_that_is_gone_or_came_is_named(self):
        self.neutron.ports = {'port-2': dataclasses.replace(PORT, id='port-2')}
        [(name, message)] = self.failures()
        self.assertEqual('security groups', name)
        self.assertIn('port port-1 is not there any more; port port-2 was not', message)

    def test_a_port_of_another_project_that_came_with_the_servers_id_is_no_change(self):
        forged = dataclasses.replace(PORT, id='forged', project_id='p2', addresses=('10.66.0.7',))
        self.neutron.ports['forged'] = forged
        self.assertEqual([], self.failures())

    def test_another_address_is_found_where_neutron_or_the_service_shows_it(self):
        self.change(addresses=('10.0.0.8',))
        self.assertIn('have 10.0.0.8 more', dict(self.failures())['addresses'])
        self.change()
        self.trove.there['i1'] = an_instance(addresses=an_instance().addresses[:1])
        self.assertIn('lack 192.0.2.7', dict(self.failures())['addresses'])


class TestBackups(VerifierTestCase):
    def test_one_that_is_listed_and_not_shown_fails(self):
        self.trove.hidden_backups = {'b1'}
        [(name, message)] = self.failures()
        self.assertEqual('backups', name)
        self.assertIn('backup b1', message)

    def test_one_that_was_deleted_meanwhile_does_not(self):
        self.trove.hidden_backups = {'b1'}
        listed = [(BACKUP,), ()]
        self.trove.backups = lambda _: listed.pop(0)
        self.assertEqual([], self.failures())


class TestUser(VerifierTestCase):
    def test_one_that_an_earlier_check_has_left_is_dropped_and_a_tenants_own_is_not(self):
        tenants, left = f'{PREFIX}report', f'{PREFIX}0000000'
        self.trove.names += [tenants, left]
        self.expected = dataclasses.replace(self.expected, left_user=left)
        self.verify()
        self.assertEqual(['app', tenants], self.trove.names)

    def test_one_that_an_earlier_check_has_left_and_that_goes_after_the_others_is_waited_for(self):
        left = f'{PREFIX}0000000'
        self.trove.names.append(left)
        self.expected = dataclasses.replace(self.expected, left_user=left)
        drop, users = self.trove.drop_user, self.trove.users
        dropped, looks = [], itertools.count()

        def later(instance_id, name):
            dropped.append(name)
            if name != left:
                drop(instance_id, name)

        def looked(instance_id):
            if left in dropped and len(dropped) > 1 and next(looks) == 2:
                drop(instance_id, left)
            return users(instance_id)

        self.trove.drop_user, self.trove.users = later, looked
        self.assertEqual([], self.failures())
        self.assertEqual([], self.left_users())

    def test_its_name_is_recorded_before_it_is_created(self):
        self.trove.refuses['create_user'] = 1
        recorded = []
        self.verifier.verify(self.expected, self.told.append, recorded.append)
        self.assertEqual(1, len(recorded))
        self.assertEqual([], self.trove.created_users)

    def test_a_user_that_never_comes_fails_and_is_dropped(self):
        self.trove.agent_works = False
        [(name, message)] = self.failures()
        self.assertEqual('user', name)
        self.assertIn('was not listed within 60 s', message)

    def test_a_refusal_is_the_result(self):
        self.trove.refuses['create_user'] = 1
        self.assertEqual(['user'], [name for name, _ in self.failures()])
        self.assertEqual([], self.left_users())

    def test_it_is_dropped_when_the_list_gets_no_answer_after_it_was_made(self):
        users = self.trove.users
        calls = itertools.count()

        def second_is_away(instance_id):
            if next(calls) == 1:
                raise domain.DatabaseServiceUnavailable(what='users', found='no answer')
            return users(instance_id)

        self.trove.users = second_is_away
        self.assertEqual([], self.failures())
        self.assertEqual([], self.left_users())
        self.assertEqual(2, len(self.trove.created_users))

    def test_it_is_dropped_when_the_check_is_interrupted(self):
        users = self.trove.users
        calls = itertools.count()

        def second_is_interrupted(instance_id):
            if next(calls) == 1:
                raise Interrupted
            return users(instance_id)

        self.trove.users = second_is_interrupted
        self.assertRaises(Interrupted, self.verify)
        self.assertEqual(1, len(self.trove.created_users))
        self.assertEqual([], self.left_users())

    def test_a_short_outage_at_the_drop_is_waited_for(self):
        self.trove.away['drop_user'] = 2
        self.assertEqual([], self.failures())
        self.assertEqual([], self.left_users())

    def test_one_that_stays_after_it_was_dropped_fails(self):
        self.trove.drop_user = lambda instance_id, name: None
        [(name, message)] = self.failures()
        self.assertEqual('user', name)
        self.assertIn('is still listed 60 s after', message)

    def test_an_outage_that_lasts_at_the_drop_leaves_it_named(self):
        self.trove.away['drop_user'] = 3
        [(_, message)] = self.failures()
        self.assertIn(self.left_users()[0], message)

    def test_one_that_cannot_be_dropped_is_named(self):
        self.trove.refuses['drop_user'] = 1
        [(_, message)] = self.failures()
        self.assertIn(self.left_users()[0], message)


class TestRows(VerifierTestCase):
    def compared(self, **changes):
        self.upgrade = an_ended_upgrade(**{'fingerprint': COMPARED, **changes})
        return self.found()['rows']

    def test_what_was_not_compared_or_was_accepted_is_told_and_fails_nothing(self):
        found = self.compared(fingerprint={**COMPARED, 'accepted': ['x'], 'not_compared': ['a.t']})
        self.assertEqual(Outcome.OK, found.outcome)
        self.assertIn('accepted by an operator: x; not compared row by row: a.t', found.message)

    def test_anything_but_a_whole_comparison_of_this_upgrade_fails(self):
        for changes in (
            {'fingerprint': None},
            {'fingerprint': {**COMPARED, 'missing': ['table a.t is gone']}},
            {'state': UpgradeState.ROLLED_BACK},
            {'instance_id': 'i2'},
            {'target_version_id': 'v3'},
        ):
            with self.subTest(changes):
                self.assertEqual(Outcome.FAILED, self.compared(**changes).outcome)


class TestOutages(VerifierTestCase):
    def test_an_outage_of_the_service_or_neutron_or_nova_is_no_result(self):
        self.trove.away['instance'] = 1
        self.assertRaises(domain.DatabaseServiceUnavailable, self.verify)
        self.neutron.is_away = True
        self.assertRaises(NetworkUnavailable, self.verify)
        self.nova.is_away = True
        self.assertRaises(exceptions.ComputeUnavailable, self.verify)

    def test_a_check_without_an_answer_is_made_once_more(self):
        self.trove.away['backups'] = 1
        self.assertEqual([], self.failures())

    def test_no_answer_twice_from_a_service_that_shows_the_instance_is_a_failure_of_it(self):
        self.trove.away['users'] = 99
        [(name, message)] = self.failures()
        self.assertEqual('user', name)
        self.assertIn('no answer', message)

    def test_an_outage_in_the_middle_is_no_result(self):
        self.trove.away['backups'] = 1
        shown = self.trove.instance
        calls = itertools.count()

        def second_is_away(instance_id):
            if next(calls) == 1:
                raise domain.DatabaseServiceUnavailable(what='i', found='no answer')
            return shown(instance_id)

        self.trove.instance = second_is_away
        self.assertRaises(domain.DatabaseServiceUnavailable, self.verify)
