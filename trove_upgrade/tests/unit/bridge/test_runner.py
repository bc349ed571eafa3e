# SPDX-License-Identifier: Apache-2.0
"""A member goes through its steps, back where one fails, and on where a process was killed."""

import dataclasses

import fixtures
import sqlalchemy as sa

from trove_upgrade.bridge.crew import Crew, Pauses
from trove_upgrade.bridge.keeper import Keeper
from trove_upgrade.bridge.outages import Outages
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.accounts import Accounts
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.steps.step import Done, Stopped
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door, Visit
from trove_upgrade.clock import SystemClock
from trove_upgrade.db import columns, models
from trove_upgrade.domain import exceptions, network
from trove_upgrade.domain.bridge_ends import UpgradeAborted, UpgradeHeld
from trove_upgrade.domain.bridge_runs import (
    MemberLost,
    MemberState,
    MemberStep,
    RunPlan,
    RunScope,
    RunState,
    StepEnd,
)
from trove_upgrade.domain.pace import Pace, StopRule
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.guests import Chooser, Guests
from trove_upgrade.tests.unit.bridge.neutron import Dead
from trove_upgrade.tests.unit.bridge.test_openings import OpeningsTestCase, a_port
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FIRST, SECOND = database.INSTANCE, database.OTHER_INSTANCE
S, T = MemberState, MemberStep
LEASE = 60.0
PATIENCE = 60.0


def run_next(runner, run_id):
    """Claim a member and work on it; None: there was none to claim."""
    claim = runner.claim(run_id)
    return None if claim.member is None else runner.work(claim.member)


class Stepped:
    """Step that does what a test wants."""

    def __init__(self, run):
        self.run = run


class Buried:
    """Door of a process that is dead."""

    def leave(self, visit):
        raise Dead


def a_push_that_fails(member, visit, save):
    facts = dataclasses.replace(member.facts, bundle='sha')
    save(member.evolve(facts=facts))
    raise errors.ReachError


class RunnerTestCase(OpeningsTestCase):
    def setUp(self):
        super().setUp()
        self.world = self.a_world(a_port('port-1', server_id='s', network_id='net-1'))
        self.neutron = self.world.neutron
        self.runs = self.world.db.repositories.bridge_runs
        self.guests = Guests(self.neutron)
        self.chooser = Chooser('net-1')
        self.said = []
        self.stopping = False
        self.pauses = 0
        self.removed = []
        self.forgotten = []
        self.kept = set()
        self.deleted = set()  #: instances
        self.outages = Outages(self, PATIENCE)
        self.waited_for = []
        self.pace = Pace(canary=0, stop=StopRule(count=10))
        self.time = 0.0
        self.upgrade_of_another = None
        self.door = self.a_door()
        self.steps = {
            T.OPEN: Open(door=self.door),
            T.REACH: Reach(door=self.door),
            T.CLOSE: Close(door=self.door),
        }

    def a_door(self):
        return Door(
            server_ports=ServerPorts(self.world.nova, self.neutron),
            openings=self.world.openings,
            opener=self.world.opener,
            closer=self.world.closer,
            chooser=self.chooser,
            accounts=Accounts(Login(user='root')),
            log_in=self.guests.log_in,
            settle=self.runs.settle,
        )

    def a_runner(self, owner='host-1'):
        return MemberRunner(
            runs=self.runs,
            openings=self.world.openings,
            door=self.door,
            steps=self.steps,
            remove=lambda member, visit: self.removed.append(visit.shell.is_open),
            forget=lambda member: self.forgotten.append(member.instance_id),
            kept=self.kept,
            settle=self.settled,
            clock=SystemClock(),
            owner=owner,
            lease_seconds=LEASE,
            tell=lambda member, message: self.said.append(message),
            is_outage=lambda error: isinstance(error, network.NetworkUnavailable),
            outages=self.outages,
            pause=self,
            is_stopping=lambda: self.stopping,
            is_gone=self.deleted.__contains__,
        )

    def a_crew(self, make=None, count=1):
        """Threads of one process."""
        return Crew(
            make or (lambda number, is_stopping: self.a_runner(f'h{number}')),
            count,
            outages=self.outages,
            pauses=Pauses(pause=self),
            watcher=self,
        )

    def waits(self, claim):
        self.waited_for.append(claim)

    def outage(self, error, patience_seconds):
        self.waited_for.append(error)

    def ending(self, run_id, held):
        self.waited_for.append((run_id, held))

    def monotonic(self):
        return self.time

    def now(self):
        return SystemClock().now()

    def settled(self, member):
        if self.upgrade_of_another is None:
            return member.learned(asked_after=None)
        return member.learned(asked_after='', upgrade_id=self.upgrade_of_another)

    def sleep(self, seconds):
        """No time passes but here."""
        self.pauses += 1
        self.time += seconds
        self.on_pause()

    def on_pause(self):
        """What others do meanwhile."""

    def begun(self, *ids):
        return self.runs.begin(
            [listed(one) for one in ids or (FIRST,)], RunScope.REACH, RunPlan(pace=self.pace)
        ).id

    def let_all_leases_end(self):
        self.world.let_leases_end()
        with self.world.db.database.write() as connection:
            connection.execute(
                sa.update(models.upgrade_bridge_members)
                .where(models.upgrade_bridge_members.c.lease_until.is_not(None))
                .values(lease_until=columns.ahead(-1))
            )

    def openings_so_far(self):
        with self.world.db.database.read() as connection:
            return connection.scalar(
                sa.select(sa.func.count()).select_from(models.upgrade_bridge_openings)
            )

    def is_left(self):
        self.is_as_before()
        self.assertFalse(any(shell.is_open for shell in self.guests.shells))


