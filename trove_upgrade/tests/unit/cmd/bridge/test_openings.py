# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge audit` and `reap`: what an operator reads, and what is closed."""

import json

import sqlalchemy as sa

from trove_upgrade.domain.openings import GROUP_NAME, Tag
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import (
    FORMER,
    PROJECT,
    RUN,
    a_port,
    a_request,
)
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase

OPEN = 3
OTHER = Tag(run_id=RUN, opening_id='00000000-0000-4000-8000-0000000000f2')


class TestAudit(BridgeTestCase):
    def test_where_nothing_is_open_it_tells_so(self):
        self.assertEqual('Nothing is open.\n', self.tool('audit'))

    def test_what_is_open_is_a_line_with_what_an_operator_looks_for_and_a_code(self):
        opening = self.world.opener.open(a_request())
        shown = self.tool('audit', code=OPEN)
        for word in ('HELD', opening.id, opening.group_id, RUN, database.INSTANCE, '10.0.0.2/32'):
            self.assertIn(word, shown)
        self.assertIn('Open, or not closed yet: 1.', shown)

    def test_programs_read_the_same(self):
        opening = self.world.opener.open(a_request())
        self.neutron.create_group(GROUP_NAME, 'my own', PROJECT)
        found = json.loads(self.tool('audit', '--json', code=OPEN))
        self.assertFalse(found['clean'])
        self.assertEqual(['HELD', 'FOREIGN'], [one['verdict'] for one in found['groups']])
        self.assertEqual(opening.id, found['groups'][0]['opening']['id'])
        self.assertEqual(['10.0.0.2/32'], found['groups'][0]['sources'])

    def test_a_rule_that_another_client_added_is_a_line_more(self):
        opening = self.world.opener.open(a_request())
        self.neutron.add_rule(opening.group_id, None)
        self.assertIn('any address', self.tool('audit', code=OPEN))

    def test_a_group_of_another_client_is_named_and_is_no_opening(self):
        self.neutron.create_group(GROUP_NAME, 'my own', PROJECT)
        shown = self.tool('audit')
        self.assertIn('FOREIGN', shown)
        self.assertIn('Nothing is open.', shown)

    def test_what_a_tenant_has_imitated_is_named_and_is_no_opening(self):
        self.neutron.create_group(GROUP_NAME, OTHER.description, PROJECT)
        shown = self.tool('audit')
        for line in ('IMITATION', 'left as they are: 1. Any tenant', 'Nothing is open.'):
            self.assertIn(line, shown)
        [found] = json.loads(self.tool('audit', '--json'))['groups']
        self.assertEqual('IMITATION', found['verdict'])

    def test_a_guest_with_a_group_of_ours_that_no_row_here_has_is_open(self):
        port = self.neutron.ports['port-1'] = a_port(server_id=database.SERVER)
        self.servers.found = [a_server(database.SERVER, port)]
        group = self.neutron.create_group(GROUP_NAME, OTHER.description, PROJECT)
        self.neutron.write_port('port-1', (group.id,))
        self.assertIn('UNRECORDED', self.tool('audit', code=OPEN))
        self.assertIn('Removed', self.tool('reap', '--group', group.id, '--yes'))
        self.assertEqual((), self.neutron.ports['port-1'].groups)

    def test_a_port_of_a_tenant_with_the_id_of_a_guests_server_and_a_group_is_an_imitation(self):
        port = a_port(server_id=database.SERVER)
        self.servers.found = [a_server(database.SERVER, port)]
        self.neutron.ports = {'forged': a_port('forged', server_id=database.SERVER, project_id='x')}
        group = self.neutron.create_group(GROUP_NAME, OTHER.description, 'x')
        self.neutron.write_port('forged', (group.id,))
        shown = self.tool('audit')
        for word in ('IMITATION', 'Nothing is open.'):
            self.assertIn(word, shown)

    def test_a_neutron_that_gives_no_answer_is_no_clean_audit(self):
        self.neutron.is_away = True
        self.assertIn('NETWORK_UNAVAILABLE', self.tool('audit', code=1))

    def test_the_login_is_the_operators_cloud_where_one_is_named(self):
        self.tool('audit')
        self.tool('--os-cloud', 'lab', 'audit')
        self.assertEqual([None, 'lab'], self.clouds)


