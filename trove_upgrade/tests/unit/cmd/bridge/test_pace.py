# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge reach` and `resume` with options of the pace."""

from trove_upgrade.domain.bridge_runs import MemberState, RunScope, RunState
from trove_upgrade.domain.pace import DEFAULT_PACE, Limits, Pace, StopRule
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_key
from trove_upgrade.tests.unit.db.test_bridge_pace import ids
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

USAGE, FAILED = 2, 1
FIRST, SECOND = database.INSTANCE, database.OTHER_INSTANCE


class TestPace(BridgeTestCase):
    def setUp(self):
        super().setUp()
        port = a_port('nic-1', server_id=database.SERVER)
        self.neutron.ports = {port.id: port}
        self.servers.found = [a_server(database.SERVER, port)]
        self.runs = self.world.db.repositories.bridge_runs
        self.key = a_key(self.folder)

    def reach(self, *words, code=FAILED):
        """No route leads to any guest."""
        way = ('--no-local', '--key-file', self.key)
        return self.tool('reach', '--instance', FIRST, *way, *words, code=code)

    def resume(self, run_id, *words):
        return self.tool(
            'resume', run_id, '--no-local', '--key-file', self.key, *words, code=FAILED
        )

    def test_a_run_keeps_what_its_options_have_named_and_the_defaults_else(self):
        self.reach()
        self.reach(
            *('--at-once', '3', '--per-node', '2', '--per-hypervisor', '1'),
            *('--canary', '0', '--wave', '7', '--stop-after', '9', '--stop-percent', '8'),
        )
        named = Pace(
            limits=Limits(at_once=3, per_node=2, per_hypervisor=1),
            canary=0,
            wave_size=7,
            stop=StopRule(count=9, percent=8),
        )
        self.assertCountEqual([DEFAULT_PACE, named], [run.pace for run in self.runs.all()])

    def test_numbers_that_cannot_be_meant_begin_nothing(self):
        for words in (
            ('--at-once', '0'),
            ('--at-once', '65'),
            ('--per-node', '0'),
            ('--per-hypervisor', '-1'),
            ('--canary', '-1'),
            ('--wave', 'all'),
            ('--stop-percent', '101'),
        ):
            self.assertIn(words[0], self.reach(*words, code=USAGE))
        self.assertEqual([], self.runs.all())

    def test_of_a_large_run_only_what_is_not_well_is_shown_at_its_end(self):
        members = [listed(one) for one in (FIRST, *ids(30))]
        run_id = self.runs.begin(members, RunScope.REACH).id
        shown = self.resume(run_id)
        [failed] = [one for one in self.runs.members(run_id) if one.state is MemberState.FAILED]
        self.assertIn(failed.instance_id, shown)
        self.assertIn(f'30 others: "trove-upgrade-bridge report {run_id}"', shown)
        for one in self.runs.members(run_id):
            self.assertEqual(one == failed, one.instance_id in shown)

    def test_a_run_whose_canary_fails_tells_how_to_go_on_and_then_goes_on(self):
        run_id = self.runs.begin([listed(FIRST), listed(SECOND)], RunScope.REACH).id
        told = self.resume(run_id)
        self.assertIn('one of its canary has failed', told)
        self.assertIn(f'resume {run_id} --accept-failures', told)
        self.assertEqual(RunState.STOPPED, self.runs.get(run_id).state)
        self.resume(run_id)
        self.assertEqual(MemberState.PENDING, self.runs.member(run_id, SECOND).state)
        told = self.resume(run_id, '--accept-failures', '--per-node', '9')
        self.assertIn('Failures accepted: 1 (1 SERVER_NOT_FOUND)', told)
        self.assertNotIn('canary', told)
        run = self.runs.get(run_id)
        self.assertEqual(RunState.ENDED, run.state)
        self.assertEqual(
            (9, DEFAULT_PACE.limits.at_once), (run.pace.limits.per_node, run.pace.limits.at_once)
        )
