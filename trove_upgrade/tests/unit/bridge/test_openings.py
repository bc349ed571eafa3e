# SPDX-License-Identifier: Apache-2.0
"""A port is opened for one address, and is as before afterwards, whatever dies in between."""

import dataclasses
import datetime
import itertools

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.bridge.audit import Auditor, Verdict
from trove_upgrade.bridge.closer import Closer
from trove_upgrade.bridge.opener import Opener
from trove_upgrade.bridge.reaper import Reaper
from trove_upgrade.db import columns, errors, models, trove_tables
from trove_upgrade.db.openings import Openings
from trove_upgrade.domain import exceptions, network
from trove_upgrade.domain.openings import (
    GROUP_NAME,
    OpeningLapsed,
    OpeningNotVisible,
    OpeningRequest,
    OpeningState,
    PortAlreadyOpen,
    Tag,
)
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.bridge.neutron import PROJECT, Dead, FakeNeutron, FakeNova

RUN = '00000000-0000-4000-8000-0000000000f1'
SOURCE = '10.0.0.2/32'
FORMER = ('default', 'web')
LEASE = 600.0
#: Identity that no database has.
UNKNOWN = Tag(run_id=RUN, opening_id='00000000-0000-4000-8000-0000000000f2')
#: Requests to Neutron that change something while a port is opened.
EFFECTS = 5


def a_port(port_id='port-1', groups=FORMER, **more):
    return network.NetworkPort(
        **{
            'id': port_id,
            'network_id': 'net-1',
            'project_id': PROJECT,
            'server_id': 'server-1',
            'mac_address': 'fa:16:3e:00:00:01',
            'addresses': ('10.0.0.7',),
            'groups': groups,
            'is_filtered': True,
            'revision': 3,
            **more,
        }
    )


def a_request(port_id='port-1', **more):
    return OpeningRequest(
        **{
            'run_id': RUN,
            'instance_id': database.INSTANCE,
            'port_id': port_id,
            'network_id': 'net-1',
            'project_id': PROJECT,
            'source': SOURCE,
            **more,
        }
    )


class World:
    """A Neutron, a database, and what works on both."""

    def __init__(self, db, neutron):
        self.db = db
        self.neutron = neutron
        self.openings = Openings(db.database)
        self.closer = Closer(network=neutron, openings=self.openings)
        self.opener = Opener(
            network=neutron, openings=self.openings, closer=self.closer, lease_seconds=LEASE
        )
        self.nova = FakeNova(neutron)
        self.auditor = Auditor(
            network=neutron,
            openings=self.openings,
            guests=db.repositories.instances,
            servers=self.nova,
        )
        self.reaper = Reaper(openings=self.openings, closer=self.closer, auditor=self.auditor)

    def let_leases_end(self):
        with self.db.database.write() as connection:
            connection.execute(
                sa.update(models.upgrade_bridge_openings).values(lease_until=columns.ahead(-1))
            )

    def killed_while_opening(self, effect, when):
        """Open, in a process that dies at this effect with all that it could have done."""
        self.neutron.dies = (effect, when)
        buried = Closer(network=Grave(), openings=self.openings)
        opener = Opener(
            network=self.neutron, openings=self.openings, closer=buried, lease_seconds=LEASE
        )
        try:
            return opener.open(a_request())
        except Dead:
            return None


class Grave:
    """Neutron, as a process sees it that was killed: it asks no more."""

    def __getattr__(self, name):
        raise Dead


class OpeningsTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.world = self.a_world()

    def a_world(self, *ports, **more):
        db = self.useFixture(database.SampleDatabase())
        return World(db, FakeNeutron(*(ports or (a_port(),)), **more))

    def groups_of(self, port_id='port-1', world=None):
        return (world or self.world).neutron.ports[port_id].groups

    def is_as_before(self, world=None):
        world = world or self.world
        self.assertEqual({}, world.neutron.groups)
        self.assertEqual(sorted(FORMER), sorted(self.groups_of(world=world)))
        self.assertEqual([], world.openings.not_closed())
        self.assertTrue(world.auditor.look().is_clean)


