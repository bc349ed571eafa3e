# SPDX-License-Identifier: Apache-2.0
"""The report for programs, for spreadsheets and for browsers: whole, stable, and harmless whatever
a tenant has called an instance.
"""

import csv
import html.parser
import io
import json
import pathlib
import re

from hypothesis import given
from hypothesis import strategies as st

import trove_upgrade
from trove_upgrade.bridge.report.document import FORMAT, document
from trove_upgrade.bridge.report.model import Openings, Outcome
from trove_upgrade.bridge.report.page import page
from trove_upgrade.bridge.report.remedies import Remedy
from trove_upgrade.bridge.report.table import COLUMNS, table
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.bridge.report import samples

PAGE = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc/source/reference/bridge-report.rst'
#: Parts of the page.
HEAD, JSON, CSV = range(3)


def documented(part):
    """First cells of the tables in a part of the reference."""
    text = re.split(r'^(?:JSON|CSV)$', PAGE.read_text(), flags=re.MULTILINE)[part]
    return re.findall(r'^   \* - ``([^`]+)``', text, re.MULTILINE)


def paths_of(value, before=''):
    """Dotted paths of all names; an element of a list is "[]"."""
    if isinstance(value, list):
        for one in value:
            yield from paths_of(one, f'{before}[]')
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f'{before}.{name}'.removeprefix('.')
            yield path
            yield from paths_of(inner, path)


def counted_apart(path):
    return re.sub(r'\b(by_outcome|by_state|by_wait|run\.members)\.[A-Z_]+', r'\1.NAME', path)


class TestDocument(base.TestCase):
    def setUp(self):
        super().setUp()
        self.found = json.loads(json.dumps(document(samples.report_of_every_kind())))

    def test_it_is_json_with_its_format_and_every_instance(self):
        self.assertEqual(FORMAT, self.found['format'])
        self.assertEqual(41, len(self.found['members']))
        self.assertEqual('STOPPED', self.found['run']['state'])
        self.assertIn('have failed', self.found['run']['stopped'])

    def test_every_name_is_documented_and_every_documented_name_is_there(self):
        found = {counted_apart(path) for path in paths_of(self.found)} | {'audit'}
        self.assertEqual(sorted(found), sorted(documented(JSON)))

    def test_outcomes_and_remedies_are_explained(self):
        self.assertEqual([*map(str, Outcome), *map(str, Remedy)], documented(HEAD))

    def test_what_is_open_may_be_unknown(self):
        openings = Openings(why_unknown='Neutron is away.')
        found = document(samples.report_of([], openings=openings))
        self.assertEqual('Neutron is away.', found['audit_error'])


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline='')))


class TestTable(base.TestCase):
    def test_each_instance_is_a_line_with_its_outcome_times_and_advice(self):
        report = samples.report_of_every_kind()
        rows = rows_of(table(report))
        self.assertEqual(41, len(rows))
        self.assertEqual(list(COLUMNS), list(rows[0]))
        [row] = [one for one in rows if one['instance_id'] == samples.instance_id(12)]
        self.assertEqual(
            ('FAILED', 'BRIDGE_GUEST_FULL', 'MANUAL_STEP', '17.5', ''),
            tuple(
                row[name]
                for name in ('outcome', 'code', 'remedy', 'seconds_reach', 'seconds_upgrade')
            ),
        )

    def test_each_column_is_documented(self):
        self.assertEqual(list(COLUMNS), documented(CSV))

    def test_names_that_would_be_formulas_begin_with_an_apostrophe(self):
        for name in ('=1+1', '+1', '-1', '@SUM(A1)', ' =1', '\uff1d1', '=cmd|"/c calc"!A1'):
            [row] = rows_of(table(samples.report_of([samples.completed(1, name=name)])))
            self.assertEqual(f"'{name}", row['name'])

    @given(st.text(max_size=40))
    def test_no_name_breaks_out_of_its_cell_or_begins_a_formula(self, name):
        text = table(samples.report_of([samples.completed(1, name=name)]))
        self.assertEqual(3, len(text.split('\r\n')), 'a head, a line, an end')
        [row] = rows_of(text)
        self.assertNotIn(row['name'].lstrip()[:1], set('=+-@\t\r\n'))
        self.assertEqual(samples.instance_id(1), row['instance_id'])
        self.assertTrue(row['name'].isprintable())


class Parsed(html.parser.HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, *one) for one in attrs]

    def handle_data(self, data):
        self.texts.append(data)


class TestPage(base.TestCase):
    def test_it_needs_no_other_file_and_no_script(self):
        found = Parsed(page(samples.report_of_every_kind()))
        active = {'script', 'img', 'link', 'iframe', 'object', 'embed', 'form', 'base'}
        self.assertEqual(set(), active & set(found.elements))
        loading = [one for one in found.attributes if one[1] in {'src', 'srcset', 'style'}]
        self.assertEqual([], loading)
        handlers = [one for one in found.attributes if one[1].startswith('on')]
        self.assertEqual([], handlers)
        links = {value for _, name, value in found.attributes if name == 'href'}
        self.assertTrue(links)
        self.assertEqual(set(), {one for one in links if not one.startswith('#')})
        self.assertEqual(1, found.elements.count('style'))

    def test_browsers_are_told_to_forbid_what_it_does_not_need(self):
        found = Parsed(page(samples.report_of([])))
        [policy] = [value for _, _, value in found.attributes if 'default-src' in (value or '')]
        self.assertIn("default-src 'none'; style-src 'sha256-", policy)

    @given(st.text(max_size=60))
    def test_no_name_becomes_an_element_and_each_stays_readable(self, name):
        plain = Parsed(page(samples.report_of([samples.completed(1, name='plain')])))
        found = Parsed(page(samples.report_of([samples.completed(1, name=name)])))
        self.assertEqual(plain.elements, found.elements)
        self.assertEqual(plain.attributes, found.attributes)
        if name.isprintable() and name.strip():
            self.assertIn(name.strip(), ''.join(found.texts))

    def test_marks_of_direction_and_control_characters_are_shown_as_escapes(self):
        name = 'abc\u202efdp.exe\x1b[31m\nnext'
        text = page(
            samples.report_of([samples.failed(1, samples.errors_of_guests()[0], name=name)])
        )
        self.assertIn('abc\\u202efdp.exe\\x1b[31m\\nnext', text)
        self.assertNotIn('\u202e', text)
        self.assertNotIn('\x1b', text)

    def test_failures_are_unfolded_and_the_rest_is_not(self):
        members = [samples.failed(1, samples.errors_of_guests()[0]), samples.completed(2)]
        text = page(samples.report_of(members))
        self.assertEqual((1, 1), (text.count('<details open>'), text.count('<details>')))

    def test_what_is_open_is_told_at_the_top_also_where_it_is_not_known(self):
        for openings, told in (
            (samples.CLEAN, 'Nothing of this run is open.'),
            (
                Openings(found=(samples.an_opening(),), is_clean=False),
                'Something of this run is open',
            ),
            (Openings(why_unknown='Neutron is away.'), 'Neutron is away.'),
        ):
            self.assertIn(told, page(samples.report_of([], openings=openings)))
