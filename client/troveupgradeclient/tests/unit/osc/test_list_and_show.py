# SPDX-License-Identifier: Apache-2.0
"""openstack database upgrade list, show and targets."""

import subprocess

from troveupgradeclient.tests import base
from troveupgradeclient.tests.standin import world
from troveupgradeclient.tests.standin.application import Release
from troveupgradeclient.v1.upgrades import Filters, SortKey


def _aborted_after_a_hold():
    return {**world.held(), **world.ended('ABORTED', 'ABORTED_BY_USER', 'It was aborted.')}


class TestList(base.CommandTestCase):
    def ids(self, *words):
        return [row['ID'] for row in self.json_of('list', *words)]

    def test_the_newest_comes_first(self):
        made = [self.world.add_upgrade()['id'] for _ in range(3)]
        self.assertEqual(made[::-1], self.ids())
        self.assertEqual(made, self.ids('--sort', 'created_at:asc'))
        for words in ('created_at', 'created_at:desc'):
            self.assertEqual(made[::-1], self.ids('--sort', words))

    def test_a_state_may_be_written_in_small_letters(self):
        made = self.world.add_upgrade(**world.ended('FAILED', 'GUEST_SILENT', 'x'))['id']
        found = self.client.upgrades.list(Filters(states=('failed',)))
        self.assertEqual([made], [each.id for each in found])

    def test_a_row_too_large_for_a_list_is_none_of_an_earlier_release(self):
        made = self.world.add_upgrade(hold=None, not_before=None)['id']
        self.assertEqual([made], self.ids('--sort', 'created_at:asc'))
        self.assertEqual([made], self.ids('--state', 'pending', '--state', 'running'))

    def test_an_empty_list_is_one(self):
        self.assertEqual([], self.ids())

    def test_long_has_more_columns(self):
        self.world.add_upgrade(**world.held())
        [row] = self.json_of('list', '--long')
        self.assertEqual(('2026-11-30T10:00:05Z', True), (row['Held Since'], row['Hold']))

    def test_long_has_each_time_that_the_list_can_be_sorted_by(self):
        self.world.add_upgrade(updated_at='2026-11-30T10:00:07')
        [row] = self.json_of('list', '--long')
        for key in SortKey:
            self.assertIn(key.replace('_', ' ').title(), row)
        self.assertEqual('2026-11-30T10:00:07Z', row['Updated At'])

    def test_the_state_of_one_that_is_held_has_its_age_and_a_program_reads_the_state_alone(self):
        self.world.add_upgrade(world.REPORTS, **world.running('boot'))
        self.world.add_upgrade(**_aborted_after_a_hold())
        self.world.add_upgrade(**world.held())
        for words in ((), ('--long',), ('--all-projects',)):
            self.world.is_admin = True
            out = self.run_command('list', *words).out
            self.assertRegex(out, r'\| HELD \([\w ]+\) +\|')
            self.assertRegex(out, r'\| ABORTED +\|')
            self.assertRegex(out, r'\| RUNNING +\|')
        listed = self.run_command('list', '-f', 'value', '-c', 'State').out.split()
        self.assertEqual(['HELD', 'ABORTED', 'RUNNING'], listed)
        self.assertEqual(listed, [row['State'] for row in self.json_of('list')])

    def test_the_age_of_a_hold_ends_with_it(self):
        self.world.add_upgrade(**world.held())
        held = r'2026-11-30T10:00:05Z \([\w ]+\)'
        for words in (('show', 'orders'), ('list', '--long')):
            self.assertRegex(self.run_command(*words).out, held)
        self.world.upgrades.clear()
        self.world.add_upgrade(**_aborted_after_a_hold())
        for words in (('show', 'orders'), ('list', '--long')):
            out = self.run_command(*words).out
            self.assertIn('2026-11-30T10:00:05Z', out)
            self.assertNotRegex(out, held)

    def test_more_than_a_thousand_are_read_page_by_page(self):
        made = [self.world.add_upgrade()['id'] for _ in range(1050)]
        self.assertEqual(made[::-1], self.ids())
        self.assertEqual(11, len(self.requests('GET')))

    def test_more_than_a_thousand_are_read_in_the_order_of_their_changes(self):
        made = [self.world.add_upgrade()['id'] for _ in range(1050)]
        self.world.upgrades[made[0]]['updated_at'] = '2026-12-24T00:00:00'
        wanted = [*made[1:], made[0]]
        self.assertEqual(wanted, self.ids('--sort', 'updated_at:asc'))
        self.assertEqual(wanted[::-1], self.ids('--sort', 'updated_at'))

    def test_a_limit_over_a_page_is_kept_and_asks_for_no_page_too_many(self):
        made = [self.world.add_upgrade()['id'] for _ in range(250)]
        self.assertEqual(made[:-151:-1], self.ids('--limit', '150'))
        self.assertEqual(2, len(self.requests('GET')))

    def test_a_marker_goes_on_where_the_page_before_ended(self):
        made = [self.world.add_upgrade()['id'] for _ in range(3)]
        self.assertEqual([made[0]], self.ids('--marker', made[1]))

    def test_all_filters_hold(self):
        self.world.add_upgrade()
        wanted = self.world.add_upgrade(world.REPORTS, **world.completed())
        self.world.add_upgrade(world.REPORTS)
        for words in (
            ('--state', 'completed'),
            ('--state', 'COMPLETED', '--state', 'FAILED'),
            ('--instance', 'reports', '--state', 'COMPLETED'),
            ('--instance', world.REPORTS, '--target-version', '11.8.6', '--state', 'COMPLETED'),
            ('--since', f'{wanted["created_at"]}Z', '--state', 'COMPLETED'),
        ):
            self.assertEqual([wanted['id']], self.ids(*words), words)

    def test_a_list_to_another_version_is_empty(self):
        self.world.add_upgrade()
        self.assertEqual([], self.ids('--target-version', world.V10_11))

    def test_an_instance_that_never_was_is_refused_and_one_without_upgrades_has_none(self):
        self.world.add_upgrade(world.REPORTS)
        line = self.assert_refused('NAME_NOT_FOUND', 'list', '--instance', 'report')
        self.assertIn('No instance has the name or id report.', line)
        self.assertEqual([], self.ids('--instance', 'orders'))
        self.assertEqual([], self.ids('--instance', 'reports', '--state', 'FAILED'))
        self.assertEqual([], self.ids('--instance', world.ORDERS))
        self.assertEqual([], self.ids('--instance', world.REPORTS, '--state', 'FAILED'))
        del self.world.instances[world.REPORTS]
        self.assertEqual([], self.ids('--instance', 'reports', '--state', 'FAILED'))
        self.assertEqual([], self.ids('--instance', world.REPORTS, '--state', 'FAILED'))

    def test_an_id_that_no_instance_of_the_project_has_is_refused(self):
        unknown = world.new_id('instance', 9)
        line = self.assert_refused('NAME_NOT_FOUND', 'list', '--instance', unknown)
        self.assertIn(f'No instance of this project has the name or id {unknown}.', line)
        self.world.is_admin = True
        self.world.instances[unknown] = 'elsewhere'
        made = self.world.add_upgrade(unknown, project_id='b1946ac92492d2347c6235b4d2')['id']
        line = self.assert_refused('NAME_NOT_FOUND', 'list', '--instance', unknown)
        self.assertIn('--all-projects', line)
        self.assertEqual([made], self.ids('--instance', unknown, '--all-projects'))
        words = ('list', '--instance', unknown, '--project', world.PROJECT)
        self.assertIn('of this project', self.assert_refused('NAME_NOT_FOUND', *words))
        other = world.new_id('instance', 8)
        words = ('list', '--instance', other, '--all-projects')
        self.assertIn('No instance has the name', self.assert_refused('NAME_NOT_FOUND', *words))

    def test_an_id_may_be_written_in_capital_letters(self):
        made = self.world.add_upgrade()['id']
        self.assertEqual([made], self.ids('--instance', world.ORDERS.upper()))
        target = self.world.upgrades[made]['target_version']['id']
        self.assertEqual([made], self.ids('--target-version', target.upper()))

    def test_a_name_is_of_the_instance_that_has_it_now(self):
        before = self.world.add_upgrade(**world.ended('FAILED', 'GUEST_SILENT', 'x'))['id']
        self.world.instances.update({world.ORDERS: 'orders-prod', world.REPORTS: 'orders'})
        of_another = self.world.add_upgrade(world.REPORTS, instance_name='orders')['id']
        self.assertEqual([before], self.ids('--instance', 'orders-prod'))
        self.assertEqual([of_another], self.ids('--instance', 'orders'))
        self.world.is_admin = True
        both = self.ids('--instance', 'orders', '--all-projects')
        self.assertEqual([of_another, before], both)

    def test_a_name_of_two_instances_is_none_of_one(self):
        self.world.instances[world.REPORTS] = 'orders'
        self.assert_refused('NAME_AMBIGUOUS', 'list', '--instance', 'orders')

    def test_a_project_is_given_by_its_id(self):
        self.world.is_admin = True
        for words in (('list',), ('drift',)):
            line = self.assert_refused('NAME_NOT_FOUND', *words, '--project', 'shop')
            self.assertIn('openstack project list', line)
            self.assertEqual(
                [], self.json_of(*words, '--project', 'b1946ac92492d2347c6235b4d2611184')
            )

    def test_those_of_all_projects_are_shown_with_their_project(self):
        self.world.add_upgrade()
        self.world.add_upgrade(world.new_id('instance', 7), project_id='b1946ac92492d2347c6235b4d2')
        self.assert_refused('FORBIDDEN', 'list', '--all-projects')
        self.world.is_admin = True
        found = [row['Project ID'] for row in self.json_of('list', '--all-projects')]
        self.assertEqual(['b1946ac92492d2347c6235b4d2', world.PROJECT], found)
        self.assertEqual(1, len(self.json_of('list')))

    def test_words_that_are_none_of_the_lists_are_refused(self):
        self.assert_refused('SORT_UNKNOWN', 'list', '--sort', 'name:asc')
        self.assert_refused('NAME_NOT_FOUND', 'list', '--target-version', '12.0')
        line = self.assert_refused('TIME_UNREADABLE', 'list', '--since', 'yesterday')
        self.assertIn('--since was not understood: yesterday is no time. Give', line)
        for moment in ('0001-01-01T00:00+14:00', '9999-12-31T23:59:59-10:00'):
            line = self.assert_refused('TIME_UNREADABLE', 'list', '--since', moment)
            self.assertIn(f'{moment} is not within the years 1 to 9999 in UTC.', line)
        self.assertEqual([], self.ids('--since', '0001-01-01T00:00Z'))

    def test_a_name_is_shown_without_what_a_terminal_would_obey(self):
        self.world.add_upgrade(instance_name='a\x1b[2Jb')
        ended = self.run_command('list')
        self.assertIn('a\\x1b[2Jb', ended.out)
        self.assertNotIn('\x1b', ended.out)

    def test_formats_for_a_program_have_it_neither_unless_they_escape_it_themselves(self):
        name = 'a\x1b[2Jb\nc'
        self.world.add_upgrade(instance_name=name)
        for words in (('list', '-f', 'value'), ('list', '-f', 'csv'), ('show', 'orders')):
            self.world.instances[world.ORDERS] = 'orders'
            ended = self.run_command(*words, *(('-f', 'shell') if words[0] == 'show' else ()))
            self.assertIn('1b[2Jb', ended.out)
            self.assertNotIn('\x1b', ended.out)
        self.assertEqual(name, self.json_of('list')[0]['Instance Name'])
        self.assertNotIn('\x1b', self.run_command('list', '-f', 'yaml').out)

    def test_a_shell_reads_a_name_as_it_is_and_runs_nothing_of_it(self):
        name = 'a "b" $HOME $(echo c) `echo d` \\ e'
        upgrade = self.world.add_upgrade(instance_name=name)['id']
        shown = self.run_command('show', upgrade, '-f', 'shell', '-c', 'instance_name').out
        script = f'{shown}printf %s "$instance_name"'
        told = subprocess.run(['/bin/sh', '-c', script], capture_output=True, check=True, text=True)
        self.assertEqual(name, told.stdout)