class TestOpen(OpeningsTestCase):
    def test_one_address_gets_in_by_one_rule_of_a_group_that_only_this_port_has(self):
        opening = self.world.opener.open(a_request())
        self.assertIs(OpeningState.OPEN, opening.state)
        [group] = self.world.neutron.groups.values()
        self.assertEqual(
            (GROUP_NAME, PROJECT, opening.tag),
            (group.name, group.project_id, Tag.read(group.description)),
        )
        [rule] = group.rules
        self.assertEqual(
            ('ingress', 'tcp', (22, 22), SOURCE),
            (rule.direction, rule.protocol, rule.port_range, rule.source),
        )
        self.assertEqual(opening.tag, Tag.read(rule.description))
        self.assertEqual({*FORMER, group.id}, set(self.groups_of()))
        self.assertEqual((set(FORMER), group.id), (set(opening.former_groups), opening.group_id))

    def test_a_port_without_groups_has_none_again_afterwards(self):
        self.world.neutron.write_port('port-1', ())
        opening = self.world.opener.open(a_request())
        self.assertEqual((opening.group_id,), self.groups_of())
        self.assertIsNone(self.world.closer.close(opening))
        self.assertEqual((), self.groups_of())

    def test_a_range_of_addresses_is_never_let_in(self):
        for source in ('0.0.0.0/0', '10.0.0.0/24', '::/0', 'fd00::/64'):
            with self.subTest(source):
                self.assertRaises(ValueError, self.world.opener.open, a_request(source=source))
        self.is_as_before()

    def test_the_intent_is_committed_before_neutron_is_asked(self):
        self.world.killed_while_opening(1, 'before')
        [opening] = self.world.openings.not_closed()
        self.assertIs(OpeningState.INTENDED, opening.state)
        self.assertEqual({}, self.world.neutron.groups)

    def test_a_port_is_opened_once_and_the_refusal_names_the_run_that_holds_it(self):
        first = self.world.opener.open(a_request())
        error = self.assertRaises(PortAlreadyOpen, self.world.opener.open, a_request())
        self.assertEqual(first.id, error.facts['opening_id'])
        self.assertIn(RUN, error.message)
        self.world.closer.close(first)
        self.world.closer.close(self.world.opener.open(a_request()))
        self.is_as_before()

    def test_a_group_that_another_client_adds_meanwhile_is_kept(self):
        changes = iter([('default', 'web', 'added')])

        def another(port_id):
            for groups in itertools.islice(changes, 1):
                self.world.neutron.write_port(port_id, groups)

        self.world.neutron.before_write = another
        opening = self.world.opener.open(a_request())
        self.assertEqual({*FORMER, 'added', opening.group_id}, set(self.groups_of()))
        self.assertIsNone(self.world.closer.close(opening))
        self.assertEqual({*FORMER, 'added'}, set(self.groups_of()))

    def test_a_port_that_never_holds_still_is_given_up_and_left_closed(self):
        held = itertools.count()

        def another(port_id):
            if next(held) < 10:
                self.world.neutron.write_port(port_id, FORMER)

        self.world.neutron.before_write = another
        self.assertRaises(network.PortChanged, self.world.opener.open, a_request())
        self.is_as_before()

    def test_a_group_that_another_client_deletes_before_the_port_has_it_is_told(self):
        self.world.neutron.before_write = lambda port_id: self.world.neutron.groups.clear()
        found = self.assertRaises(network.GroupGone, self.world.opener.open, a_request())
        self.assertIn('group-1', found.message)
        self.is_as_before()

    def test_a_project_that_may_have_no_more_groups_is_left_as_it_is(self):
        world = self.a_world(group_quota=0)
        error = self.assertRaises(network.GroupQuotaExhausted, world.opener.open, a_request())
        self.assertIn(PROJECT, error.message)
        self.is_as_before(world)

    def test_a_port_that_has_gone_leaves_no_group(self):
        del self.world.neutron.ports['port-1']
        self.assertRaises(network.PortNotFound, self.world.opener.open, a_request())
        self.assertEqual({}, self.world.neutron.groups)
        self.assertEqual([], self.world.openings.not_closed())

    def test_a_neutron_that_goes_away_leaves_the_rest_to_the_reaper(self):
        def away(port_id):
            self.world.neutron.is_away = True

        self.world.neutron.before_write = away
        self.assertRaises(network.NetworkUnavailable, self.world.opener.open, a_request())
        [left] = self.world.openings.not_closed()
        self.world.neutron.is_away = False
        self.world.let_leases_end()
        self.assertEqual((left.id,), tuple(one.id for one in self.world.reaper.pass_once().closed))
        self.is_as_before()

    def test_a_bridge_that_slept_through_its_lease_opens_nothing(self):
        def slept(port_id):
            self.world.let_leases_end()
            self.world.neutron.before_write = None
            self.world.reaper.pass_once()

        self.world.neutron.before_write = slept
        self.assertRaises(OpeningLapsed, self.world.opener.open, a_request())
        self.is_as_before()

    def test_without_the_table_nothing_is_asked_of_neutron(self):
        with self.world.db.database.write() as connection:
            connection.execute(sa.text('DROP TABLE upgrade_bridge_openings'))
        self.world.db.database.forget_columns()
        self.assertRaises(errors.SchemaMissing, self.world.opener.open, a_request())
        self.assertEqual((), self.world.reaper.pass_once().closed)
        self.assertEqual(0, self.world.neutron.answered)


