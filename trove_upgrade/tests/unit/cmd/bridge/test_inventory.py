# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge inventory`: no instance of any project is missed, with all its NICs."""

import dataclasses
import json

from trove_upgrade.db import trove_tables
from trove_upgrade.domain.guests import Heartbeat, ServerState
from trove_upgrade.domain.instances import Task
from trove_upgrade.domain.inventory import DRIVEN_MANAGERS
from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.bridge.neutron import a_server
from trove_upgrade.tests.unit.bridge.test_openings import a_port
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase

INSTANCE, OTHER = database.INSTANCE, database.OTHER_INSTANCE
SERVER = database.SERVER
NEVER_SEEN = '00000000-0000-4000-8000-0000000000aa'
DIFFERENT = 3


class InventoryTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.neutron.ports = {
            port.id: port
            for port in (
                a_port('nic-1', server_id=SERVER),
                a_port('nic-2', server_id=SERVER, addresses=('10.9.0.7', 'fd00::7')),
                a_port('of-another', server_id='other'),
            )
        }
        ports = [port for port in self.neutron.ports.values() if port.server_id == SERVER]
        self.servers.found = [a_server(SERVER, *ports)]

    def found(self, *words, code=0):
        listed = json.loads(self.tool('inventory', '--json', *words, code=code))
        return listed, {one['id']: one for one in listed['instances']}

    def update(self, **values):
        with self.world.db.database.write() as connection:
            connection.execute(
                trove_tables.instances.update()
                .where(trove_tables.instances.c.id == INSTANCE)
                .values(**values)
            )

    def listed(self, text, code=0):
        path = self.folder / 'list'
        path.write_text(text)
        return self.tool('inventory', '--diff', str(path), code=code)


class TestInventory(InventoryTestCase):
    def test_instances_of_all_projects_are_there_and_deleted_ones_are_not(self):
        _, found = self.found()
        self.assertEqual({INSTANCE, OTHER}, set(found))

    def test_each_has_all_its_nics(self):
        _, found = self.found()
        self.assertEqual(
            {('nic-1', ('10.0.0.7',)), ('nic-2', ('10.9.0.7', 'fd00::7'))},
            {(port['id'], tuple(port['addresses'])) for port in found[INSTANCE]['ports']},
        )
        self.assertEqual(
            (None, SERVER), (found[INSTANCE]['obstacle'], found[INSTANCE]['server_id'])
        )

    def test_a_reason_is_given_where_the_bridge_cannot_be_tried(self):
        for reason, change in (
            ('BUSY', {'task_id': int(Task.REBOOTING)}),
            ('IN_CLUSTER', {'cluster_id': 'c1'}),
            ('NO_SERVER', {'compute_instance_id': None}),
            ('SERVER_NOT_FOUND', {'compute_instance_id': 'unknown'}),
        ):
            with self.subTest(reason):
                former = {
                    'task_id': int(Task.NONE),
                    'cluster_id': None,
                    'compute_instance_id': SERVER,
                }
                self.update(**{**former, **change})
                self.assertEqual(reason, self.found()[1][INSTANCE]['obstacle'])
                self.update(**former)

    def test_one_whose_datastore_our_agent_cannot_upgrade_is_left_out(self):
        db = self.world.db
        db.insert(trove_tables.datastores, id='pg', name='postgresql', default_version_id=None)
        db.add_version(
            version_id='pg-16',
            datastore_id='pg',
            name='16.2',
            image_id='image',
            active=True,
            manager='postgresql',
        )
        self.update(datastore_version_id='pg-16')
        self.assertEqual('NO_DRIVER', self.found()[1][INSTANCE]['obstacle'])

    def test_managers_with_a_driver_are_those_of_the_agent(self):
        self.assertEqual(DRIVEN_MANAGERS, factory.managers())

    def test_a_server_that_is_off_or_has_no_address_is_not_tried(self):
        self.servers.found = [a_server(SERVER, status='SHUTOFF')]
        self.assertEqual('SERVER_NOT_ACTIVE', self.found()[1][INSTANCE]['obstacle'])
        self.servers.found = [a_server(SERVER)]
        self.neutron.ports = {'nic-1': a_port('nic-1', server_id=SERVER, addresses=())}
        self.assertEqual('NO_PORT', self.found()[1][INSTANCE]['obstacle'])

    def test_a_tenants_port_with_the_id_of_the_server_is_left_out_and_told(self):
        own = self.neutron.ports['nic-1']
        copied = dataclasses.replace(own, id='copied', project_id='another')
        self.neutron.ports = {'copied': copied, **self.neutron.ports}
        found = self.found()[1][INSTANCE]
        self.assertEqual(['nic-1', 'nic-2'], [port['id'] for port in found['ports']])
        self.assertEqual(
            [('copied', 'another')],
            [(port['id'], port['project_id']) for port in found['foreign_ports']],
        )
        self.assertIn(
            f'Instance {INSTANCE}: Port copied of project another', self.tool('inventory')
        )

    def test_a_server_that_has_such_ports_alone_has_none(self):
        own = self.neutron.ports['nic-1']
        self.neutron.ports = {'nic-1': dataclasses.replace(own, project_id='another')}
        found = self.found()[1][INSTANCE]
        self.assertEqual(('NO_PORT', []), (found['obstacle'], found['ports']))

    def test_a_guest_that_has_our_agent_needs_no_bridge(self):
        self.world.db.repositories.guests.record(
            Heartbeat(
                instance_id=INSTANCE,
                boot_id='b',
                marker=None,
                restored=False,
                agent_version='1.2.3',
                server_version=None,
                server_state=ServerState.RUNNING,
            )
        )
        _, found = self.found()
        self.assertEqual(
            ('HAS_AGENT', '1.2.3'), (found[INSTANCE]['obstacle'], found[INSTANCE]['agent_version'])
        )

    def test_a_guest_from_which_our_agent_was_removed_can_be_tried_again(self):
        self.test_a_guest_that_has_our_agent_needs_no_bridge()
        self.world.db.repositories.guests.forget_agent(INSTANCE)
        _, found = self.found()
        self.assertEqual(
            (None, None), (found[INSTANCE]['obstacle'], found[INSTANCE]['agent_version'])
        )

    def test_one_whose_version_has_no_row_any_more_is_there_with_its_server_and_nics(self):
        for gone in ({'datastore_version_id': None}, {'datastore_version_id': NEVER_SEEN}):
            with self.subTest(gone):
                self.update(**gone)
                found = self.found()[1][INSTANCE]
                self.assertEqual(
                    ('VERSION_GONE', None, SERVER, 'ACTIVE', 2),
                    (
                        found['obstacle'],
                        found['version'],
                        found['server_id'],
                        found['server_status'],
                        len(found['ports']),
                    ),
                )
                self.assertIn('VERSION_GONE: 1', self.tool('inventory'))

    def test_one_without_a_version_that_is_deleted_is_not_there(self):
        self.update(datastore_version_id=None, deleted=True)
        self.assertEqual({OTHER}, set(self.found()[1]))

    def test_an_operator_reads_how_many_there_are_and_why_some_are_left_out(self):
        shown = self.tool('inventory')
        for word in (
            '10.9.0.7/fd00::7',
            '2 instances; the bridge can be tried on 1.',
            'can be tried',
        ):
            self.assertIn(word, shown)