class TestForward(RunnerTestCase):
    def test_a_guest_is_opened_entered_and_closed(self):
        run_id = self.begun()
        member = run_next(self.a_runner(), run_id)
        self.assertEqual(S.COMPLETED, member.state)
        self.assertEqual(
            [(T.OPEN, StepEnd.DONE), (T.REACH, StepEnd.DONE), (T.CLOSE, StepEnd.DONE)],
            [(run.step, run.end) for run in member.steps],
        )
        self.assertEqual(
            ('port-1', '10.0.0.7', '10.0.0.2'),
            (member.facts.port_id, member.facts.address, member.facts.source),
        )
        self.assertEqual(1, len(self.guests.shells))
        self.assertIsNone(run_next(self.a_runner(), run_id))
        self.assertEqual(RunState.ENDED, self.runs.get(run_id).state)
        self.is_left()

    def test_a_port_is_opened_once_in_a_visit(self):
        run_next(self.a_runner(), self.begun())
        self.assertEqual(1, self.openings_so_far())

    def test_a_port_that_was_closed_under_a_visit_is_opened_again_in_it(self):
        def reach(member, visit, save):
            visit.is_lapsed = True
            return Reach(door=self.door).run(member, visit, save)

        self.steps[T.REACH] = Stepped(reach)
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.COMPLETED, 2), (member.state, self.openings_so_far()))
        self.is_left()

    def test_of_several_nics_the_first_that_a_route_leads_to_is_used(self):
        unreachable = a_port('port-0', server_id='s', network_id='far', addresses=('10.1.0.7',))
        self.neutron.ports = {'port-0': unreachable, **self.neutron.ports}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.COMPLETED, 'port-1'), (member.state, member.facts.port_id))

    def test_of_two_addresses_the_second_is_tried_under_its_own_family(self):
        ports = {'port-1': a_port('port-1', server_id='s', addresses=('fd00::7',))}
        self.neutron.ports = ports
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.COMPLETED, 'fd00::2'), (member.state, member.facts.source))

    def test_a_port_without_port_security_is_entered_and_never_touched(self):
        bare = a_port('port-1', server_id='s', is_filtered=False, groups=())
        self.neutron.ports = {'port-1': bare}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual(S.COMPLETED, member.state)
        self.assertEqual(0, self.neutron.effects)
        self.assertIn('off', member.steps[0].message)


