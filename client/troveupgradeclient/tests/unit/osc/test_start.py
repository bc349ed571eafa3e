# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade start."""

import json

from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.tests.standin.application import Release

_WAIT = ('--wait', '--interval', '0.01')
_MAY_HAVE_BEGUN = (
    'The upgrade may have begun. Look at the newest one of the instance with: '
    f'openstack database upgrade show {world.ORDERS}'
)


class TestStart(base.CommandTestCase):
    def test_an_upgrade_begins_and_the_command_returns_at_once(self):
        shown = self.json_of('start', 'orders', '11.8.6')
        self.assertEqual(('PENDING', 'orders'), (shown['state'], shown['instance_name']))

    def test_instance_and_version_may_be_given_by_their_ids(self):
        shown = self.json_of('start', world.ORDERS, world.V11_8)
        self.assertEqual('11.8.6', shown['target_version']['name'])
        path = f'/instances/{world.ORDERS}'
        self.assertEqual([path, f'{path}/upgrade-targets'], self.requests('GET'))

    def test_the_image_that_was_booted_is_not_brought_again_unless_that_is_forced(self):
        self.world.booted = {world.ORDERS}
        for version in ('10.11.14', world.V10_11):
            line = self.assert_refused('IMAGE_IS_BOOTED', 'start', 'orders', version)
            self.assertIn('--force', line)
        self.assertEqual([], self.requests('POST'))
        self.json_of('start', 'orders', '10.11.14', '--force', *_WAIT)
        self.json_of('start', 'orders', '11.8.6', *_WAIT)
        self.json_of('start', 'reports', '10.11.14', *_WAIT)

    def test_where_the_policy_does_not_let_targets_be_seen_an_upgrade_begins(self):
        path = f'/instances/{world.ORDERS}/upgrade-targets'
        fault = {'code': 403, 'message': 'Not allowed. (FORBIDDEN)', 'error_code': 'FORBIDDEN'}
        content = json.dumps({'forbidden': fault}).encode()
        self.standin.application.answers['GET', path] = (403, content)
        self.json_of('start', 'orders', '10.11.14')

    def test_a_time_and_what_becomes_of_a_failure_are_asked_for(self):
        self.json_of(
            *('start', 'orders', '11.8.6', '--on-failure', 'rollback'),
            *('--not-before', '2026-12-01T03:00+01:00'),
        )
        [body] = [body for method, _, body in self.standin.application.requests if method == 'POST']
        self.assertEqual(
            {
                'instance_id': world.ORDERS,
                'datastore_version': '11.8.6',
                'on_failure': 'rollback',
                'not_before': '2026-12-01T02:00:00Z',
            },
            body['upgrade'],
        )

    def test_a_hold_has_no_time_to_begin_at_as_one_would_override_the_other(self):
        err = self.assert_not_understood(
            *('start', 'orders', '11.8.6', '--hold', '--not-before', '2026-12-01T03:00Z')
        )
        self.assertIn('--not-before: not allowed with argument --hold', err)

    def test_a_time_without_a_zone_is_refused_before_anything_is_asked(self):
        for text in ('2026-12-01T03:00', 'tomorrow'):
            self.assert_refused(
                'TIME_UNREADABLE', 'start', 'orders', '11.8.6', '--not-before', text
            )
        self.assertEqual([], self.standin.application.requests)

    def test_the_command_waits_for_the_end(self):
        shown = self.json_of('start', 'orders', '11.8.6', *_WAIT)
        self.assertEqual(('COMPLETED', 10.7), (shown['state'], shown['downtime_seconds']))

    def test_the_wait_for_a_hold_ends_when_the_upgrade_is_held(self):
        shown = self.json_of('start', 'orders', '11.8.6', '--hold', *_WAIT)
        self.assertEqual('HELD', shown['state'])

    def test_a_node_that_lags_may_not_have_the_upgrade_yet(self):
        self.world.way = (world.completed(),)
        fault = {'code': 404, 'message': 'Not there. (X)', 'error_code': 'UPGRADE_NOT_FOUND'}
        path = f'/upgrades/{world.new_id("upgrade", 1)}'
        absent = ('GET', path, 404, json.dumps({'itemNotFound': fault}).encode(), [])
        self.standin.application.once = [absent, absent]
        ended = self.run_command('start', 'orders', '11.8.6', *_WAIT)
        self.assertEqual(0, ended.status, ended.err)
        self.assertIn('Not there.', ended.err)

    def test_one_that_stays_away_ends_the_wait(self):
        self.world.way = (world.completed(),)
        fault = {'code': 404, 'message': 'Not there.', 'error_code': 'UPGRADE_NOT_FOUND'}
        path = f'/upgrades/{world.new_id("upgrade", 1)}'
        content = json.dumps({'itemNotFound': fault}).encode()
        self.standin.application.answers['GET', path] = (404, content)
        ended = self.run_command('start', 'orders', '11.8.6', '--wait', '--interval', '3')
        self.assertEqual(1, ended.status)
        self.assertIn('Not there.', ended.err.splitlines())
        self.assertEqual([3] * 4, self.clock.pauses)

    def test_ctrl_c_before_the_answer_tells_that_the_upgrade_may_have_begun(self):
        ended = self.interrupted(('POST', '/upgrades'), 'start', 'orders', '11.8.6', *_WAIT)
        self.assertEqual((ExitStatus.INTERRUPTED, ''), (ended.status, ended.out))
        self.assertEqual([_MAY_HAVE_BEGUN], ended.err.splitlines())
        [upgrade] = self.world.upgrades
        self.assertEqual(upgrade, self.json_of(*_MAY_HAVE_BEGUN.split()[-2:])['id'])

    def test_ctrl_c_before_anything_was_asked_for_tells_nothing(self):
        ended = self.interrupted(('GET', f'/instances/{world.ORDERS}'), 'start', world.ORDERS, '1')
        self.assertEqual((ExitStatus.INTERRUPTED, '', ''), (ended.status, ended.out, ended.err))
        self.assertEqual([], self.requests('POST'))

    def test_an_answer_that_does_not_come_tells_that_the_upgrade_may_have_begun(self):
        self.standin.application.once = [('POST', '/upgrades', 504, b'', [])]
        told = self.assert_refused('UPGRADE_API_SILENT', 'start', 'orders', '11.8.6', *_WAIT)
        self.assertEqual(_MAY_HAVE_BEGUN, told.splitlines()[1])

    def test_refusals_are_the_servers_own_words(self):
        line = self.assert_refused('VERSION_NOT_ALLOWED', 'start', 'orders', '10.6.22')
        self.assertIn('is not allowed: it is a downgrade', line)
        self.assertIn('See what is allowed with: openstack database upgrade targets orders', line)
        self.assert_refused('DATASTORE_VERSION_NOT_FOUND', 'start', 'orders', '12.0')
        first = self.json_of('start', 'orders', '11.8.6')
        line = self.assert_refused('INSTANCE_BUSY', 'start', 'orders', '11.8.6')
        self.assertIn(first['id'], line)
        self.assertIn('is followed with: openstack database upgrade watch orders', line)

    def test_a_second_upgrade_beside_one_that_is_held_is_refused(self):
        self.world.add_upgrade(**world.held())
        line = self.assert_refused('UPGRADE_HELD', 'start', 'orders', '11.8.6')
        self.assertIn('begin with: openstack database upgrade proceed orders; end it with', line)

    def test_a_name_that_two_instances_have_is_refused_with_their_ids(self):
        self.world.instances[world.REPORTS] = 'orders'
        line = self.assert_refused('NAME_AMBIGUOUS', 'start', 'orders', '11.8.6')
        self.assertIn(f'{world.ORDERS}, {world.REPORTS}', line)
        self.assertEqual([], self.requests('POST'))

    def test_an_instance_is_found_by_its_name_on_a_later_page(self):
        self.standin.application.page_size = 1
        shown = self.json_of('start', 'reports', '11.8.6')
        self.assertEqual(world.REPORTS, shown['instance_id'])