class TestListOfTheReleaseBefore(base.CommandTestCase):
    release = Release.EARLIER

    def test_filters_that_it_does_not_know_are_kept_all_the_same(self):
        self.world.add_upgrade()
        wanted = self.world.add_upgrade(world.REPORTS)
        found = self.json_of('list', '--instance', 'reports')
        self.assertEqual([wanted['id']], [row['ID'] for row in found])
        self.assertEqual([], self.json_of('list', '--target-version', world.V10_11))

    def test_a_short_list_by_such_a_filter_is_not_asked_for_one_by_one(self):
        wanted = self.world.add_upgrade(world.REPORTS)
        for _ in range(150):
            self.world.add_upgrade()
        del self.world.instances[world.REPORTS]
        found = self.json_of('list', '--instance', 'reports', '--limit', '1')
        self.assertEqual([wanted['id']], [row['ID'] for row in found])
        asked = [path for path in self.requests('GET') if path.startswith('/upgrades')]
        self.assertEqual(2, len(asked))

    def test_an_order_that_it_does_not_know_is_refused(self):
        self.world.add_upgrade()
        self.assert_refused('UPGRADE_API_TOO_OLD', 'list', '--sort', 'updated_at:asc')

    def test_two_states_of_which_it_would_take_one_are_refused(self):
        self.world.add_upgrade()
        states = ('--state', 'PENDING', '--state', 'RUNNING')
        self.assert_refused('UPGRADE_API_TOO_OLD', 'list', *states)
        self.assertEqual(1, len(self.json_of('list', *states[:2])))