class TestForged(RunnerTestCase):
    """Each tenant can give a port of its own the id of any server."""

    def test_a_tenants_machine_whose_port_has_the_id_of_the_server_gets_no_login(self):
        forged = a_port(
            'forged',
            server_id='s',
            network_id='net-1',
            project_id='another',
            mac_address='fa:16:3e:00:00:66',
            addresses=('10.0.0.66',),
        )
        self.neutron.ports = {'forged': forged, **self.neutron.ports}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.COMPLETED, 'port-1'), (member.state, member.facts.port_id))
        self.assertEqual({'10.0.0.7'}, {address for _, address, *_ in self.guests.logins})

    def test_where_nova_shows_no_port_that_neutron_has_no_machine_is_entered(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        self.neutron.ports = {'forged': a_port('forged', server_id='s', project_id='another')}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, 'BRIDGE_NO_WAY_IN'), (member.state, member.error_code))
        self.assertEqual(([], 0), (self.guests.logins, self.neutron.effects))
        for word in ('Port forged of project another', 'left out'):
            self.assertIn(word, log.output)


class TestBack(RunnerTestCase):
    def fails(self, code):
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, code), (member.state, member.error_code))
        self.assertTrue(member.cause)
        self.is_left()
        return member

    def test_a_network_that_no_route_leads_to_names_all_that_was_tried(self):
        self.chooser.network_ids = ()
        member = self.fails('BRIDGE_NO_WAY_IN')
        self.assertIn('nothing is configured', member.cause)
        self.assertEqual(0, self.neutron.effects)

    def test_a_guest_that_lets_the_bridge_not_in_is_closed_again(self):
        self.guests.refusals = [
            errors.HostKeyChanged(server_id='s', pinned='a', found='b'),
        ]
        member = self.fails('HOST_KEY_CHANGED')
        self.assertEqual([T.OPEN, T.REACH], [run.step for run in member.steps])
        self.assertEqual(StepEnd.FAILED, member.steps[-1].end)

    def test_one_whose_instance_was_deleted_meanwhile_has_not_failed(self):
        self.deleted = {FIRST}
        self.world.nova.missing = {'s'}
        run_id = self.begun(FIRST, SECOND)
        self.runs.release(self.runs.claim(run_id, 'host-2', LEASE).member)
        member = run_next(self.a_runner(), run_id)
        self.assertEqual((S.LEFT_OUT, 'BRIDGE_INSTANCE_GONE'), (member.state, member.error_code))
        self.assertEqual((None, 0), (self.runs.turn(run_id).stop, self.runs.turn(run_id).failed))
        self.is_left()

    def test_one_whose_instance_was_deleted_after_a_push_is_forgotten(self):
        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        self.deleted = {FIRST}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.LEFT_OUT, [True]), (member.state, self.removed))
        self.is_left()

    def test_what_cannot_be_forgotten_of_a_guest_that_is_gone_keeps_the_member(self):
        def fails(*arguments):
            raise exceptions.ServerNotFound(server_id='s')

        def unreadable(member):
            raise ValueError('of other keys')

        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        runner = dataclasses.replace(self.a_runner(), remove=fails, forget=unreadable)
        member = run_next(runner, self.begun())
        self.assertEqual((S.RUNNING, {FIRST}), (member.state, self.kept))

    def test_one_that_fails_leaves_the_others(self):
        self.guests.refusals = [errors.HostKeyChanged(server_id='s', pinned='a', found='b')]
        run_id = self.begun(FIRST, SECOND)
        self.a_crew().work(run_id)
        self.assertEqual(
            [S.COMPLETED, S.FAILED], sorted(one.state for one in self.runs.members(run_id))
        )
        self.is_left()

    def test_an_operators_end_turns_a_member_back_at_its_next_step(self):
        run_id = self.begun()
        runner = self.a_runner()
        log_in = self.guests.log_in

        def aborted_meanwhile(*arguments):
            self.runs.abort(run_id)
            return log_in(*arguments)

        self.guests.log_in = aborted_meanwhile
        self.door = self.a_door()
        self.steps[T.REACH] = Reach(door=self.door)
        member = run_next(runner, run_id)
        self.assertEqual((S.ABORTED, 'BRIDGE_RUN_ABORTED'), (member.state, member.error_code))
        self.is_left()

    def test_what_was_pushed_is_removed_from_inside_before_the_port_is_closed(self):
        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        self.fails('INTERNAL_ERROR')
        self.assertEqual([True], self.removed)

    def test_what_cannot_be_removed_is_tried_again_by_a_later_process_and_the_port_is_closed(self):
        def refuse(member, visit):
            raise errors.NoRoute(network_id='net-1', found='it went away')

        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        for error in (refuse, lambda member, visit: {}['unexpected']):
            run_id = self.begun()
            for _ in range(2):
                self.kept = set()
                runner = dataclasses.replace(self.a_runner(), remove=error)
                member = run_next(runner, run_id)
                self.assertEqual((S.RUNNING, True), (member.state, member.is_undoing))
                self.assertTrue(member.facts.not_removed)
                self.is_left()
                self.let_all_leases_end()
                self.assertIsNone(run_next(runner, run_id), 'one process tries it once')
            self.removed.clear()
            self.kept = set()
            member = run_next(self.a_runner(), run_id)
            self.assertEqual((S.FAILED, [True]), (member.state, self.removed))
            self.assertIsNone(member.facts.not_removed)

    def test_members_that_were_never_tried_come_before_one_that_was_left_twice(self):
        run_id = self.begun(FIRST, SECOND)
        for _ in range(2):
            self.runs.release(self.runs.claim(run_id, 'host-2', LEASE).member)
        self.assertEqual(SECOND, run_next(self.a_runner(), run_id).instance_id)

    def test_of_a_server_that_is_gone_nothing_is_removed_and_its_agent_is_forgotten(self):
        def gone(member, visit):
            raise exceptions.ServerNotFound(server_id='s')

        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        runner = dataclasses.replace(self.a_runner(), remove=gone)
        member = run_next(runner, self.begun())
        self.assertEqual((S.FAILED, [FIRST]), (member.state, self.forgotten))

    def test_one_that_goes_with_the_connection_to_it_is_looked_for_before_another_login(self):
        def deleted(server_id):
            raise exceptions.ServerNotFound(server_id=server_id)

        def push(member, visit, save):
            visit.leave_guest()
            self.world.nova.server = deleted
            return a_push_that_fails(member, visit, save)

        self.steps = {**self.steps, T.PUSH: Stepped(push)}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, [FIRST]), (member.state, self.forgotten))
        self.assertEqual(1, len(self.guests.shells))

    def test_an_agent_whose_guest_another_client_upgrades_is_not_removed(self):
        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        self.upgrade_of_another = 'upgrade-9'
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, []), (member.state, self.removed))
        self.assertEqual('upgrade-9', member.facts.upgrade_id)

    def test_an_operator_may_leave_what_cannot_be_removed_at_once(self):
        run_id = self.begun()
        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        refused = dataclasses.replace(self.a_runner(), remove=lambda member, visit: {}['no'])
        run_next(refused, run_id)
        self.runs.abort(run_id)
        self.assertEqual(S.RUNNING, self.runs.members(run_id)[0].state)
        self.runs.abort(run_id, leaves_agents=True)
        [member] = self.runs.members(run_id)
        self.assertEqual(S.ABORTED, member.state)
        self.assertTrue(member.cause.endswith('Our agent stays in the guest.'), member.cause)

    def test_an_outage_while_removing_keeps_the_member_and_the_next_run_removes_the_rest(self):
        def away(member, visit):
            raise network.NetworkUnavailable(what='x', found='away')

        self.steps = {**self.steps, T.PUSH: Stepped(a_push_that_fails)}
        run_id = self.begun()
        runner = dataclasses.replace(self.a_runner(), remove=away)
        self.assertRaises(network.NetworkUnavailable, run_next, runner, run_id)
        self.assertEqual({}, self.neutron.groups)
        member = run_next(self.a_runner('host-2'), run_id)
        self.assertEqual((S.FAILED, [True]), (member.state, self.removed))
        self.is_left()

    def test_an_operators_end_at_the_last_step_removes_what_was_pushed(self):
        run_id = self.begun()

        def pushed(member, visit, save):
            return Done(save(member.learned(bundle='sha')), 'pushed')

        def aborted(member, visit, save):
            self.runs.abort(run_id)
            return Done(save(member), 'never')

        self.steps = {**self.steps, T.PUSH: Stepped(pushed), T.CLOSE: Stepped(aborted)}
        member = run_next(self.a_runner(), run_id)
        self.assertEqual((S.ABORTED, [True]), (member.state, self.removed))
        self.is_left()

    def test_once_an_upgrade_was_asked_for_our_agent_stays(self):
        def handed_over(member, visit, save):
            save(member.learned(bundle='sha', asked_after='', upgrade_id='upgrade-1'))
            raise errors.ReachError

        self.steps = {**self.steps, T.UPGRADE: Stepped(handed_over)}
        member = run_next(self.a_runner(), self.begun())
        self.assertEqual((S.FAILED, []), (member.state, self.removed))
        self.assertIn('upgrade-1', member.cause)
        self.is_left()

    def test_an_operators_end_before_the_request_removes_what_was_pushed(self):
        run_id = self.begun()

        def about_to_ask(member, visit, save):
            self.runs.abort(run_id)
            save(member.learned(bundle='sha', asked_after=''))

        self.steps = {**self.steps, T.UPGRADE: Stepped(about_to_ask)}
        member = run_next(self.a_runner(), run_id)
        self.assertEqual((S.ABORTED, [True]), (member.state, self.removed))

    def test_one_that_may_have_been_asked_for_is_left_to_the_next_run_by_an_operators_end(self):
        run_id = self.begun()

        def asked(member, visit, save):
            save(member.learned(bundle='sha', asked_after=''))
            raise Stopped

        self.steps = {**self.steps, T.UPGRADE: Stepped(asked)}
        self.assertRaises(Stopped, run_next, self.a_runner(), run_id)
        self.runs.abort(run_id)
        self.assertEqual(S.RUNNING, self.runs.members(run_id)[0].state)
        member = run_next(self.a_runner(), run_id)
        self.assertEqual((S.ABORTED, [True]), (member.state, self.removed))
        self.is_left()

    def test_what_clients_do_with_upgrades_of_their_instances_fails_no_member(self):
        run_id = self.begun(FIRST, SECOND)
        aborted = UpgradeAborted(upgrade_id='u-1', instance_id=FIRST)
        held = UpgradeHeld(instance_id=SECOND, found='its upgrade u-2 is held')
        ends = [aborted, held]

        def asked(member, visit, save):
            save(member.learned(bundle='sha', asked_after='', upgrade_id='u'))
            raise ends.pop(0)

        self.steps = {**self.steps, T.UPGRADE: Stepped(asked)}
        for error in (aborted, held):
            member = run_next(self.a_runner(), run_id)
            self.assertEqual((S.ABORTED, error.code), (member.state, member.error_code))
            self.assertEqual(error.message, member.cause)
        turn = self.runs.turn(run_id)
        self.assertEqual((None, 0, []), (turn.stop, turn.failed, self.removed))

    def test_an_operators_end_of_a_waiting_member_leaves_its_upgrade_alone(self):
        run_id = self.begun()

        def asked(member, visit, save):
            save(member.learned(bundle='sha', asked_after='', upgrade_id='upgrade-1'))
            raise Stopped

        self.steps = {**self.steps, T.UPGRADE: Stepped(asked)}
        self.assertRaises(Stopped, run_next, self.a_runner(), run_id)
        self.runs.abort(run_id)
        [member] = self.runs.members(run_id)
        self.assertEqual((S.ABORTED, RunState.ABORTED), (member.state, self.runs.get(run_id).state))
        self.assertIn('Upgrade upgrade-1 goes its own way', member.cause)
        self.assertEqual('BRIDGE_RUN_ABORTED', member.error_code)
        self.assertIsNone(run_next(self.a_runner(), run_id))
        self.assertEqual([], self.removed)


