# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade check, check show and drift."""

import json

from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world

_QUICK = ('--interval', '0.01')


class TestCheck(base.CommandTestCase):
    def test_the_report_is_waited_for_and_0_means_that_the_upgrade_would_begin(self):
        self.world.check_looks = 3
        shown = self.json_of('check', 'orders', '11.8.6', *_QUICK)
        self.assertEqual((True, 2), (shown['allowed'], len(shown['results'])))

    def test_a_report_that_refuses_has_a_status_of_its_own(self):
        ended = self.run_command('check', 'reports', '11.8.6', *_QUICK)
        self.assertEqual(ExitStatus.CHECK_REFUSED, ended.status)
        self.assertIn('Resize the volume and try again. (VOLUME_SPACE)', ended.out)

    def test_the_same_image_is_told(self):
        self.world.booted = {world.ORDERS}
        for version, is_told in (('10.11.14', True), ('11.8.6', False)):
            ended = self.run_command('check', 'orders', version, *_QUICK)
            told = 'an upgrade would bring the same image.' in ended.err
            self.assertEqual((0, is_told), (ended.status, told))

    def test_a_report_may_be_looked_at_later(self):
        made = self.json_of('check', 'orders', '11.8.6', '--no-wait')
        self.assertEqual(('PENDING', None), (made['state'], made['allowed']))
        shown = self.json_of('check', 'show', 'orders', made['id'])
        self.assertEqual((made['id'], 'COMPLETED'), (shown['id'], shown['state']))

    def test_a_report_that_could_not_be_made_is_an_error(self):
        self.world.check_looks = 9
        made = self.json_of('check', 'orders', '11.8.6', '--no-wait')
        self.world.checks[made['id']].update(state='FAILED', cause='The database was away.')
        self.assertEqual('FAILED', self.json_of('check', 'show', 'orders', made['id'])['state'])

    def test_a_wait_for_a_report_that_cannot_be_made_tells_the_cause(self):
        for cause, code, told in (
            ('It was away.', 'DATABASE_AWAY', 'It was away. (DATABASE_AWAY)'),
            ('It was away. (DATABASE_AWAY)', 'DATABASE_AWAY', 'It was away. (DATABASE_AWAY)'),
            (None, None, 'The report could not be made.'),
        ):
            failed = {
                'id': world.new_id('check', len(self.world.checks)),
                'instance_id': world.ORDERS,
                'state': 'FAILED',
                'cause': cause,
                'error_code': code,
            }
            path = f'/instances/{world.ORDERS}/upgrade-checks/{failed["id"]}'
            content = json.dumps({'upgrade_check': failed}).encode()
            self.standin.application.once = [('GET', path, 200, content, [])]
            ended = self.run_command('check', 'orders', '11.8.6', *_QUICK, before=('--quiet',))
            self.assertEqual(ExitStatus.ERROR, ended.status)
            self.assertEqual([told], ended.err.splitlines())

    def test_a_wait_that_is_over_prints_the_report_as_it_stands_and_how_to_look_at_it(self):
        self.world.check_looks = 1000
        words = ('check', 'orders', '11.8.6', '--timeout', '0.05', *_QUICK)
        self.assertEqual('PENDING', self.json_of(*words, status=ExitStatus.WAIT_OVER)['state'])
        ended = self.run_command(*words)
        self.assertIn(f'openstack database upgrade check show {world.ORDERS} ', ended.err)

    def test_ctrl_c_before_the_answer_tells_that_a_report_may_be_made(self):
        at = 'POST', f'/instances/{world.ORDERS}/upgrade-checks'
        ended = self.interrupted(at, 'check', 'orders', '11.8.6', *_QUICK)
        told = (
            'A report may be made, which changes nothing. Ask for another one with: '
            f'openstack database upgrade check {world.ORDERS} 11.8.6'
        )
        self.assertEqual((ExitStatus.INTERRUPTED, ''), (ended.status, ended.out))
        self.assertEqual([told], ended.err.splitlines())

    def test_what_the_api_refuses_is_refused_at_once(self):
        self.assert_refused('DATASTORE_VERSION_NOT_FOUND', 'check', 'orders', '12.0')
        status = ExitStatus.CHECK_REFUSED
        self.assert_refused('VERSION_NOT_ALLOWED', 'check', 'orders', '10.6.22', status=status)
        line = self.assert_refused('UPGRADE_CHECK_NOT_FOUND', 'check', 'show', 'orders', 'nothing')
        self.assertIn('openstack database upgrade check orders VERSION', line)

    def test_a_name_in_a_hint_can_be_typed_as_it_stands(self):
        self.world.instances[world.ORDERS] = 'my $orders'
        line = self.assert_refused('DATASTORE_VERSION_NOT_FOUND', 'check', 'my $orders', '12.0')
        self.assertIn("upgrade targets 'my $orders'", line)


class TestDrift(base.CommandTestCase):
    def setUp(self):
        super().setUp()
        ids = [world.new_id('instance', number) for number in range(3)]
        self.world.drift = {f'project-{number}': ids for number in range(250)}

    def test_projects_are_listed_page_by_page_with_an_age(self):
        self.assertEqual(250, len(self.json_of('drift')))
        self.assertRegex(self.run_command('drift').out, r'2026-06-01T00:00:00Z \(\d+ d')

    def test_no_more_than_the_limit(self):
        self.assertEqual(2, len(self.json_of('drift', '--limit', '2')))
        self.assertEqual(['/mgmt/upgrade-drift?limit=2'], self.requests('GET'))

    def test_the_instances_of_a_project(self):
        found = self.json_of('drift', '--project', 'project-7')
        self.assertEqual(3, len(found))
        self.assertNotEqual(found[0]['Booted Image ID'], found[0]['Current Image ID'])