class TestClose(OpeningsTestCase):
    def test_what_another_client_changed_meanwhile_stays_and_is_reported(self):
        opening = self.world.opener.open(a_request())
        self.world.neutron.write_port('port-1', ('default', opening.group_id))
        cause = self.world.closer.close(opening)
        self.assertIn('another client', cause)
        self.assertEqual(('default',), self.groups_of())
        self.assertEqual(cause, self.world.openings.get(opening.id).cause)

    def test_a_port_that_was_deleted_meanwhile_is_reported(self):
        opening = self.world.opener.open(a_request())
        del self.world.neutron.ports['port-1']
        self.assertIn('deleted', self.world.closer.close(opening))
        self.assertEqual({}, self.world.neutron.groups)

    def test_a_group_that_was_put_on_another_port_is_taken_from_that_one_too(self):
        world = self.a_world(a_port(), a_port('port-2'))
        opening = world.opener.open(a_request())
        world.neutron.write_port('port-2', (*FORMER, opening.group_id))
        world.closer.close(opening)
        self.assertEqual(set(FORMER), set(self.groups_of('port-2', world)))
        self.is_as_before(world)

    def test_closing_twice_changes_nothing(self):
        opening = self.world.opener.open(a_request())
        self.world.closer.close(opening)
        effects = self.world.neutron.effects
        self.world.closer.close(opening)
        self.assertEqual(effects, self.world.neutron.effects)
        self.is_as_before()

    def test_groups_of_another_opening_are_left_alone(self):
        world = self.a_world(a_port(), a_port('port-2'))
        first, second = world.opener.open(a_request()), world.opener.open(a_request('port-2'))
        world.closer.close(first)
        self.assertEqual([second.group_id], list(world.neutron.groups))
        self.assertEqual({*FORMER, second.group_id}, set(self.groups_of('port-2', world)))


