# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge report`: everything that a run has done, and what of it is open."""

import datetime
import json
import os
import pathlib

from trove_upgrade.domain.bridge_runs import (
    MemberState,
    MemberStep,
    MemberStepRun,
    RunPlan,
    RunScope,
    StepEnd,
)
from trove_upgrade.domain.inventory import Obstacle
from trove_upgrade.domain.network import NetworkUnavailable
from trove_upgrade.domain.openings import GROUP_NAME, Tag
from trove_upgrade.domain.verified import Verified
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import PROJECT, a_port, a_request
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase
from trove_upgrade.tests.unit.db.test_bridge_runs import NOW, listed

FIRST, LEFT_OUT = database.INSTANCE, database.DELETED_INSTANCE
OPEN, USAGE, FAILED = 3, 2, 1


class ReportTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.runs = self.world.db.repositories.bridge_runs
        members = [listed(FIRST), listed(LEFT_OUT, Obstacle.NO_PORT)]
        plan = RunPlan(targets={FIRST: 'version-2'})
        self.run_id = self.runs.begin(members, RunScope.UPGRADE, plan).id

    def ended(self, state, **changes):
        held = self.runs.claim(self.run_id, 'host-1', 60).member
        looked = Verified.ok('rows', '4 tables are equal')
        step = MemberStepRun(
            step=MemberStep.VERIFY,
            started_at=NOW,
            ended_at=NOW + datetime.timedelta(seconds=1.5),
            end=StepEnd.DONE,
            message='as it should be',
        )
        member = held.learned(verified=(looked,)).evolve(steps=(step,), **changes)
        return self.runs.end(member, state)


class TestReport(ReportTestCase):
    def test_it_has_each_step_with_its_time_and_each_look(self):
        self.ended(MemberState.COMPLETED)
        shown = self.tool('report', self.run_id)
        for word in ('verify', '1.5 s', 'as it should be', 'rows: 4 tables are equal', 'NO_PORT'):
            self.assertIn(word, shown)
        self.assertIn('1 COMPLETED, 1 LEFT_OUT', shown)
        self.assertTrue(shown.endswith('Nothing is open.\n'), shown)

    def test_a_member_that_failed_or_goes_on_is_told_by_the_exit_code(self):
        self.tool('report', self.run_id, code=FAILED)
        self.ended(MemberState.FAILED, error_code='BRIDGE_NOT_VERIFIED', cause='no rows')
        self.assertIn('BRIDGE_NOT_VERIFIED: no rows', self.tool('report', self.run_id, code=FAILED))

    def test_what_of_it_is_open_comes_before_all_else(self):
        self.ended(MemberState.COMPLETED)
        self.world.opener.open(a_request(run_id=self.run_id))
        self.assertIn('HELD', self.tool('report', self.run_id, code=OPEN))

    def group_of(self, run_id):
        tag = Tag(run_id=run_id, opening_id='00000000-0000-4000-8000-0000000000f2')
        return self.neutron.create_group(GROUP_NAME, tag.description, PROJECT).id

    def test_a_guests_group_of_this_run_whose_row_is_gone_is_open(self):
        self.ended(MemberState.COMPLETED)
        self.neutron.ports['port-1'] = port = a_port(server_id=database.SERVER)
        self.servers.found = [a_server(database.SERVER, port)]
        self.neutron.write_port('port-1', (self.group_of(self.run_id),))
        self.assertIn('UNRECORDED', self.tool('report', self.run_id, code=OPEN))
        found = json.loads(self.tool('report', self.run_id, '--json', code=OPEN))
        self.assertFalse(found['audit']['clean'])

    def test_one_of_another_run_is_not_and_an_imitation_is_shown_alone(self):
        self.ended(MemberState.COMPLETED)
        imitated = self.group_of(self.run_id)
        self.neutron.ports['port-1'] = a_port(server_id=database.SERVER)
        other = self.group_of('00000000-0000-4000-8000-0000000000f9')
        self.neutron.write_port('port-1', (other,))
        shown = self.tool('report', self.run_id)
        self.assertIn(imitated, shown)
        self.assertNotIn(other, shown)
        self.assertTrue(shown.endswith('Nothing is open.\n'), shown)

    def test_programs_get_the_same(self):
        self.ended(MemberState.COMPLETED)
        found = json.loads(self.tool('report', self.run_id, '--json'))
        self.assertEqual(self.run_id, found['run']['id'])
        [member] = [one for one in found['members'] if one['instance_id'] == FIRST]
        self.assertEqual('rows', member['facts']['verified'][0]['name'])
        self.assertEqual('version-2', member['facts']['target_version_id'])
        self.assertTrue(found['audit']['clean'])


