# SPDX-License-Identifier: Apache-2.0
"""Records, times and texts: laws that hold for all values."""

import dataclasses
import datetime
import json

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from troveupgradeclient import exceptions
from troveupgradeclient.osc.v1 import cells
from troveupgradeclient.printable import printable
from troveupgradeclient.v1 import resources, times
from troveupgradeclient.v1.reading import read

_KINDS = (
    resources.Upgrade,
    resources.Check,
    resources.Target,
    resources.Action,
    resources.ProjectDrift,
    resources.InstanceDrift,
)
st.register_type_strategy(float, st.floats(allow_nan=False))  # JSON has none
st.register_type_strategy(times.Time, st.datetimes().map(lambda one: times.zoned(one.isoformat())))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


class TestRecords(testtools.TestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(_KINDS).flatmap(st.from_type))
    def test_a_record_is_read_again_from_what_is_printed_of_it(self, record):
        printed = json.loads(json.dumps(cells.plain(record)))
        self.assertEqual(record, read(type(record), printed))

    @settings(max_examples=40, deadline=None)
    @given(st.sampled_from(_KINDS), st.data())
    def test_an_answer_is_a_record_or_is_refused(self, kind, data):
        names = [field.name for field in dataclasses.fields(kind)]
        document = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, _JSON)))
        try:
            self.assertIsInstance(read(kind, document), kind)
        except exceptions.AnswerInvalid as invalid:
            self.assertIn('(UPGRADE_API_ANSWER_INVALID)', str(invalid))

    @given(st.text())
    def test_no_text_makes_a_terminal_obey(self, text):
        self.assertTrue(printable(text).isprintable())
        self.assertTrue(
            all(map(str.isprintable, cells.Cell(text, text).human_readable().split('\n')))
        )


class TestTimes(testtools.TestCase):
    @given(st.datetimes(timezones=st.timezones()))
    def test_a_time_is_read_again_from_its_text(self, moment):
        whole = moment.astimezone(datetime.UTC).replace(microsecond=0)
        if whole.year >= 1000:
            self.assertEqual(whole, times.read(times.text(moment)))

    @given(st.datetimes())
    def test_a_time_of_an_answer_can_be_given_back_as_it_is_shown(self, moment):
        shown = times.zoned(moment.isoformat())
        self.assertEqual(moment.replace(tzinfo=datetime.UTC), times.with_zone(shown))
        self.assertEqual(shown, times.zoned(shown))

    @given(st.floats(min_value=0, max_value=1e8))
    def test_a_span_is_short(self, seconds):
        self.assertLessEqual(len(times.span(seconds)), 14)

    def test_spans(self):
        for seconds, text in (
            (0.4, '0 s'),
            (99.4, '99 s'),
            (100, '2 min'),
            (3600, '1 h'),
            (11100, '3 h 5 min'),
            (172800, '2 d'),
            (190000, '2 d 4 h'),
        ):
            self.assertEqual(text, times.span(seconds))

    def test_what_is_no_time_is_none(self):
        self.assertEqual([None, None], [times.read(None), times.read('soon')])
        self.assertEqual('soon', times.zoned('soon'))