class TestKilled(RunnerTestCase):
    def killed_in(self, step):
        """A process that dies inside of a step: none of its code runs after it."""

        def run(member, visit, save):
            self.steps[step].run(member, visit, save)
            raise Dead

        deadly = {**self.steps, step: Stepped(run)}
        runner = dataclasses.replace(self.a_runner('killed'), steps=deadly, door=Buried())
        run_id = self.begun()
        self.assertRaises(Dead, run_next, runner, run_id)
        return run_id

    def test_another_host_goes_on_when_the_lease_is_over_and_leaves_nothing_open(self):
        for step in (T.OPEN, T.REACH, T.CLOSE):
            with self.subTest(step):
                run_id = self.killed_in(step)
                self.assertIsNone(run_next(self.a_runner('host-2'), run_id))
                self.let_all_leases_end()
                member = run_next(self.a_runner('host-2'), run_id)
                self.assertEqual(S.COMPLETED, member.state)
                for shell in self.guests.shells:
                    shell.is_open = False  # the killed process's
                self.is_left()

    def test_the_reaper_alone_closes_what_was_open(self):
        for step in (T.OPEN, T.REACH):
            with self.subTest(step):
                self.killed_in(step)
                self.assertNotEqual({}, self.neutron.groups)
                self.let_all_leases_end()
                self.world.reaper.pass_once()
                self.is_as_before()
                self.runs.abort(self.runs.all()[0].id)
                self.let_all_leases_end()
                run_next(self.a_runner(), self.runs.all()[0].id)

    def test_a_process_that_is_to_end_closes_its_port_and_lets_another_go_on_at_once(self):
        run_id = self.begun()

        def run(member, visit, save):
            self.stopping = True
            return Done(member, 'slow')

        slow = dataclasses.replace(self.a_runner(), steps={**self.steps, T.REACH: Stepped(run)})
        self.assertRaises(Stopped, run_next, slow, run_id)
        self.is_as_before()
        self.stopping = False
        self.assertEqual(S.COMPLETED, run_next(self.a_runner('host-2'), run_id).state)
        self.is_left()


