# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge status` and `abort`: what an operator reads of a run."""

import dataclasses
import json
import os
import subprocess
import sys

from trove_upgrade.domain.bridge_runs import MemberState, RunPlan, RunScope
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.pace import Pace
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.test_openings import a_request
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FIRST, SECOND, LEFT_OUT = database.INSTANCE, database.OTHER_INSTANCE, database.DELETED_INSTANCE


class TestStatus(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs

    def begun(self):
        members = [listed(FIRST), listed(SECOND), listed(LEFT_OUT, Obstacle.NO_PORT)]
        return self.runs.begin(members, RunScope.REACH, RunPlan(pace=Pace(canary=0))).id

    def test_without_a_run_it_tells_so(self):
        self.assertEqual('There is no run.\n', self.tool('status'))

    def test_runs_are_counted_by_the_state_of_their_members(self):
        run_id = self.begun()
        shown = self.tool('status')
        for word in (run_id, 'RUNNING', '2 PENDING', '1 LEFT_OUT'):
            self.assertIn(word, shown)
        self.assertEqual([run_id], [one['id'] for one in json.loads(self.tool('status', '--json'))])

    def test_a_run_shows_each_member_and_why_it_ended(self):
        run_id = self.begun()
        held = self.runs.claim(run_id, 'host-1', 60).member
        failed = held.evolve(error_code='REACH_TIMED_OUT', cause='no answer', is_undoing=True)
        self.runs.end(failed, MemberState.FAILED)
        shown = self.tool('status', run_id)
        for word in (FIRST, 'FAILED', 'turned back', 'REACH_TIMED_OUT', 'no answer', 'NO_PORT'):
            self.assertIn(word, shown)
        found = {
            one['instance_id']: one for one in json.loads(self.tool('status', run_id, '--json'))
        }
        self.assertEqual('no answer', found[held.instance_id]['cause'])

    def test_a_name_that_the_terminal_has_no_characters_for_is_shown_with_escapes(self):
        named = dataclasses.replace(listed(FIRST), name='wiki-\u65e5')
        run_id = self.runs.begin([named], RunScope.REACH).id
        code = 'import sys; from trove_upgrade.cmd import scripts; sys.exit(scripts.bridge())'
        words = ('--config-file', str(self.conf), 'status', run_id)
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', code, *words],
            capture_output=True,
            env={**os.environ, 'PYTHONIOENCODING': 'latin-1', 'PYTHONUTF8': '0'},
            timeout=120,
            check=False,
        )
        self.assertEqual((0, b''), (done.returncode, done.stderr))
        self.assertIn(rb'wiki-\u65e5', done.stdout)

    def test_a_run_that_is_not_there_is_named(self):
        for words in (('status', 'gone'), ('abort', 'gone')):
            self.assertIn('BRIDGE_RUN_NOT_FOUND', self.tool(*words, code=1))

    def test_an_operators_end_tells_how_many_are_still_turned_back(self):
        run_id = self.begun()
        self.runs.claim(run_id, 'host-1', 60)
        shown = self.tool('abort', run_id)
        self.assertIn('ABORTED', shown)
        self.assertIn('by their hosts: 1', shown)

    def test_where_such_a_host_was_killed_it_names_the_moment_and_the_command(self):
        run_id = self.begun()
        held = [self.runs.claim(run_id, 'host-1', seconds).member for seconds in (60, 600)]
        shown = ' '.join(self.tool('abort', run_id).split())
        until = max(self.runs.member(run_id, one.instance_id).lease_until for one in held)
        self.assertIn(f'"trove-upgrade-bridge resume {run_id}"', shown)
        self.assertIn(f'after {until:%Y-%m-%d %H:%M:%S} UTC', shown)
        self.assertNotIn('killed', self.tool('abort', self.runs.begin([], RunScope.REACH).id))

    def test_what_a_killed_host_left_open_is_closed_with_the_run(self):
        run_id = self.begun()
        self.runs.release(self.runs.claim(run_id, 'host-1', 60).member)
        opening = self.world.opener.open(a_request(run_id=run_id))
        self.tool('abort', run_id)
        self.assertEqual({}, self.neutron.groups, opening)