class TestShow(base.CommandTestCase):
    def test_an_upgrade_is_shown_by_its_id_and_by_the_instances_name_or_id(self):
        self.world.add_upgrade()
        newest = self.world.add_upgrade(**world.completed())
        for handle in (newest['id'], 'orders', world.ORDERS):
            shown = self.json_of('show', handle)
            self.assertEqual(newest['id'], shown['id'])
        times = {'created_at', 'updated_at', 'ended_at', 'opened_at', 'steps'}
        expected = {
            key: value for key, value in newest.items() if key not in {'links', 'number', *times}
        }
        self.assertEqual(expected, {key: shown[key] for key in expected})

    def test_of_one_that_is_held_a_person_reads_what_can_be_done(self):
        upgrade = self.world.add_upgrade(**world.held())['id']
        [told] = self.run_command('show', 'orders').err.splitlines()
        for action in ('proceed', 'abort', 'watch'):
            self.assertIn(f'openstack database upgrade {action} {upgrade}', told)
        quiet = self.run_command('show', 'orders', before=('--quiet',))
        for_a_program = self.run_command('show', 'orders', '-f', 'json')
        self.world.upgrades[upgrade].update(_aborted_after_a_hold())
        ended = self.run_command('show', 'orders')
        self.assertEqual(['', '', ''], [quiet.err, for_a_program.err, ended.err])

    def test_a_time_that_is_shown_has_its_zone_and_is_understood_when_it_is_given_back(self):
        made = self.world.add_upgrade(**world.completed())
        shown = self.json_of('show', 'orders')
        self.assertEqual(f'{made["created_at"]}Z', shown['created_at'])
        self.assertEqual('2026-11-30T10:00:50.125000Z', shown['opened_at'])
        self.assertEqual('2026-11-30T10:00:00.000000Z', shown['steps'][0]['started_at'])
        [row] = self.json_of('list', '--since', shown['created_at'])
        self.assertEqual(shown['created_at'], row['Created At'])

    def test_the_upgrade_of_an_instance_that_was_deleted_is_found_by_its_name_and_id(self):
        upgrade = self.world.add_upgrade(**world.completed())
        del self.world.instances[world.ORDERS]
        for handle in ('orders', world.ORDERS):
            self.assertEqual(upgrade['id'], self.json_of('show', handle)['id'])

    def test_admins_find_the_upgrade_of_an_instance_of_another_project_by_its_name(self):
        other, third = world.new_id('instance', 7), world.new_id('instance', 8)
        of_other = {'instance_name': 'shop', 'project_id': 'b1946ac92492d2347c6235b4d2611184'}
        self.world.add_upgrade(other, **of_other)
        upgrade = self.world.add_upgrade(other, **of_other)
        self.assert_refused('NAME_NOT_FOUND', 'show', 'shop')
        self.world.is_admin = True
        self.assertEqual(upgrade['id'], self.json_of('show', 'shop')['id'])
        self.world.add_upgrade(third, **of_other)
        line = self.assert_refused('NAME_AMBIGUOUS', 'show', 'shop')
        self.assertIn(other, line)
        self.assertIn(third, line)

    def test_what_has_no_upgrade_is_told_as_such(self):
        self.assert_refused('NAME_NOT_FOUND', 'show', 'orders')
        line = self.assert_refused('NAME_NOT_FOUND', 'show', 'nothing')
        self.assertIn('No upgrade and no instance has the name or id nothing.', line)
        for handle in (world.ORDERS, world.new_id('upgrade', 99)):
            self.assert_refused('UPGRADE_NOT_FOUND', 'show', handle)

    def test_a_person_reads_one_line_for_each_step_and_each_warning(self):
        self.world.add_upgrade(**world.completed())
        out = self.run_command('show', 'orders').out
        for line in (
            'rebuild done in 5 s',
            'TABLES_IN_MEMORY: The rows of shop.carts will be gone after the upgrade',
            'stop 1.2 s, rebuild 5.0 s, boot 2.5 s, restore 1.5 s, open 0.5 s',
            '10.7 s; nine of ten within 14.2 s (12 upgrades of like volumes)',
        ):
            self.assertIn(line, out)

    def test_formats_for_a_program_without_parts_have_the_text_of_a_table(self):
        self.world.add_upgrade(**world.completed())
        for words, text in (
            (
                ('-c', 'downtime'),
                'stop 1.2 s, rebuild 5.0 s, boot 2.5 s, restore 1.5 s, open 0.5 s',
            ),
            (('-c', 'target_version'), '11.8.6'),
            (('-c', 'downtime_seconds'), '10.7'),
        ):
            ended = self.run_command('show', 'orders', '-f', 'value', *words)
            self.assertEqual(f'{text}\n', ended.out)
        steps = self.run_command('show', 'orders', '-f', 'value', '-c', 'steps').out.splitlines()
        self.assertEqual('precheck done in 5 s', steps[0])
        shell = self.run_command('show', 'orders', '-f', 'shell', '-c', 'target_version').out
        self.assertEqual('target_version="11.8.6"\n', shell)
        listed = self.run_command('list', '-f', 'value', '-c', 'Target Version').out
        self.assertEqual('11.8.6\n', listed)

    def test_the_basis_of_an_expectation_is_told_in_words(self):
        for basis, upgrades, text in (
            ('like_volume', 12, '(12 upgrades of like volumes)'),
            ('any_volume', 3, '(3 upgrades of any volumes)'),
            ('too_few', 1, '(1 upgrade, too few to be sure)'),
            ('of_a_later_release', 2, '(2 upgrades, of_a_later_release)'),
        ):
            expected = {**world.EXPECTED, 'basis': basis, 'upgrades': upgrades}
            upgrade = self.world.add_upgrade(expected_downtime=expected)['id']
            self.assertIn(text, self.run_command('show', upgrade).out)

    def test_fields_of_a_later_release_do_no_harm(self):
        self.world.add_upgrade(state='PAUSED', later_field={'a': 1}, step='warm_up')
        ended = self.run_command('show', 'orders', '-f', 'value', '-c', 'state', '-c', 'step')
        self.assertEqual((0, 'PAUSED\nwarm_up\n'), (ended.status, ended.out))


class TestTargets(base.CommandTestCase):
    def test_every_version_is_listed_with_the_reason(self):
        found = {row['Name']: row for row in self.json_of('targets', 'orders')}
        self.assertEqual({'10.6.22', '10.11.14', '11.8.6'}, set(found))
        self.assertEqual('10.6.22 is older than 10.11.14', found['10.6.22']['Reason'])

    def test_an_instance_of_another_project_is_given_by_its_id(self):
        line = self.assert_refused('NAME_NOT_FOUND', 'targets', 'shop')
        self.assertIn('--all-projects', line)

    def test_the_image_that_runs_already_is_told(self):
        self.world.booted = {world.ORDERS}
        self.assertEqual(1, self.run_command('targets', 'orders').out.count('the same image runs'))
        found = self.json_of('targets', 'orders', '--long')
        booted = [row['Name'] for row in found if row['Image Is Booted']]
        self.assertEqual(['10.11.14'], booted)
        self.assertNotIn('same image', self.run_command('targets', 'reports').out)

    def test_only_those_that_are_allowed(self):
        found = self.json_of('targets', 'orders', '--allowed', '--long')
        self.assertEqual(['SAME_VERSION', 'NEXT_SERIES'], [row['Reason Code'] for row in found])