class TestWithoutAMend(RunnerTestCase):
    """What is away, wrong or another host's while a member is under way."""

    def with_step(self, step, run):
        return dataclasses.replace(self.a_runner(), steps={**self.steps, step: Stepped(run)})

    def test_a_database_that_goes_away_does_not_keep_the_port_open(self):
        openings = Changing(self.world.openings)
        closer = dataclasses.replace(self.world.closer, openings=openings)
        door = dataclasses.replace(self.door, closer=closer)
        steps = {step: dataclasses.replace(one, door=door) for step, one in self.steps.items()}

        def run(member, visit, save):
            openings.present = Away()
            raise network.NetworkUnavailable(what='x', found='away')

        runner = dataclasses.replace(
            self.a_runner(), door=door, steps={**steps, T.REACH: Stepped(run)}
        )
        self.assertRaises(network.NetworkUnavailable, run_next, runner, self.begun())
        self.assertEqual({}, self.neutron.groups)

    def test_an_outage_is_waited_for_and_leaves_each_member_at_its_step(self):
        def run(member, visit, save):
            raise network.NetworkUnavailable(what='x', found='away')

        run_id = self.begun(FIRST, SECOND)
        runner = self.with_step(T.REACH, run)
        crew = self.a_crew(lambda number, is_stopping: runner)
        self.assertRaises(network.NetworkUnavailable, crew.work, run_id)
        self.assertEqual(
            [(S.RUNNING, T.REACH), (S.RUNNING, T.REACH)],
            [(one.state, one.step) for one in self.runs.members(run_id)],
        )
        self.a_crew().work(run_id)
        self.assertEqual([S.COMPLETED] * 2, [one.state for one in self.runs.members(run_id)])
        self.is_left()

    def test_once_the_port_is_closed_an_outage_is_waited_for(self):
        def run(member, visit, save):
            if self.pauses < 2:
                save(member.learned(asked_after=''))
                raise network.NetworkUnavailable(what='x', found='away')
            return Done(save(member), member.facts.asked_after)

        member = run_next(self.with_step(T.UPGRADE, run), self.begun())
        self.assertEqual((S.COMPLETED, 2), (member.state, self.pauses))
        self.assertEqual('', member.steps[-1].message)

    def test_each_outage_is_waited_for_by_itself_however_long_the_step_lasts(self):
        fails = [True, False, True, False]

        def run(member, visit, save):
            self.time += 1000
            if fails.pop(0):
                raise network.NetworkUnavailable(what='x', found='away')
            if fails:
                return run(member, visit, save)
            return Done(member, 'well')

        runner = dataclasses.replace(self.with_step(T.UPGRADE, run), clock=self)
        self.assertEqual(S.COMPLETED, run_next(runner, self.begun()).state)
        self.assertEqual(2, self.pauses)

    def test_an_operators_end_while_an_outage_is_waited_for_lets_nothing_be_asked(self):
        asked = []

        def run(member, visit, save):
            asked.append(member)
            member = save(member.learned(bundle='sha', asked_after=''))
            self.runs.abort(member.run_id)
            raise network.NetworkUnavailable(what='x', found='away')

        member = run_next(self.with_step(T.UPGRADE, run), self.begun())
        self.assertEqual((S.ABORTED, 1, [True]), (member.state, len(asked), self.removed))

    def test_an_outage_that_lasts_leaves_the_member_and_one_is_not_waited_for_that_is_to_end(self):
        def run(member, visit, save):
            raise network.NetworkUnavailable(what='x', found='away')

        runner = dataclasses.replace(self.with_step(T.UPGRADE, run), patience_seconds=0)
        self.assertRaises(network.NetworkUnavailable, run_next, runner, self.begun())

        def stopped(member, visit, save):
            self.stopping = True
            raise network.NetworkUnavailable(what='x', found='away')

        runner = self.with_step(T.UPGRADE, stopped)
        self.assertRaises(Stopped, run_next, runner, self.begun(SECOND))
        self.assertEqual(0, self.pauses)

    def test_a_fault_of_the_program_ends_one_member_and_not_the_run(self):
        def run(member, visit, save):
            if member.instance_id == FIRST:
                raise ValueError('unexpected')
            return Reach(door=self.door).run(member, visit, save)

        run_id = self.begun(FIRST, SECOND)
        self.a_crew(lambda number, is_stopping: self.with_step(T.REACH, run)).work(run_id)
        first, second = self.runs.members(run_id)
        self.assertEqual((S.FAILED, 'INTERNAL_ERROR'), (first.state, first.error_code))
        self.assertEqual(S.COMPLETED, second.state)
        self.is_left()

    def test_a_host_that_lost_its_member_does_not_close_what_the_next_one_opened(self):
        run_id = self.begun()

        def run(member, visit, save):
            self.let_all_leases_end()
            other = self.runs.claim(run_id, 'host-2', LEASE).member
            self.taken = Visit()
            self.door.find(other, self.taken)
            self.door.open(other, self.taken)
            save(member)

        self.assertRaises(MemberLost, run_next, self.with_step(T.REACH, run), run_id)
        self.assertEqual([self.taken.opening.group_id], list(self.neutron.groups))

    def test_a_host_that_lost_its_member_turns_nothing_of_the_next_one_back(self):
        """Its shell was closed under it, so that its step met an error of its own."""
        for is_noticed in (True, False):
            with self.subTest(is_noticed):
                run_id = self.begun()

                def run(member, visit, save, is_noticed=is_noticed):
                    visit.is_lost = is_noticed
                    self.let_all_leases_end()
                    other = self.runs.claim(member.run_id, 'host-2', LEASE).member
                    self.taken = Visit()
                    self.door.find(other, self.taken)
                    self.door.open(other, self.taken)
                    raise errors.ReachError

                runner = self.with_step(T.REACH, run)
                self.assertRaises(MemberLost, run_next, runner, run_id)
                self.assertEqual([self.taken.opening.group_id], list(self.neutron.groups))
                [member] = self.runs.members(run_id)
                self.assertEqual((S.RUNNING, False), (member.state, member.is_undoing))
                self.let_all_leases_end()
                self.assertEqual(S.COMPLETED, run_next(self.a_runner(), run_id).state)

    def test_a_lease_that_is_lost_before_there_is_a_shell_lets_none_be_used(self):
        member = self.runs.claim(self.begun(), 'host-1', LEASE).member
        visit = Visit()
        self.door.find(member, visit)
        self.door.open(member, visit)
        visit.is_lost = True
        self.assertRaises(MemberLost, self.door.enter, member, visit)
        self.assertFalse(any(shell.is_open for shell in self.guests.shells))
        self.assertRaises(MemberLost, self.door.open, member, visit)


