# SPDX-License-Identifier: Apache-2.0
"""A fleet behind the bridge's ports: whatever fails and whatever is killed, every member comes to
its own end, no limit is exceeded at any moment, and nothing stays open.

Hosts overlap without threads: while one is in a guest, others work on theirs, so each order can be
had again.
"""

import dataclasses
import random
import uuid
from collections import Counter

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from trove_upgrade.bridge.outages import Outages
from trove_upgrade.bridge.reach import errors
from trove_upgrade.bridge.reach.accounts import Accounts
from trove_upgrade.bridge.reach.choice import Choice
from trove_upgrade.bridge.reach.logins import Login
from trove_upgrade.bridge.runner import MemberRunner
from trove_upgrade.bridge.server_ports import ServerPorts
from trove_upgrade.bridge.steps.step import Done
from trove_upgrade.bridge.steps.way_in import Close, Open, Reach
from trove_upgrade.bridge.visit import Door
from trove_upgrade.clock import SystemClock
from trove_upgrade.db import columns, models
from trove_upgrade.domain.bridge_runs import (
    ENDED,
    MemberLost,
    MemberState,
    MemberStep,
    NoRoom,
    RunPlan,
    RunScope,
    RunState,
)
from trove_upgrade.domain.pace import Hosts, Limits, Pace, StopRule
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.bridge import guests as unit_guests
from trove_upgrade.tests.unit.bridge.neutron import Dead, FakeNeutron, FakeNova
from trove_upgrade.tests.unit.bridge.test_openings import World, a_port
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

COUNT = 8
EXAMPLES = 15  #: about half a second each
LEASE = 60.0
#: Hosts of one process that are in guests at the same time, at most.
DEEPEST = 6
#: More than a run needs: each process ends with a kill, with a stop, or with all.
MOST_PROCESSES = 20
SOUND, REFUSES, BREAKS, STUCK = 'sound', 'refuses the login', 'breaks in the push', 'stuck once'
CODES = {SOUND: None, REFUSES: 'LOGIN_REFUSED', BREAKS: 'UPLOAD_FAILED', STUCK: 'UPLOAD_FAILED'}


@dataclasses.dataclass(frozen=True)
class Simulated:
    """A guest of the fleet."""

    instance_id: str
    port_id: str
    address: str
    network_id: str
    hypervisor: str
    fate: str

    @property
    def server_id(self):
        return f'server-of-{self.port_id}'

    @property
    def hosts(self):
        return Hosts(node=f'node-of-{self.network_id}', hypervisor=self.hypervisor)


def a_fleet(chance):
    return [
        Simulated(
            instance_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            port_id=f'port-{number}',
            address=f'10.0.0.{10 + number}',
            network_id=chance.choice(('net-1', 'net-2')),
            hypervisor=chance.choice(('c-1', 'c-2', 'c-3')),
            fate=chance.choice((SOUND, SOUND, SOUND, REFUSES, BREAKS, STUCK)),
        )
        for number in range(COUNT)
    ]


class MortalNeutron(FakeNeutron):
    """One whose client stays dead once it has died."""

    is_client_dead = False

    def _answer(self, what):
        if self.is_client_dead:
            raise Dead
        super()._answer(what)

    def _effect(self, do):
        try:
            return super()._effect(do)
        except Dead:
            self.is_client_dead = True
            raise


class MortalDoor(Door):
    """Door of a process that may be dead."""

    def leave(self, visit):
        if self.opener.network.is_client_dead:
            raise Dead
        return super().leave(visit)


class Shell:
    def __init__(self, on_close):
        self._on_close = on_close

    def close(self):
        self._on_close()


