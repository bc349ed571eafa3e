# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pathlib

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.domain import instances, versions
from trove_upgrade.tests.unit import base

_RULES = versions.Rules.load()
_MANAGERS = st.sampled_from(['mysql', 'mariadb', 'percona', 'postgresql', 'cassandra'])
_NUMBERS = st.lists(st.integers(0, 20), min_size=1, max_size=4).map(tuple)
_NAMES = _NUMBERS.map(lambda number: '.'.join(str(part) for part in number))
_SERIES = st.sampled_from(
    [
        '5.5',
        '5.6',
        '5.7',
        '8.0',
        '8.4',
        '9.0',
        '9.7',
        '10.4',
        '10.6',
        '10.11',
        '11.4',
        '11.8',
        '13',
        '16',
        '17',
    ]
)
_KNOWN = st.builds(lambda series, patch: f'{series}.{patch}', _SERIES, st.integers(0, 50)) | _SERIES


class TestReader(base.TestCase):
    def test_names_as_operators_write_them(self):
        for text, number in {
            '5.7.29': (5, 7, 29),
            '8.0-ga': (8, 0),
            '10.11.14': (10, 11, 14),
            'mariadb-10.11': (10, 11),
            'v11.8': (11, 8),
            'MySQL 8.4.3 LTS': (8, 4, 3),
            'percona-5.7.29-32.1': (5, 7, 29),
            '5.7.29-32.1': (5, 7, 29),
            '16': (16,),
            'debian12-mariadb-10.11.14': (10, 11, 14),
            'ubuntu-22.04-mysql-8.0': (8, 0),
            'pg16': (16,),
            ' 9.7.4 ': (9, 7, 4),
            'postgresql_16.2': (16, 2),
            'image of 11.8': (11, 8),
        }.items():
            self.assertEqual(number, versions.read_number(text), text)

    def test_junk_reads_as_nothing(self):
        for text in (None, '', 'latest', '...', '-', '1' * 5000, '١٢.٣', '²', '\x00'):
            self.assertIsNone(versions.read_number(text))

    @given(st.text())
    def test_any_text_reads_as_numbers_or_nothing(self, text):
        number = versions.read_number(text)
        self.assertTrue(
            number is None
            or (number and all(isinstance(part, int) and part >= 0 for part in number))
        )

    @given(_NUMBERS, st.sampled_from(['', '-ga', '-lts', ' (x)', '+deb12u1']))
    def test_a_plain_number_reads_as_itself_whatever_follows(self, number, suffix):
        self.assertEqual(
            number, versions.read_number('.'.join(str(part) for part in number) + suffix)
        )