class TestReap(BridgeTestCase):
    def test_what_a_bridge_still_holds_stays_open(self):
        opening = self.world.opener.open(a_request())
        self.assertIn('HELD', self.tool('reap', code=OPEN))
        self.assertIn(opening.group_id, self.neutron.ports['port-1'].groups)

    def test_what_outlived_its_lease_is_closed_and_named(self):
        opening = self.world.opener.open(a_request())
        self.world.let_leases_end()
        shown = self.tool('reap')
        self.assertIn(f'Closed: opening {opening.id}', shown)
        self.assertIn('Nothing is open.', shown)
        self.assertEqual(set(FORMER), set(self.neutron.ports['port-1'].groups))

    def test_a_run_is_closed_before_its_leases_end_and_another_run_is_not(self):
        other = '00000000-0000-4000-8000-0000000000f9'
        self.world.opener.open(a_request())
        kept = self.world.opener.open(a_request('port-2', run_id=other))
        self.tool('reap', '--run', RUN, code=OPEN)
        self.assertEqual([kept.group_id], list(self.neutron.groups))
        self.assertIn('Nothing is open.', self.tool('reap', '--all'))

    def test_a_group_that_no_opening_here_has_goes_only_when_it_is_named_and_confirmed(self):
        self.neutron.create_group(GROUP_NAME, OTHER.description, PROJECT)
        [group] = self.neutron.groups
        self.assertIn('left as they are: 1', self.tool('reap', '--all'))
        self.assertIn('Nothing has been changed', self.tool('reap', '--group', group, code=OPEN))
        self.assertEqual([group], list(self.neutron.groups))
        self.assertIn(f'Removed: group {group}', self.tool('reap', '--group', group, '--yes'))
        self.assertEqual({}, self.neutron.groups)

    def test_a_group_that_is_held_here_or_is_another_clients_cannot_be_named(self):
        opening = self.world.opener.open(a_request())
        self.neutron.create_group(GROUP_NAME, 'my own', PROJECT)
        for group in list(self.neutron.groups):
            self.assertIn('audit', self.tool('reap', '--group', group, '--yes', code=2))
        self.assertIn(opening.group_id, self.neutron.groups)
        self.assertEqual(2, len(self.neutron.groups))

    def test_one_that_cannot_be_closed_is_named_with_the_reason_and_a_code(self):
        self.world.opener.open(a_request())

        def another(port_id):
            self.neutron.write_port(port_id, self.neutron.ports[port_id].groups)

        self.neutron.before_write = another
        self.world.let_leases_end()
        shown = self.tool('reap', code=OPEN)
        self.assertIn('Not closed: opening', shown)
        self.assertIn('changed by another client', shown)

    def test_a_group_that_is_not_confirmed_closes_nothing_else(self):
        opening = self.world.opener.open(a_request())
        self.world.let_leases_end()
        self.neutron.create_group(GROUP_NAME, OTHER.description, PROJECT)
        [group] = set(self.neutron.groups) - {opening.group_id}
        self.tool('reap', '--group', group, code=OPEN)
        self.assertEqual({group, opening.group_id}, set(self.neutron.groups))

    def test_a_run_that_is_not_there_is_named(self):
        self.assertIn('BRIDGE_RUN_NOT_FOUND', self.tool('reap', '--run', 'gone', code=1))

    def test_without_the_table_nothing_is_called_closed(self):
        with self.world.db.database.write() as connection:
            connection.execute(sa.text('DROP TABLE upgrade_bridge_openings'))
        for command in ('audit', 'reap'):
            self.assertIn('SCHEMA_MISSING', self.tool(command, code=1))

    def test_what_is_gone_with_its_project_is_written_closed_by_an_operator_alone(self):
        opening = self.world.opener.open(a_request())
        self.assertIn('is there', self.tool('reap', '--gone', opening.id, code=2))
        self.neutron.is_admin = False
        self.assertIn(
            f'Written closed: opening {opening.id}', self.tool('reap', '--gone', opening.id)
        )
