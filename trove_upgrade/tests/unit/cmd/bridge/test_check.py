# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-bridge check`: what is wrong before a run is told, with what mends it."""

import json

from trove_upgrade.tests.unit import database
from trove_upgrade.tests.unit.cmd.bridge.base import BridgeTestCase

REFUSED = 1


class CheckTestCase(BridgeTestCase):
    def setUp(self):
        super().setUp()
        self.services = self.world.db.repositories.services
        self.services.register('host-1', 'trove-upgrade-taskmanager', '1')

    def results(self, *words, code=0):
        shown = self.tool('check', '--no-local', '--json', *words, code=code)
        return {result['name']: result for result in json.loads(shown)}


class TestCheck(CheckTestCase):
    def test_where_all_is_well_each_version_has_what_may_follow_it(self):
        found = self.results()
        self.assertEqual({'ok', 'warning'}, {result['outcome'] for result in found.values()})
        self.assertIn('--broker', found['broker']['message'])
        self.assertIn('11.8.6', found['version mariadb 10.11.14']['message'])
        self.assertIn('0 do not pass', self.tool('check', '--no-local'))

    def test_a_version_whose_targets_have_no_image_in_glance_is_named(self):
        self.images.missing = {database.IMAGE_11_8}
        found = self.results(code=REFUSED)['version mariadb 10.11.14']
        self.assertEqual(('refused', 'BRIDGE_NO_TARGET'), (found['outcome'], found['code']))
        self.assertIn(database.IMAGE_11_8, found['message'])

    def test_a_taskmanager_of_an_earlier_release_is_no_control_plane_to_begin_with(self):
        self.services.register('old-1', 'trove-upgrade-taskmanager', '1', release='borealis', pid=1)
        found = self.results(code=REFUSED)['control plane']
        self.assertEqual('BRIDGE_CONTROL_PLANE_OLDER', found['code'])
        self.assertIn('old-1', found['message'])

    def test_without_a_taskmanager_no_run_can_go_well(self):
        for service in self.services.list():
            self.services.forget(service.id, force=True)
        found = self.results(code=REFUSED)['control plane']
        self.assertEqual('BRIDGE_CONTROL_PLANE_ABSENT', found['code'])

    def test_an_address_that_cannot_be_understood_is_refused_before_anything_is_asked(self):
        for text in ('broker', 'broker:', ':5672', 'broker:amqp'):
            self.assertIn('HOST:PORT', self.tool('check', '--broker', text, code=2))
        self.assertEqual([], self.clouds)


class TestTemplates(CheckTestCase):
    def setUp(self):
        super().setUp()
        self.templates = self.folder / 'templates'

    def has(self, *directories):
        for directory in directories:
            (self.templates / directory).mkdir(parents=True)
            (self.templates / directory / 'config.template').write_text(directory)

    def of_1011(self, *words, code=0):
        found = self.results('--template-path', str(self.templates), *words, code=code)
        return found['template of mariadb 10.11.14']

    def test_a_version_without_any_is_refused(self):
        found = self.of_1011(code=REFUSED)
        self.assertEqual('BRIDGE_TEMPLATE_MISSING', found['code'])

    def test_the_directory_of_the_version_or_its_series_is_what_trove_takes(self):
        for directory in ('mariadb', 'mariadb/10', 'mariadb/10.11', 'mariadb/10.11.14'):
            with self.subTest(directory):
                self.has(directory)
                found = self.of_1011()
                self.assertEqual('ok', found['outcome'])
                self.assertIn(f'{directory}/config.template', found['message'])

    def test_one_of_the_series_under_another_name_is_reported_with_the_copy_and_copied(self):
        self.has('mariadb', 'mariadb/10.11-ga')
        found = self.of_1011()
        self.assertEqual(('warning', 'BRIDGE_TEMPLATE_CHANGES'), (found['outcome'], found['code']))
        target = self.templates / 'mariadb/10.11.14'
        self.assertIn(f'Copy {self.templates}/mariadb/10.11-ga to {target}.', found['message'])
        self.assertFalse(target.exists())
        self.assertIn('Copied', self.of_1011('--fix-templates')['message'])
        self.assertEqual('mariadb/10.11-ga', (target / 'config.template').read_text())
        self.assertIn(str(target), self.of_1011('--fix-templates')['message'])

    def test_a_copy_that_cannot_be_made_is_told_and_nothing_passes_by_it(self):
        self.has('mariadb/10.11-ga')
        (self.templates / 'mariadb/10.11.14').mkdir()
        found = self.of_1011('--fix-templates', code=REFUSED)
        self.assertEqual('BRIDGE_TEMPLATE_MISSING', found['code'])
        self.assertIn('could not be copied', found['message'])

    def test_the_operators_directory_comes_before_what_trove_ships(self):
        shipped = self.folder / 'shipped'
        self.has('mariadb/10.11-ga')
        self.templates, own = shipped, self.templates
        self.has('mariadb')
        found = self.results(
            '--template-path', str(own), '--template-path', str(shipped), '--fix-templates'
        )
        self.assertIn(
            f'to {own}/mariadb/10.11.14', found['template of mariadb 10.11.14']['message']
        )