class TestNotSeen(OpeningsTestCase):
    def test_a_login_that_sees_no_other_project_closes_no_row(self):
        opening = self.world.opener.open(a_request())
        self.world.neutron.is_admin = False
        self.assertRaises(OpeningNotVisible, self.world.closer.close, opening)
        self.assertFalse(self.world.auditor.look().is_clean)
        self.world.neutron.is_admin = True
        self.world.closer.close(opening)
        self.is_as_before()

    def test_a_group_that_its_tenant_renamed_is_found_by_its_id(self):
        opening = self.world.opener.open(a_request())
        group = self.world.neutron.groups[opening.group_id]
        for change in ({'name': 'mine'}, {'description': 'mine'}):
            with self.subTest(change):
                self.world.neutron.groups[group.id] = dataclasses.replace(group, **change)
                [finding] = self.world.auditor.look().findings
                self.assertIs(Verdict.HELD, finding.verdict)
                self.assertIn('changed', finding.remarks[0])
        self.world.let_leases_end()
        self.world.reaper.pass_once()
        self.is_as_before()

    def test_a_group_that_was_recorded_after_the_row_was_read_is_removed_too(self):
        stale = self.world.openings.intend(a_request(), LEASE)
        group = self.world.neutron.create_group(GROUP_NAME, 'renamed at once', PROJECT)
        self.world.openings.record_group(stale.id, group.id)
        self.world.closer.close(stale)
        self.is_as_before()

    def test_an_opening_whose_project_shows_nothing_any_more_stays_until_an_operator_tells(self):
        opening = self.world.opener.open(a_request())
        self.world.neutron.ports.clear()
        self.world.neutron.groups.clear()
        self.world.neutron.is_admin = False
        self.world.let_leases_end()
        [(failed, error)] = self.world.reaper.pass_once().failed
        self.assertEqual(opening.id, failed.id)
        self.assertIn(f'reap --gone {opening.id}', error.message)


class TestReap(OpeningsTestCase):
    def test_nothing_is_taken_before_its_lease_is_over(self):
        opening = self.world.opener.open(a_request())
        self.assertEqual((), self.world.reaper.pass_once().closed)
        self.assertIn(opening.group_id, self.groups_of())
        self.world.openings.extend(opening.id, 2 * LEASE)
        self.world.let_leases_end()
        self.assertRaises(OpeningLapsed, self.world.openings.extend, opening.id, LEASE)
        self.world.reaper.pass_once()
        self.is_as_before()

    def test_a_cloud_that_never_had_a_bridge_is_not_asked(self):
        self.world.reaper.pass_once()
        self.assertEqual(0, self.world.neutron.answered)

    def test_one_that_cannot_be_closed_leaves_the_others_and_is_tried_again(self):
        world = self.a_world(a_port(), a_port('port-2'))
        first, second = world.opener.open(a_request()), world.opener.open(a_request('port-2'))
        stubborn = itertools.count()

        def another(port_id):
            if port_id == 'port-1' and next(stubborn) < 10:
                world.neutron.write_port(port_id, world.neutron.ports[port_id].groups)

        world.neutron.before_write = another
        world.let_leases_end()
        reaped = world.reaper.pass_once()
        self.assertEqual([second.id], [one.id for one in reaped.closed])
        self.assertEqual([first.id], [one.id for one, _ in reaped.failed])
        self.assertEqual([first.id], [one.id for one in world.reaper.pass_once().closed])
        self.is_as_before(world)

    @given(effect=st.integers(1, EFFECTS), when=st.sampled_from(['before', 'after', 'later']))
    def test_a_bridge_that_is_killed_at_any_effect_leaves_nothing_after_its_lease(
        self, effect, when
    ):
        world = self.a_world()
        self.assertIsNone(world.killed_while_opening(effect, when))
        world.let_leases_end()
        world.reaper.pass_once()
        world.neutron.finish_late()
        world.reaper.pass_once()
        self.is_as_before(world)

    @given(effect=st.integers(1, 3), when=st.sampled_from(['before', 'after', 'later']))
    def test_a_reaper_that_is_killed_at_any_effect_is_followed_by_one_that_ends_the_work(
        self, effect, when
    ):
        world = self.a_world()
        world.opener.open(a_request())
        world.let_leases_end()
        world.neutron.dies = (world.neutron.effects + effect, when)
        try:
            world.reaper.pass_once()
        except Dead:
            world.neutron.finish_late()
        world.neutron.dies = None
        world.reaper.pass_once()
        self.is_as_before(world)

    def test_all_effects_of_opening_are_known_here(self):
        self.world.opener.open(a_request())
        self.assertEqual(EFFECTS, self.world.neutron.effects)