class TestKeeper(RunnerTestCase):
    def setUp(self):
        super().setUp()
        self.member = self.runs.claim(self.begun(), 'host-1', LEASE).member
        self.visit = Visit()
        self.door.find(self.member, self.visit)
        self.door.open(self.member, self.visit)
        self.shell = self.door.enter(self.member, self.visit)

    def a_keeper(self, runs=None, lease_seconds=LEASE):
        keeper = Keeper(
            runs or self.runs,
            self.world.openings,
            member=self.member,
            visit=self.visit,
            lease_seconds=lease_seconds,
            clock=self,
        )
        self.enterContext(keeper)
        return keeper

    def leases(self):
        """The ends of the member's lease and of its opening's."""
        member = self.runs.member(self.member.run_id, FIRST)
        return member.lease_until, self.world.openings.get(self.visit.opening.id).lease_until

    def test_both_leases_are_moved_ahead(self):
        before = self.leases()
        self.a_keeper(lease_seconds=3600.0).keep()
        for old, new in zip(before, self.leases(), strict=True):
            self.assertLess(old, new)

    def test_one_that_cannot_be_kept_is_lost_when_it_is_over_and_not_before(self):
        keeper = self.a_keeper(Away())
        self.time = LEASE - 1
        keeper.keep()
        self.assertTrue(self.shell.is_open)
        self.time = LEASE
        keeper.keep()
        self.assertEqual((True, False), (self.visit.is_lost, self.shell.is_open))

    def test_an_opening_that_this_visit_closed_itself_costs_nothing(self):
        keeper = self.a_keeper()
        opening = self.visit.opening
        self.door.leave(self.visit)
        self.visit.opening = None
        keeper.keep()
        self.assertFalse(self.visit.is_lost)
        self.assertEqual(opening.id, self.world.openings.get(opening.id).id)

    def test_an_opening_that_another_closed_ends_the_shell_and_keeps_the_member(self):
        keeper = self.a_keeper()
        self.world.closer.close(self.visit.opening)
        keeper.keep()
        self.assertEqual((False, False), (self.visit.is_lost, self.shell.is_open))

    def test_a_member_of_another_host_is_lost_at_once(self):
        keeper = self.a_keeper()
        self.let_all_leases_end()
        self.runs.claim(self.member.run_id, 'host-2', LEASE)
        keeper.keep()
        self.assertEqual((True, False), (self.visit.is_lost, self.shell.is_open))

    def test_a_member_that_has_just_ended_here_or_was_left_is_not_lost(self):
        log = self.useFixture(fixtures.FakeLogger(name='trove_upgrade'))
        for give_back in (self.runs.release, lambda member: self.runs.end(member, S.COMPLETED)):
            keeper = self.a_keeper()
            give_back(self.member)
            keeper.keep()
            self.assertFalse(self.visit.is_lost)
            self.member = self.runs.claim(self.member.run_id, 'host-1', LEASE).member
        self.assertNotIn('ends', log.output)


class Away:
    """Database that gives no answer."""

    def __getattr__(self, name):
        raise ConnectionError('the database is away')


class Changing:
    """Openings in another database from some moment on."""

    def __init__(self, present):
        self.present = present

    def __getattr__(self, name):
        return getattr(self.present, name)
