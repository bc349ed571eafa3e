# SPDX-License-Identifier: Apache-2.0
"""`--smoke-create`: one new instance of each version that a run has led to."""

import contextlib
import io

from cryptography import fernet

from trove_upgrade.bridge.smoke import Shape, name_of
from trove_upgrade.cmd.bridge import smoke
from trove_upgrade.domain.bridge_runs import MemberState, RunPlan, RunScope
from trove_upgrade.domain.database_service import NotOffered
from trove_upgrade.domain.pace import Pace
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.test_openings import a_request
from trove_upgrade.tests.unit.bridge.trove import Time, an_instance
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase, a_bundle
from trove_upgrade.tests.unit.db.test_bridge_runs import listed

FIRST, SECOND = database.INSTANCE, database.OTHER_INSTANCE
SHAPE = Shape(flavor_id='small', volume_size_gb=1, network_id=None)


class SmokeCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs
        self.repositories = self.world.db.repositories
        self.cloud = self  #: as the context of a command has it
        targets = {FIRST: 'v2', SECOND: 'v2'}
        self.run_id = self.runs.begin(
            [listed(FIRST), listed(SECOND)],
            RunScope.UPGRADE,
            RunPlan(targets=targets, pace=Pace(canary=0)),
        ).id

    def ended(self, *states):
        for state in states:
            self.runs.end(self.runs.claim(self.run_id, 'host-1', 60).member, state)


class TestSmoke(SmokeCase):
    def test_one_is_made_for_all_members_of_a_version_and_is_gone_again(self):
        self.ended(MemberState.COMPLETED, MemberState.COMPLETED)
        self.assertEqual(0, smoke.make(self, self.run_id, SHAPE, Time()))
        self.assertEqual(1, len(self.databases.made))
        self.assertEqual({}, self.databases.there)

    def made(self):
        """Return the exit code, and what was told."""
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = smoke.make(self, self.run_id, SHAPE, Time())
        return code, told.getvalue()

    def test_of_a_version_that_no_member_came_to_none_is_made_and_that_is_told(self):
        self.ended(MemberState.FAILED, MemberState.FAILED)
        code, told = self.made()
        self.assertEqual((0, []), (code, self.databases.made))
        self.assertIn('no new instance is made', told)

    def left(self):
        name = name_of(self.run_id, 'v2')
        self.databases.there['old'] = an_instance(id='old', name=name)
        self.databases.there['tenants'] = an_instance(id='tenants')
        return name

    def test_what_a_killed_process_has_left_is_told_and_deleted_first(self):
        self.ended(MemberState.FAILED, MemberState.FAILED)
        name = self.left()
        code, told = self.made()
        self.assertEqual((0, ['tenants']), (code, list(self.databases.there)))
        self.assertIn(f'Instance old, {name}, was left by an earlier process.', told)

    def test_where_that_cannot_be_deleted_or_looked_for_the_exit_code_tells(self):
        self.ended(MemberState.FAILED, MemberState.FAILED)
        name = self.left()
        self.databases.looks_until_gone = 10_000
        code, told = self.made()
        self.assertEqual(1, code)
        self.assertIn(f'force delete {name}', told)
        self.databases.away = {'instances': 1}
        code, told = self.made()
        self.assertEqual(1, code)
        self.assertIn('Not looked for', told)

    def test_one_that_does_not_serve_is_told_by_the_exit_code(self):
        self.ended(MemberState.COMPLETED)
        self.databases.refuses = {'create_instance': 1}
        self.assertEqual(1, smoke.make(self, self.run_id, SHAPE, Time()))

    def test_without_the_option_none_is_made_and_without_a_flavor_nothing_begins(self):
        self.ended(MemberState.COMPLETED)
        self.assertEqual(0, smoke.make(self, self.run_id, None))
        self.assertEqual([], self.databases.made)
        self.assertIn('--smoke-flavor', self.tool('resume', self.run_id, '--smoke-create', code=2))


class TestCommands(SmokeCase):
    OPTIONS = ('--smoke-create', '--smoke-flavor', 'small')

    def bundle(self):
        return '--bundle', str(a_bundle(self.folder))

    def resumed(self, code):
        encrypting = fernet.Fernet.generate_key().decode()
        with self.conf.open('a') as conf:
            conf.write(f'[trove_upgrade]\nguest_key_encryption_keys = {encrypting}\n')
        return self.tool('resume', self.run_id, *self.bundle(), *self.OPTIONS, code=code)

    def test_one_is_tried_although_a_member_failed_and_the_worse_end_is_the_exit_code(self):
        self.ended(MemberState.COMPLETED, MemberState.FAILED)
        self.databases.refuses = {'create_instance': 1}
        self.assertIn('New instance of version v2: FAILED', self.resumed(code=1))

    def test_a_port_that_is_open_is_told_by_the_exit_code_all_the_same(self):
        self.ended(MemberState.COMPLETED, MemberState.FAILED)
        self.world.opener.open(a_request(run_id=self.run_id))
        self.databases.refuses = {'create_instance': 1}
        self.assertIn('New instance of version v2: FAILED', self.resumed(code=3))

    def test_a_member_that_failed_is_no_success_where_the_new_instance_is_not_offered(self):
        self.ended(MemberState.COMPLETED, MemberState.FAILED)
        self.databases.create_instance = self.not_offered
        self.assertIn('New instance of version v2: NOT_OFFERED', self.resumed(code=1))

    def not_offered(self, wanted):
        raise NotOffered(what=wanted.name, status=405)

    def test_a_run_that_leads_to_no_version_takes_no_such_option(self):
        told = self.tool('run', '--all', *self.bundle(), *self.OPTIONS, code=2)
        self.assertIn('--upgrade-to', told)
        self.ended(MemberState.COMPLETED, MemberState.COMPLETED)
        run_id = self.runs.begin([listed(FIRST)], RunScope.AGENT).id
        told = self.tool('resume', run_id, *self.bundle(), *self.OPTIONS, code=2)
        self.assertIn('--upgrade-to', told)
        self.assertEqual([], self.databases.made)