class TestShippedRules(base.TestCase):
    def assert_verdict(self, code, manager, former, target):
        verdict = _RULES.judge(manager, former, target)
        allowed = code in {
            versions.Reason.SAME_VERSION,
            versions.Reason.PATCH_LEVEL,
            versions.Reason.NEXT_SERIES,
        }
        self.assertEqual(
            (code, allowed),
            (verdict.code, verdict.allowed),
            f'{manager} {former} -> {target}: {verdict.reason}',
        )

    def test_one_series_to_the_next(self):
        for manager, former, target in (
            ('mysql', '5.5', '5.6'),
            ('mysql', '5.5.62', '5.6.51'),
            ('mysql', '5.6', '5.7.29'),
            ('mysql', '5.7.29', '8.0-ga'),
            ('mysql', '8.0.44', '8.4.7'),
            ('mysql', '8.4.7', '9.7.4'),
            ('mysql', '9.1.0', '9.7.4'),
            ('mariadb', '10.11.14', '11.8.6'),
            ('mariadb', '10.4', '10.11'),
            ('mariadb', '10.5', '11.4'),
            ('mariadb', '10.6', '11.8'),
            ('mariadb', '11.4.9', '11.8.6'),
            ('postgresql', '13.4', '14.1'),
            ('postgresql', '9.6.24', '12'),
            ('postgresql', '16', '17.2'),
        ):
            self.assert_verdict(versions.Reason.NEXT_SERIES, manager, former, target)

    def test_skips(self):
        for manager, former, target in (
            ('mysql', '5.5', '6.7'),
            ('mysql', '5.5', '5.7'),
            ('mysql', '5.6', '8.0'),
            ('mysql', '5.7', '8.4'),
            ('mysql', '8.0', '9.7'),
            ('mysql', '5.6', '10.11'),
            ('mariadb', '10.11', '11.5'),
            ('mariadb', '10.11', '13.0'),
            ('postgresql', '9.6', '18'),
            ('cassandra', '3.1', '4.1'),
        ):
            self.assert_verdict(versions.Reason.NO_RULE, manager, former, target)

    def test_downgrades(self):
        for manager, former, target in (
            ('mysql', '5.5', '5.0'),
            ('mysql', '8.0.36', '8.0.35'),
            ('mysql', '9.7.4', '9.1'),
            ('mariadb', '11.8.6', '10.11.14'),
            ('mariadb', '10.11.14', '10.6.20'),
            ('postgresql', '17', '16'),
            ('cassandra', '4.1', '3.1'),
        ):
            self.assert_verdict(versions.Reason.DOWNGRADE, manager, former, target)

    def test_within_a_series_the_patch_level_rises_or_stays(self):
        for manager, former, target in (
            ('mysql', '8.0.35', '8.0.36'),
            ('mysql', '8.0', '8.0.36'),
            ('mysql', '8.0.36', '8.0'),
            ('mariadb', '10.11.9', '10.11.14'),
            ('postgresql', '16.2', '16.10'),
            ('cassandra', '3.1.1', '3.1.2'),
        ):
            self.assert_verdict(versions.Reason.PATCH_LEVEL, manager, former, target)

    def test_the_same_version_is_always_allowed(self):
        for name in ('8.0.36', 'latest', 'nightly', ''):
            self.assert_verdict(versions.Reason.SAME_VERSION, 'mysql', name, name)
        self.assert_verdict(versions.Reason.SAME_VERSION, 'mysql', '8.0.36', '8.0.36-deb12')

    def test_what_does_not_read_as_a_version_is_refused(self):
        self.assert_verdict(versions.Reason.UNREADABLE, 'mysql', 'latest', '8.0')
        self.assert_verdict(versions.Reason.UNREADABLE, 'mysql', '8.0', 'latest')


class TestLaws(base.TestCase):
    @given(_MANAGERS, st.text() | _KNOWN)
    def test_every_version_may_follow_itself(self, manager, name):
        self.assertTrue(_RULES.judge(manager, name, name).allowed)

    @given(_MANAGERS, _KNOWN | _NAMES, _KNOWN | _NAMES)
    def test_no_rule_leads_downwards(self, manager, former, target):
        old, new = versions.read_number(former), versions.read_number(target)
        shared = min(len(old), len(new))
        if _RULES.judge(manager, former, target).allowed:
            self.assertGreaterEqual(new[:shared], old[:shared])

    @given(_MANAGERS, _KNOWN, _KNOWN)
    def test_two_different_versions_never_follow_each_other_both_ways_unless_the_names_leave_it_open(  # noqa: E501 - a test's name is its sentence
        self, manager, one, other
    ):
        both = (
            _RULES.judge(manager, one, other).allowed and _RULES.judge(manager, other, one).allowed
        )
        first, second = versions.read_number(one), versions.read_number(other)
        shared = min(len(first), len(second))
        if both:
            self.assertEqual(first[:shared], second[:shared])

    @given(st.text(), st.text(), st.text())
    def test_there_is_a_verdict_on_anything(self, manager, former, target):
        self.assertTrue(_RULES.judge(manager, former, target).reason)