class TestAudit(OpeningsTestCase):
    def verdicts(self, world=None):
        report = (world or self.world).auditor.look()
        return [finding.verdict for finding in report.findings]

    def test_a_group_is_held_then_lapsed_then_gone(self):
        opening = self.world.opener.open(a_request())
        self.assertEqual([Verdict.HELD], self.verdicts())
        self.world.let_leases_end()
        self.assertEqual([Verdict.LAPSED], self.verdicts())
        self.assertFalse(self.world.auditor.look().is_clean)
        self.world.closer.close(opening)
        self.assertEqual([], self.verdicts())

    def test_groups_of_our_description_and_of_our_name_alone_are_told_apart_and_never_reaped(self):
        neutron = self.world.neutron
        neutron.create_group(GROUP_NAME, UNKNOWN.description, PROJECT)
        self.assertEqual([Verdict.IMITATION], self.verdicts())
        neutron.create_group(GROUP_NAME, 'my own', PROJECT)
        self.assertEqual([Verdict.IMITATION, Verdict.FOREIGN], self.verdicts())
        self.world.closer.close(self.world.opener.open(a_request()))
        self.world.reaper.pass_once()
        self.assertEqual([Verdict.IMITATION, Verdict.FOREIGN], self.verdicts())

    def test_a_description_of_ours_with_another_run_is_not_taken_for_the_opening(self):
        opening = self.world.opener.open(a_request())
        forged = Tag(run_id=opening.id, opening_id=opening.id)
        self.world.neutron.create_group(GROUP_NAME, forged.description, PROJECT)
        self.assertEqual([Verdict.HELD, Verdict.IMITATION], self.verdicts())

    def test_more_than_the_one_rule_or_port_is_remarked(self):
        world = self.a_world(a_port(), a_port('port-2'))
        opening = world.opener.open(a_request())
        [finding] = world.auditor.look().findings
        self.assertEqual((), finding.remarks)
        world.neutron.add_rule(opening.group_id, None)
        world.neutron.write_port('port-2', (*FORMER, opening.group_id))
        [finding] = world.auditor.look().findings
        self.assertEqual(2, len(finding.remarks))
        self.assertIn('port-2', finding.remarks[0])
        self.assertIn('any address', finding.remarks[1])

    def test_a_row_of_which_neutron_has_nothing_is_listed(self):
        self.world.killed_while_opening(1, 'before')
        report = self.world.auditor.look()
        self.assertEqual((1, False), (len(report.without_group), report.is_clean))