class Fleet:
    """Guests, a cloud around them, and the processes of a bridge over it."""

    def __init__(self, db, seed, pace):
        self.chance = random.Random(seed)
        self.guests = a_fleet(self.chance)
        self.by_server = {one.server_id: one for one in self.guests}
        self.by_id = {one.instance_id: one for one in self.guests}
        ports = [
            a_port(
                one.port_id,
                server_id=one.server_id,
                network_id=one.network_id,
                addresses=(one.address,),
            )
            for one in self.guests
        ]
        self.neutron = MortalNeutron(*ports, group_quota=100)
        self.world = World(db, self.neutron)
        self.world.nova.server = self.server
        self.runs, self.pace = db.repositories.bridge_runs, pace
        self.ssh = unit_guests.Guests(self.neutron)
        self.entered = {}  #: sessions that are open, by instance
        self.broken = []  #: rules of the pace that were broken
        self.removed, self.stuck, self.depth = set(), set(), 0

    def begin(self):
        members = [
            dataclasses.replace(listed(one.instance_id), server_id=one.server_id)
            for one in self.guests
        ]
        loaded = {one.instance_id: one.hosts for one in self.guests}
        plan = RunPlan(pace=self.pace, loaded=loaded)
        self.run_id = self.runs.begin(members, RunScope.AGENT, plan).id
        self.kept = set()

    # what a guest does

    def server(self, server_id):
        shown = FakeNova.server(self.world.nova, server_id)
        return dataclasses.replace(shown, hypervisor=self.by_server[server_id].hypervisor)

    def choose(self, network_id, chassis):
        route = unit_guests.Route(network_id)
        route.host = f'node-of-{network_id}'
        return Choice(route, ())

    def log_in(self, guest, route, login):
        one = self.by_server[guest.server_id]
        self.ssh.log_in(guest, route, login)  # a port that is closed lets nothing in
        if one.fate is REFUSES:
            raise errors.LoginRefused(user='root', server_id='s', route='r', found='no')
        self.entered[one.instance_id] = one.hosts
        self.look(one)
        self.others_work()
        return Shell(lambda: self.entered.pop(one.instance_id, None))

    def push(self, member, visit, save):
        member = save(member.learned(bundle='sha'))
        if self.by_id[member.instance_id].fate in {BREAKS, STUCK}:
            raise errors.UploadFailed(path='/opt/x', route='r', found='it broke')
        return Done(member, 'pushed')

    def remove(self, member, visit):
        if self.by_id[member.instance_id].fate is STUCK and member.instance_id not in self.stuck:
            self.stuck.add(member.instance_id)
            raise errors.ConnectionLost(address='a', port=22, route='r', found='gone')
        self.removed.add(member.instance_id)

    def look(self, one):
        """Compare those that are worked in now with what the pace allows."""
        hosts, limits = list(self.entered.values()), self.pace.limits
        nodes = Counter(each.node for each in hosts)
        hypervisors = Counter(each.hypervisor for each in hosts)
        for what, found, limit in (
            ('in all', len(hosts), limits.at_once),
            ('a node', max(nodes.values()), limits.per_node),
            ('a hypervisor', max(hypervisors.values()), limits.per_hypervisor),
        ):
            if found > limit:
                self.broken.append(f'{what}: {found} instead of {limit}')
        members = {each.instance_id: each for each in self.runs.members(self.run_id)}
        mine = members[one.instance_id].wave
        self.broken += [
            f'{each.instance_id} of wave {each.wave} goes on beside wave {mine}'
            for each in members.values()
            if each.wave < mine and each.state not in ENDED and not each.is_undoing
        ]

    # a process of the bridge

    def runner(self):
        door = MortalDoor(
            server_ports=ServerPorts(self.world.nova, self.neutron),
            openings=self.world.openings,
            opener=self.world.opener,
            closer=self.world.closer,
            chooser=self,
            accounts=Accounts(Login(user='root')),
            log_in=self.log_in,
            settle=self.runs.settle,
        )
        pushed = type('Push', (), {'run': staticmethod(self.push)})
        return MemberRunner(
            runs=self.runs,
            openings=self.world.openings,
            door=door,
            steps={
                MemberStep.OPEN: Open(door=door),
                MemberStep.REACH: Reach(door=door),
                MemberStep.PUSH: pushed,
                MemberStep.CLOSE: Close(door=door),
            },
            remove=self.remove,
            forget=lambda member: None,
            kept=self.kept,
            settle=lambda member: member,
            clock=SystemClock(),
            owner=f'host-{self.depth}',
            lease_seconds=LEASE,
            tell=lambda member, message: None,
            is_outage=lambda error: False,
            outages=Outages(SystemClock(), LEASE),
            pause=SystemClock(),
            is_stopping=lambda: False,
            is_gone=lambda instance_id: False,
        )

    def take_one(self):
        """Work on the next member; false where none may be begun now."""
        runner = self.runner()
        claim = runner.claim(self.run_id)
        if claim.member is None:
            return False
        try:
            runner.work(claim.member)
        except (MemberLost, NoRoom) as error:
            self.broken.append(error.message)  # the plan knew the hosts, and no lease was over
        return True

    def others_work(self):
        self.depth += 1
        while self.depth < DEEPEST and self.chance.random() < 0.7 and self.take_one():
            pass
        self.depth -= 1

    def process(self, dies_at):
        """One process, from its begin until nothing is left for it or it is killed."""
        self.kept, self.depth = set(), 0
        self.neutron.effects = 0
        self.neutron.dies = dies_at
        try:
            while self.take_one():
                pass
        except Dead:
            self.entered.clear()
            self.neutron.is_client_dead = False
            self.neutron.finish_late()
            self.let_leases_end()
        self.neutron.dies = None

    def let_leases_end(self):
        self.world.let_leases_end()
        members = models.upgrade_bridge_members
        with self.world.db.database.write() as connection:
            connection.execute(
                sa.update(members)
                .where(members.c.lease_until.is_not(None))
                .values(lease_until=columns.ahead(-1))
            )


