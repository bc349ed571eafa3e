# SPDX-License-Identifier: Apache-2.0
"""The table of the page on security: each line is whole, and each test that it names is there and
tests something.
"""

import ast
import functools
import pathlib
import re

from docutils import core, nodes

import trove_upgrade
from trove_upgrade.tests.unit import base

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
TESTS = PACKAGE / 'tests'
PAGE = PACKAGE.parent / 'doc' / 'source' / 'admin' / 'security.rst'

#: Every attacker that the page must have a line of, by the first words of the first column.
ACTORS = (
    'A member or a reader of a project',
    'A member or an admin of another project',
    'An anonymous caller',
    'A tenant who is superuser of the database',
    'Root in one guest',
    "A holder of the broker's account",
    'A registry',
    "A reader of the operator's logs",
    'A stolen control plane',
)
_TEST = re.compile(r'(?P<module>(?:unit|functional)(?:\.[a-z_0-9]+)+)\.(?P<name>[A-Z]\w+)')
_LEFT = 'Not stopped'


def rows_of(text):
    """Cells of the first table, as nodes; roles of Sphinx read as plain words."""
    plain = re.sub(r':(?:doc|ref):`([^`]+)`', r'\1', text)
    document = core.publish_doctree(plain, settings_overrides={'report_level': 5})
    table = next(iter(document.findall(nodes.table)))
    [body] = table.findall(nodes.tbody)
    return [list(row.findall(nodes.entry)) for row in body.findall(nodes.row)]


def literals_in(cell):
    return [literal.astext() for literal in cell.findall(nodes.literal)]


@functools.cache
def classes_of(module):
    """Classes of a module of tests, by name; None where there is no such module."""
    path = TESTS / f'{module.replace(".", "/")}.py'
    if not path.is_file():
        return None
    return {
        node.name: node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }


def fault_of(named):
    """Return what is wrong with the name of a test; None: it is there."""
    found = _TEST.fullmatch(named)
    if found is None:
        return f'{named}: no module and class of tests'
    classes = classes_of(found['module'])
    if classes is None:
        return f'{named}: no such module'
    if found['name'] not in classes:
        return f'{named}: no such class'
    body = classes[found['name']].body
    if not any(
        isinstance(each, ast.FunctionDef) and each.name.startswith('test_') for each in body
    ):
        return f'{named}: no test in it'
    return None


class TestTable(base.TestCase):
    def setUp(self):
        super().setUp()
        self.rows = rows_of(PAGE.read_text())

    def test_every_test_that_it_names_is_there(self):
        named = [name for row in self.rows for name in literals_in(row[3])]
        self.assertGreater(len(named), 80)
        self.assertEqual([], [fault for name in named if (fault := fault_of(name))])

    def test_what_is_stopped_is_tested_and_the_rest_is_marked(self):
        for who, what, stopped, tested in self.rows:
            for cell in (who, what, stopped, tested):
                self.assertTrue(cell.astext().strip())
            left = [strong.astext() for strong in stopped.findall(nodes.strong)]
            if not literals_in(tested):
                self.assertEqual('none', tested.astext())
                self.assertTrue(any(text.startswith(_LEFT) for text in left), what.astext())

    def test_the_last_column_holds_nothing_but_names_of_tests(self):
        for row in self.rows:
            words = row[3].astext()
            for name in literals_in(row[3]):
                words = words.replace(name, '', 1)
            self.assertRegex(words, r'\A(?:[,\s]*|none)\Z')

    def test_every_attacker_has_a_line(self):
        found = {row[0].astext() for row in self.rows}
        self.assertEqual([], [actor for actor in ACTORS if actor not in found])

    def test_a_name_that_is_none_is_found(self):
        for named in (
            'unit.api.test_paths.TestNoShape',
            'unit.api.test_no_paths.TestEveryShape',
            'unit.api.test_paths',
            'unit.api.test_paths.Router',
            'api.test_paths.TestEveryShape',
        ):
            self.assertIsNotNone(fault_of(named), named)
        self.assertIsNone(fault_of('unit.api.test_paths.TestEveryShape'))