class TestAgainstTheReleaseBefore(base.CommandTestCase):
    release = Release.EARLIER

    def test_a_plain_upgrade_begins_by_the_way_that_it_knows(self):
        shown = self.json_of('start', 'orders', '11.8.6', *_WAIT)
        self.assertEqual(('COMPLETED', None), (shown['state'], shown['hold']))
        self.assertEqual([f'/instances/{world.ORDERS}'], self.requests('PATCH'))

    def test_ctrl_c_before_it_is_in_the_list_tells_that_it_may_have_begun(self):
        at = ('PATCH', f'/instances/{world.ORDERS}')
        ended = self.interrupted(at, 'start', 'orders', '11.8.6')
        self.assertEqual(ExitStatus.INTERRUPTED, ended.status)
        self.assertEqual([_MAY_HAVE_BEGUN], ended.err.splitlines())

    def test_a_list_that_lags_is_looked_at_again(self):
        former = self.world.add_upgrade(**world.completed())
        path = f'/instances/{world.ORDERS}/upgrades'
        lagging = json.dumps({'upgrades': [former]}).encode()
        self.standin.application.once = [('GET', path, 200, lagging, [])] * 2
        shown = self.json_of('start', 'orders', '11.8.6')
        self.assertNotEqual(former['id'], shown['id'])

    def test_an_upgrade_that_trove_has_taken_is_none_of_those_in_the_list(self):
        self.world.is_handed_on = True
        for _ in range(2):
            line = self.assert_refused('UPGRADE_NOT_LISTED', 'start', 'orders', '11.8.6', *_WAIT)
            self.assertIn(f'openstack database instance show {world.ORDERS}', line)
            self.world.add_upgrade(**world.completed())  # of earlier

    def test_a_refusal_by_that_way_is_the_servers_own_words(self):
        self.assert_refused('VERSION_NOT_ALLOWED', 'start', 'orders', '10.6.22')

    def test_what_it_does_not_know_is_refused_and_nothing_begins(self):
        for words in (
            ('--hold',),
            ('--on-failure', 'rollback'),
            ('--not-before', '2026-12-01T02:00:00Z'),
        ):
            self.assert_refused('UPGRADE_API_TOO_OLD', 'start', 'orders', '11.8.6', *words)
        self.assertEqual(([], {}), (self.requests('PATCH'), self.world.upgrades))


class TestAgainstATroveWithoutTheService(base.CommandTestCase):
    release = Release.NONE

    def test_troves_own_upgrade_is_never_asked_for(self):
        self.assert_refused('UPGRADE_API_MISSING', 'start', 'orders', '11.8.6')
        self.assertEqual([], self.requests('PATCH'))

    def test_each_command_prints_that_there_is_no_service(self):
        upgrade = world.new_id('upgrade', 1)
        for words in (
            ('targets', 'orders'),
            ('check', 'orders', '11.8.6'),
            ('check', 'show', 'orders', upgrade),
            ('list',),
            ('show', upgrade),
            ('show', 'orders'),
            ('watch', upgrade),
            ('abort', upgrade),
            ('proceed', 'orders'),
            ('retry', upgrade),
            ('rollback', upgrade),
            ('action', 'list', upgrade),
            ('drift',),
            ('drift', '--project', 'p'),
        ):
            line = self.assert_refused('UPGRADE_API_MISSING', *words)
            self.assertIn("This cloud's Trove has no upgrade service", line)