PACES = st.builds(
    Pace,
    limits=st.builds(
        Limits,
        at_once=st.integers(1, 5),
        per_node=st.integers(1, 4),
        per_hypervisor=st.integers(1, 3),
    ),
    canary=st.integers(0, 2),
    wave_size=st.integers(0, 6),
    stop=st.builds(StopRule, count=st.integers(0, 3), percent=st.just(0)),
)
#: Numbers of the effects at Neutron at which one process after the other is killed.
KILLS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(('before', 'after', 'later'))), max_size=4
)


class TestFleet(base.TestCase):
    @settings(max_examples=EXAMPLES)
    @given(seed=st.integers(0, 2**32), pace=PACES, kills=KILLS)
    def test_every_member_comes_to_its_own_end_within_all_limits(self, seed, pace, kills):
        db = database.SampleDatabase()
        with db:
            fleet = Fleet(db, seed, pace)
            fleet.begin()
            deaths = iter(kills)
            for _ in range(MOST_PROCESSES):
                fleet.process(next(deaths, None))
                state = fleet.runs.get(fleet.run_id).state
                if state is RunState.ENDED:
                    break
                if state is RunState.STOPPED:
                    fleet.runs.accept_failures(fleet.run_id)
            self.has_ended_well(fleet)

    def has_ended_well(self, fleet):
        run = fleet.runs.get(fleet.run_id)
        self.assertEqual([], fleet.broken)
        members = {one.instance_id: one for one in fleet.runs.members(fleet.run_id)}
        self.assertEqual(
            {one.instance_id: CODES[one.fate] for one in fleet.guests},
            {key: one.error_code for key, one in members.items()},
        )
        self.assertEqual(RunState.ENDED, run.state)
        failed = {key for key, one in members.items() if one.state is MemberState.FAILED}
        self.assertEqual(failed, {one.instance_id for one in fleet.guests if one.fate != SOUND})
        pushed = {one.instance_id for one in fleet.guests if one.fate in {BREAKS, STUCK}}
        self.assertEqual(pushed, fleet.removed)
        self.assertEqual({}, fleet.entered)
        self.assertEqual({}, fleet.neutron.groups)
        self.assertEqual([], fleet.world.openings.not_closed())
        self.assertTrue(fleet.world.auditor.look().is_clean)