class TestDifference(InventoryTestCase):
    def test_a_list_is_compared_in_both_directions(self):
        shown = self.listed(f'{INSTANCE}\n\n{NEVER_SEEN}\n', code=DIFFERENT)
        self.assertIn(f'Only in the list: {NEVER_SEEN}', shown)
        self.assertIn(f'Not in the list: {OTHER}', shown)

    def test_the_same_instances_in_any_order_and_form_are_no_difference(self):
        for text in (
            f'{OTHER}\n{INSTANCE}\n',
            f'\ufeff{INSTANCE}\r\n{OTHER}\r\n',
            f'name,id\nx,{INSTANCE}\n"y, z",{OTHER}\n',
            'Instance_ID;\n'.replace(';', '') + f'{INSTANCE}\n{OTHER}\n',
        ):
            with self.subTest(text):
                self.assertIn('same instances', self.listed(text))

    def test_a_list_that_cannot_be_read_is_no_list_of_nothing(self):
        for text in ('a b c\n', f'{INSTANCE}\nnot an id\n', 'id,name\n,x\n'):
            with self.subTest(text):
                self.assertIn('INSTANCE_LIST_UNREADABLE', self.listed(text, code=1))
        gone = self.tool('inventory', '--diff', str(self.folder / 'gone'), code=1)
        self.assertIn('INSTANCE_LIST_UNREADABLE', gone)


class TestSecondLook(InventoryTestCase):
    """A cloud does not stand still while it is asked."""

    def vanishes(self):
        self.update(deleted=True)

    def appears(self):
        with self.world.db.database.write() as connection:
            connection.execute(
                trove_tables.instances.insert().values(id=NEVER_SEEN, name='new', deleted=False)
            )

    def test_one_that_appears_and_one_that_vanishes_meanwhile_are_named(self):
        self.servers.while_asked = lambda: (self.vanishes(), self.appears())
        shown = self.tool('inventory')
        for line in (
            f'Appeared while the inventory was taken: {NEVER_SEEN}',
            f'Vanished while the inventory was taken: {INSTANCE}',
            'Take the inventory again.',
        ):
            self.assertIn(line, shown)
        self.servers.while_asked = lambda: None
        self.assertNotIn('Take the inventory again.', self.tool('inventory'))

    def test_programs_read_both(self):
        self.servers.while_asked = self.vanishes
        listed, _ = self.found()
        self.assertEqual(
            ([], [INSTANCE]), (listed['appeared_meanwhile'], listed['vanished_meanwhile'])
        )

    def test_the_same_list_is_a_difference_where_the_cloud_has_changed_meanwhile(self):
        self.servers.while_asked = self.vanishes
        self.assertIn('same instances', self.listed(f'{OTHER}\n', code=DIFFERENT))
        self.assertIn('same instances', self.listed(f'{OTHER}\n'))
