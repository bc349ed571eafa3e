# SPDX-License-Identifier: Apache-2.0
"""The Python API of our own client against the API, over loopback."""

from trove_upgrade.domain import states
from trove_upgrade.tests.unit import database, stored
from trove_upgrade.tests.unit.api import served, stage
from trove_upgrade.tests.unit.domain import test_downtime
from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import cells
from troveupgradeclient.v1 import client, resources
from troveupgradeclient.v1.upgrades import Filters


class TestUpgradeClient(served.ServedApiTestCase):
    def setUp(self):
        super().setUp()
        self.client = self.client_of(stage.MEMBER)
        self.instance = self.client.instances.find('db1')

    def client_of(self, roles):
        return client.Client(session=self.session(roles))

    def start(self):
        return self.client.upgrades.start(self.instance.id, '11.8.6')

    def assert_refused(self, status, code, call, *arguments):
        refused = self.assertRaises(exceptions.RequestRefused, call, *arguments)
        self.assertEqual((status, code), (refused.status, refused.code))
        self.assertTrue(str(refused).endswith(f'({code})'), refused)

    def test_an_upgrade_begins_and_is_found_by_its_id_and_by_its_instance(self):
        begun = self.start()
        self.assertEqual(('PENDING', 'db1'), (begun.state, begun.instance_name))
        self.assertEqual('11.8.6', begun.target_version.name)
        self.assertEqual([begun.id], self.taskmanager.upgrades)
        for handle in (begun.id, 'db1', database.INSTANCE):
            self.assertEqual(begun, self.client.upgrades.find(handle))

    def test_the_newest_upgrade_of_a_deleted_instance_is_found_by_the_instances_id(self):
        self.db.begin()
        newest = self.db.begin(self.db.add_instance(project_id=database.OTHER_PROJECT))
        begun = self.client.upgrades.find('db1')
        for instance in (database.INSTANCE, newest.instance_id):
            self.db.update_instance(instance, deleted=True)
        self.assertEqual(begun.id, self.client.upgrades.find(database.INSTANCE).id)
        self.assert_refused(404, 'UPGRADE_NOT_FOUND', self.client.upgrades.find, newest.instance_id)
        admins = self.client_of(stage.ADMIN).upgrades.find(newest.instance_id)
        self.assertEqual(newest.id, admins.id)

    def test_refusals_have_the_codes_of_the_api(self):
        find, start = self.client.upgrades.find, self.client.upgrades.start
        self.assert_refused(404, 'UPGRADE_NOT_FOUND', find, database.INSTANCE)
        self.assertRaises(exceptions.NameNotFound, find, 'db1')
        self.assert_refused(404, 'DATASTORE_VERSION_NOT_FOUND', start, self.instance.id, '12.0')
        self.start()
        self.assert_refused(422, 'INSTANCE_BUSY', start, self.instance.id, '11.8.6')

    def test_targets_have_a_verdict_for_each_version(self):
        found = {each.name: each for each in self.client.targets.list(self.instance.id)}
        self.assertEqual(
            {'10.11.14': ('SAME_VERSION', True), '11.8.6': ('NEXT_SERIES', True)},
            {name: (each.reason_code, each.allowed) for name, each in found.items()},
        )

    def test_a_report_is_asked_for_and_looked_at(self):
        asked = self.client.checks.create(self.instance.id, '11.8.6')
        self.assertEqual(asked, self.client.checks.get(self.instance.id, asked.id))
        self.assertEqual((False, None), (asked.has_ended, asked.allowed))

    def test_lists_are_read_to_their_end_in_pages(self):
        begun = set()
        for number in range(5):
            instance = self.db.add_instance(name=f'n{number}')
            begun.add(self.db.begin(instance).id)
        found = [each.id for each in self.client.upgrades.list()]
        self.assertEqual((begun, 5), (set(found), len(found)))
        self.assertEqual(found[:3], [each.id for each in self.client.upgrades.list(limit=3)])
        later = self.client.upgrades.list(marker=found[2])
        self.assertEqual(found[3:], [each.id for each in later])

    def test_filters_hold(self):
        begun = self.start()
        version = self.client.versions.find_id('11.8.6')
        for filters, count in (
            (Filters(states=('PENDING',)), 1),
            (Filters(states=('COMPLETED',)), 0),
            (Filters(instance_name='db1'), 1),
            (Filters(instance_name='db9'), 0),
            (Filters(instance_id=database.INSTANCE), 1),
            (Filters(target_version_id=version), 1),
            (Filters(target_version_id=database.MARIADB), 0),
        ):
            found = list(self.client.upgrades.list(filters))
            self.assertEqual(count, len(found), filters)
            self.assertTrue(all(each.id == begun.id for each in found))

    def test_an_admin_lists_the_upgrades_of_all_projects_and_others_may_not(self):
        self.start()
        everywhere = Filters(all_projects=True)
        self.assertEqual(1, len(list(self.client_of(stage.ADMIN).upgrades.list(everywhere))))
        self.assert_refused(403, 'FORBIDDEN', lambda: list(self.client.upgrades.list(everywhere)))

    def completed(self):
        upgrades = self.db.repositories.upgrades
        held = upgrades.claim(self.db.begin().id, 'me', 60)
        whole = stored.adding(held.evolve(steps=test_downtime.runs()), **test_downtime.told())
        return upgrades.end(whole, states.UpgradeState.COMPLETED)

    def assert_complete(self, answered, record):
        """No field of the answer is left out, and each has its value."""
        read, answered = cells.plain(record), served.with_zones(answered)
        self.assertEqual({**read, **answered}, {**read, 'links': answered.get('links', [])})

    def test_no_field_that_the_api_answers_is_left_out(self):
        self.completed()
        roles = {'roles': stage.ADMIN}
        admin = self.client_of(stage.ADMIN)
        [listed] = self.ask('GET', '/upgrades', **roles).json['upgrades']
        self.assert_complete(listed, next(admin.upgrades.list()))
        path = f'/upgrades/{listed["id"]}'
        shown = self.ask('GET', path, **roles).json['upgrade']
        self.assertNotEqual((None, []), (shown['downtime'], shown['steps']))
        self.assert_complete(shown, admin.upgrades.get(listed['id']))

    def test_no_field_of_targets_and_reports_is_left_out(self):
        path = f'/instances/{database.INSTANCE}'
        targets = self.ask('GET', f'{path}/upgrade-targets').json['upgrade_targets']
        for answered, record in zip(
            targets, self.client.targets.list(self.instance.id), strict=True
        ):
            self.assert_complete({**answered, 'links': []}, record)
        check = self.client.checks.create(self.instance.id, '11.8.6')
        answered = self.ask('GET', f'{path}/upgrade-checks/{check.id}').json['upgrade_check']
        self.assert_complete(answered, check)

    def test_every_state_of_the_service_is_known(self):
        known = {str(state) for state in states.UpgradeState}
        self.assertLessEqual(known, {str(state) for state in resources.State})
        self.assertEqual(tuple(map(str, states.STEPS)), resources.STEPS)