class TestFiles(ReportTestCase):
    def test_a_page_and_a_table_are_written_for_this_account_alone(self):
        self.ended(MemberState.FAILED, error_code='REACH_REFUSED', cause='no SSH')
        page, table = self.folder / 'report.html', self.folder / 'report.csv'
        page.write_text('of yesterday')
        page.chmod(0o644)
        words = ('--html', str(page), '--csv', str(table))
        told = self.tool('report', self.run_id, *words, code=FAILED)
        self.assertEqual(f'Written: {page}\nWritten: {table}\n', told)
        self.assertEqual([0o600, 0o600], [one.stat().st_mode & 0o777 for one in (page, table)])
        self.assertIn('REACH_REFUSED', page.read_text())
        self.assertEqual(3, len(table.read_text().splitlines()))

    def test_one_of_them_may_be_stdout(self):
        self.ended(MemberState.COMPLETED)
        self.assertTrue(self.tool('report', self.run_id, '--html', '-').startswith('<!DOCTYPE'))
        self.assertIn('"NO_PORT"', self.tool('report', self.run_id, '--csv', '-'))
        for words in (('--html', '-', '--csv', '-'), ('--json', '--csv', '-')):
            self.assertIn('can have stdout', self.tool('report', self.run_id, *words, code=USAGE))

    def test_a_link_stays_and_its_file_is_written(self):
        self.ended(MemberState.COMPLETED)
        (self.folder / 'pages').mkdir()
        page, link = self.folder / 'pages' / 'page.html', self.folder / 'link.html'
        link.symlink_to(page)
        for before in (None, 'of yesterday'):
            if before is not None:
                page.write_text(before)
            self.tool('report', self.run_id, '--html', str(link))
            self.assertTrue(link.is_symlink())
            self.assertTrue(page.read_text().startswith('<!DOCTYPE'))
            self.assertEqual([page], list(page.parent.iterdir()))

    def test_what_is_no_regular_file_is_written_and_stays(self):
        self.ended(MemberState.COMPLETED)
        pipe = self.folder / 'pipe'
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.tool('report', self.run_id, '--csv', str(pipe))
        self.assertTrue(pipe.is_fifo())
        self.assertIn(b'"NO_PORT"', os.read(reader, 65_536))
        terminal, device = os.openpty()  # no other process misses it
        for one in (terminal, device):
            self.addCleanup(os.close, one)
        link = self.folder / 'terminal'
        link.symlink_to(os.ttyname(device))
        for path in (link, pathlib.Path(os.ttyname(device))):
            self.tool('report', self.run_id, '--csv', str(path))
            self.assertIn(b'"NO_PORT"', os.read(terminal, 65_536))
            self.assertTrue(path.is_char_device())
        self.assertTrue(link.is_symlink())

    def test_a_file_that_cannot_be_written_leaves_nothing_and_the_former_one_as_it_was(self):
        self.ended(MemberState.COMPLETED)
        folder = self.folder / 'page'
        folder.mkdir()
        circle = self.folder / 'circle'
        circle.symlink_to(circle)
        for path in (folder, circle, self.folder / 'none' / 'page.html'):
            told = self.tool('report', self.run_id, '--html', str(path), code=FAILED)
            self.assertIn('ERROR SYSTEM_ERROR', told)
        self.assertEqual([], list(folder.iterdir()))
        self.assertEqual([], list(self.folder.glob('.page*')))

    def test_where_neutron_is_away_the_report_comes_first_and_tells_it(self):
        self.ended(MemberState.COMPLETED)
        self.neutron.groups_named = self.away
        page = self.folder / 'report.html'
        told = self.tool('report', self.run_id, '--html', str(page), code=FAILED)
        self.assertIn('ERROR NETWORK_UNAVAILABLE', told)
        self.assertIn('Not known whether something is open', page.read_text())
        shown = self.tool('report', self.run_id, code=FAILED)
        self.assertIn('as it should be', shown)
        self.assertNotIn('Nothing is open', shown)

    @staticmethod
    def away(name):
        raise NetworkUnavailable(what=name, found='no answer')

    def test_programs_get_why_it_is_not_known(self):
        self.ended(MemberState.COMPLETED)
        self.neutron.groups_named = self.away
        shown = self.tool('report', self.run_id, '--json', code=FAILED)
        found = json.loads(shown[: shown.rindex('}') + 1])
        self.assertIsNone(found['audit'])
        self.assertIn('no answer', found['audit_error'])