class TestOperatorsFile(base.TestCase):
    def load(self, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'rules.yaml')
        path.write_text(text, encoding='utf-8')
        return versions.Rules.load(path)

    def test_it_adds_a_datastore(self):
        rules = self.load("cassandra: {follows: {'3.11': ['4.0', '4.1']}}")
        self.assertTrue(rules.judge('cassandra', '3.11.4', '4.1.2').allowed)
        self.assertTrue(rules.judge('mariadb', '10.11', '11.8').allowed)

    def test_it_replaces_what_follows_one_series_and_no_other(self):
        rules = self.load("mariadb: {follows: {'10.11': ['11.4']}}")
        self.assertEqual(
            (False, True, True),
            (
                rules.judge('mariadb', '10.11', '11.8').allowed,
                rules.judge('mariadb', '10.11', '11.4').allowed,
                rules.judge('mariadb', '10.6', '11.8').allowed,
            ),
        )

    def test_an_empty_list_forbids_leaving_and_a_named_series_wins_over_asterisks(self):
        rules = self.load("mysql: {follows: {'9.7': []}}")
        self.assertEqual(
            (False, True, True),
            (
                rules.judge('mysql', '9.7.4', '9.8.0').allowed,
                rules.judge('mysql', '9.6', '9.7').allowed,
                rules.judge('mysql', '9.7.4', '9.7.5').allowed,
            ),
        )

    def test_it_cannot_allow_a_downgrade(self):
        rules = self.load("mysql: {follows: {'8.0': ['5.7']}}")
        self.assertEqual(versions.Reason.DOWNGRADE, rules.judge('mysql', '8.0.1', '5.7.29').code)

    def test_an_empty_file_changes_nothing(self):
        self.assertEqual(_RULES, self.load(''))

    def test_another_form_is_refused_with_a_sentence(self):
        for text in (
            '[]',
            'mysql: []',
            'mysql: {follows: []}',
            'mysql: {follow: {}}',
            'mysql: {follows: {"8.0": "8.4"}}',
            'mysql: {follows: {8.0: ["8.4"]}}',
            'mysql: {follows: {"8.0": [8.4]}}',
            'mysql: {follows: {"x": []}}',
            '{',
            'a: b: c',
        ):
            self.assertRaises(versions.RulesError, self.load, text)

    def test_a_file_that_is_not_there(self):
        error = self.assertRaises(versions.RulesError, versions.Rules.load, '/nowhere/rules.yaml')
        self.assertIn('version_rules_file', str(error))


class TestRows(base.TestCase):
    former = instances.DatastoreVersion(
        id='v1',
        datastore_id='d1',
        datastore_name='mariadb',
        name='10.11.14',
        version='10.11.14',
        manager='mariadb',
        image_id='i1',
        image_tags=(),
        packages='',
        active=True,
    )

    def verdict(self, **changes):
        target = dataclasses.replace(
            self.former, **{'id': 'v2', 'name': '11.8.6', 'version': '11.8.6', **changes}
        )
        return _RULES.between(self.former, target).code

    def test_what_the_two_rows_tell(self):
        self.assertEqual(versions.Reason.NEXT_SERIES, self.verdict())
        self.assertEqual(versions.Reason.SAME_VERSION, self.verdict(id='v1'))
        self.assertEqual(versions.Reason.OTHER_DATASTORE, self.verdict(datastore_id='d2'))
        self.assertEqual(versions.Reason.OTHER_MANAGER, self.verdict(manager='mysql'))
        self.assertEqual(versions.Reason.INACTIVE, self.verdict(active=False))
        self.assertEqual(versions.Reason.NO_IMAGE, self.verdict(image_id=None))
        self.assertEqual(
            versions.Reason.NEXT_SERIES, self.verdict(image_id=None, image_tags=('trove',))
        )

    def test_the_number_counts_before_the_name(self):
        self.assertEqual(versions.Reason.DOWNGRADE, self.verdict(name='11.8.6', version='10.6.20'))
        self.assertEqual(versions.Reason.NEXT_SERIES, self.verdict(name='11.8.6', version=None))