class TestImitations(OpeningsTestCase):
    """Each tenant can make a group of our name, with a description of its own making."""

    def setUp(self):
        super().setUp()
        self.world = self.a_world(
            a_port(server_id=database.SERVER), a_port('port-2', server_id='of-a-tenant')
        )

    def imitated(self, tag=UNKNOWN, project=PROJECT, port='port-2'):
        group = self.world.neutron.create_group(GROUP_NAME, tag.description, project)
        self.world.neutron.write_port(port, (*FORMER, group.id))
        return group.id

    def verdict_of(self, group_id):
        found = {one.group.id: one.verdict for one in self.world.auditor.look().findings}
        return found[group_id]

    def test_a_made_up_description_on_a_tenants_own_server_is_nothing_open(self):
        group = self.imitated()
        self.assertIs(Verdict.IMITATION, self.verdict_of(group))
        self.assertTrue(self.world.auditor.look().is_clean)

    def test_one_on_the_port_of_a_guest_is_open_also_where_the_database_has_lost_its_row(self):
        group = self.imitated(port='port-1')
        self.assertIs(Verdict.UNRECORDED, self.verdict_of(group))
        self.assertFalse(self.world.auditor.look().is_clean)

    def test_an_opening_whose_row_a_restored_backup_does_not_have_is_still_reported(self):
        opening = self.world.opener.open(a_request())
        with self.world.db.database.write() as connection:
            connection.execute(sa.delete(models.upgrade_bridge_openings))
        self.assertIs(Verdict.UNRECORDED, self.verdict_of(opening.group_id))

    def test_one_on_a_tenants_port_that_has_only_the_id_of_a_guests_server_is_nothing_open(self):
        for more in ({}, {'mac_address': 'fa:16:3e:00:00:66', 'addresses': ('10.66.0.7',)}):
            with self.subTest(more):
                forged = a_port('forged', server_id=database.SERVER, project_id='another', **more)
                self.world.neutron.ports['forged'] = forged
                group = self.imitated(project='another', port='forged')
                self.assertIs(Verdict.IMITATION, self.verdict_of(group))
                self.assertTrue(self.world.auditor.look().is_clean)

    def test_one_on_a_guests_own_port_is_open_though_a_forged_port_has_it_too(self):
        forged = a_port('forged', server_id=database.SERVER, project_id='another')
        self.world.neutron.ports['forged'] = forged
        group = self.imitated(port='port-1')
        self.world.neutron.write_port('forged', (group,))
        self.assertIs(Verdict.UNRECORDED, self.verdict_of(group))

    def test_a_server_that_nova_does_not_have_has_no_port(self):
        self.world.nova.missing = {database.SERVER}
        self.assertIs(Verdict.IMITATION, self.verdict_of(self.imitated(port='port-1')))

    def test_without_an_answer_of_nova_there_is_no_verdict(self):
        self.imitated(port='port-1')
        self.world.nova.is_away = True
        self.assertRaises(exceptions.ComputeUnavailable, self.world.auditor.look)

    def test_the_port_of_a_deleted_instance_is_no_guests_any_more(self):
        with self.world.db.database.write() as connection:
            connection.execute(sa.update(trove_tables.instances).values(deleted=True))
        self.assertIs(Verdict.IMITATION, self.verdict_of(self.imitated(port='port-1')))

    def test_a_copied_description_in_another_project_is_not_the_openings_and_stays(self):
        opening = self.world.opener.open(a_request())
        copied = self.imitated(opening.tag, project='another')
        self.assertIs(Verdict.HELD, self.verdict_of(opening.group_id))
        self.assertIs(Verdict.IMITATION, self.verdict_of(copied))
        self.world.let_leases_end()
        self.world.reaper.pass_once()
        self.assertEqual([copied], list(self.world.neutron.groups))
        self.assertIn(copied, self.groups_of('port-2'))
        self.assertTrue(self.world.auditor.look().is_clean)

    def test_a_copy_that_was_made_when_no_request_of_ours_could_come_any_more_is_not_ours(self):
        opening = self.world.opener.open(a_request())
        self.world.closer.close(opening)
        closed_at = self.world.openings.get(opening.id).closed_at
        day = datetime.timedelta(days=1)
        for later, expected in (
            (-day, Verdict.LAPSED),
            (day, Verdict.LAPSED),
            (day + datetime.timedelta(seconds=1), Verdict.IMITATION),
        ):
            with self.subTest(later):
                self.world.neutron.now = closed_at + later
                group = self.imitated(opening.tag)
                self.assertIs(expected, self.verdict_of(group))
        self.world.reaper.pass_once()
        self.assertEqual([group], list(self.world.neutron.groups))
