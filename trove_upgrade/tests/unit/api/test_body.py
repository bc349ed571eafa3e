# SPDX-License-Identifier: Apache-2.0
"""Bodies that a parser, or what works on its result, could stumble over: refused in words, whatever
their length and depth.
"""

import json

import webtest
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.api import body, errors
from trove_upgrade.api.backup_filter import BackupFilter
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.api import stage, test_filter

CHECKS = f'/instances/{database.INSTANCE}/upgrade-checks'
#: Where Python's own limit of calls is met depends on how many are open already: it is somewhere
#: among these.
DEPTHS = (65, 100, 500, *range(900, 1010), 2000, 20000)


def nested(depth, begin=b'{"a":', end=b'}'):
    return begin * depth + b'1' + end * depth


def of_instance(value):
    return b'{"instance": {"datastore_version": ' + value + b'}}'


def deep_bodies(depth):
    """Objects, arrays, and both by turns; the whole body, or where a version should be."""
    yield nested(depth)
    yield of_instance(nested(depth))
    yield of_instance(nested(depth, b'[', b']'))
    yield of_instance(nested(depth // 2 + 1, b'[{"a":', b'}]'))
    yield b'{"instance": {"datastore_version": "11.8.6", "x": ' + nested(depth, b'[', b']') + b'}}'


class TestDepth(stage.ApiTestCase):
    def test_of_any_depth_a_body_is_refused_in_the_same_words(self):
        for depth in DEPTHS:
            for raw in filter(lambda raw: len(raw) <= 65536, deep_bodies(depth)):
                refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=raw)
                self.assert_refused(refused, 400, 'BODY_NOT_JSON')
                self.assertIn('more than 64 levels', self.fault(refused)['message'])
        for depth in (66, 951, 953, 959):
            refused = self.ask('POST', CHECKS, raw=b'{"upgrade_check": ' + nested(depth) + b'}')
            self.assert_refused(refused, 400, 'BODY_NOT_JSON')

    def test_what_is_less_deep_is_refused_for_its_form(self):
        for depth in (1, 10, 60):
            refused = self.ask(
                'PATCH', f'/instances/{database.INSTANCE}', raw=of_instance(nested(depth))
            )
            self.assert_refused(refused, 400, 'BODY_INVALID')

    def test_brackets_in_strings_are_no_levels(self):
        name = json.dumps('[{' * 100 + '\\"[' * 20).encode()
        refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=of_instance(name))
        self.assertNotIn('levels', refused.text)


class TestDepthBesideTrove(test_filter.FilterTestCase):
    def test_nothing_deep_is_handed_on_as_an_edit_of_an_instance(self):
        for depth in (65, 951, 952, 953, 954, 959, 5000):
            for raw in filter(lambda raw: len(raw) <= 65536, deep_bodies(depth)):
                for method, path in (('PATCH', ''), ('PUT', ''), ('PUT', '/mgmt')):
                    refused = self.ask(method, f'{path}{test_filter.INSTANCE}', raw=raw)
                    self.assert_refused(refused, 400, 'BODY_NOT_JSON')
        self.assertEqual([], self.trove.seen)

    def test_a_deep_body_of_a_backup_is_troves_to_refuse(self):
        trove = test_filter.Trove()
        app = webtest.TestApp(
            stage.FakeAuth(BackupFilter(trove, self.new_services, lambda: 65536)), lint=False
        )
        for depth in DEPTHS[:-1]:
            raw = b'{"backup": {"name": ' + nested(depth, b'[', b']') + b', "incremental": 1}}'
            request = webtest.TestRequest.blank(
                f'/{database.PROJECT}/backups', method='POST', body=raw
            )
            request.headers['X-Auth-Token'] = stage.token()
            self.assertEqual(418, app.do_request(request, expect_errors=True).status_int)
            self.assertEqual(raw, trove.seen.pop()[2])


class TestOtherTraps(stage.ApiTestCase):
    def test_numbers_that_no_two_readers_read_alike(self):
        for value in (
            b'1' * 301,
            b'-' + b'9' * 60000,
            b'1e400',
            b'-1e999999999',
            b'NaN',
            b'Infinity',
            b'-Infinity',
        ):
            refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=of_instance(value))
            self.assert_refused(refused, 400, 'BODY_NOT_JSON')
            self.assertLess(len(refused.text), 500)
        for value in (b'1' * 300, b'1.5', b'1e300', b'-0'):
            refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=of_instance(value))
            self.assert_refused(refused, 400, 'BODY_INVALID')

    def test_bytes_and_characters_that_are_none(self):
        for value, code in (
            (b'"\xff"', 'BODY_NOT_JSON'),
            (b'"\xc0\x80"', 'BODY_NOT_JSON'),
            (b'"\xed\xa0\x80"', 'BODY_NOT_JSON'),
            (b'"\x00"', 'BODY_NOT_JSON'),
            (rb'"\ud800"', 'BODY_INVALID'),
            (rb'"\udc00\ud800"', 'BODY_INVALID'),
            (rb'"\u0000"', 'BODY_INVALID'),
            (rb'"a\u000a"', 'BODY_INVALID'),
            (rb'{"\ud800": 1}', 'BODY_INVALID'),
        ):
            refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=of_instance(value))
            self.assert_refused(refused, 400, code)
        for key in (rb'"\ud800"', rb'"instance\u0000"'):
            refused = self.ask(
                'PATCH', f'/instances/{database.INSTANCE}', raw=b'{' + key + b': {}}'
            )
            self.assert_refused(refused, 400, 'BODY_INVALID')

    def test_a_key_that_comes_twice_at_any_depth(self):
        for raw in (
            of_instance(b'{"a": {"b": 1, "b": 1}}'),
            b'{"instance": {"datastore_version": "1", "datastore_version": "2"}}',
            rb'{"instance": {}, "inst\u0061nce": {}}',
            rb'{"\ud800": 1, "\ud800": 2}',
        ):
            refused = self.ask('PATCH', f'/instances/{database.INSTANCE}', raw=raw)
            self.assert_refused(refused, 400, 'BODY_DUPLICATE_KEY')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


class TestParse(base.TestCase):
    @given(document=_JSON)
    def test_what_is_json_comes_back_as_it_is(self, document):
        self.assertEqual(document, body.parse(json.dumps(document).encode()))

    @given(raw=st.text(st.sampled_from('[]{}",:\\a1 '), max_size=30) | st.binary(max_size=30))
    def test_anything_else_is_refused_by_its_code(self, raw):
        content = raw if isinstance(raw, bytes) else raw.encode()
        try:
            body.parse(content)
        except (errors.BodyNotJson, errors.BodyDuplicateKey) as error:
            self.assertTrue(error.message)
