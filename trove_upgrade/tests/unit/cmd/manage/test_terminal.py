# SPDX-License-Identifier: Apache-2.0
"""What tenants and guests have put into rows, as the commands of operators print it."""

import ast
import json
import pathlib

from trove_upgrade.cmd import manage
from trove_upgrade.cmd.manage import context
from trove_upgrade.domain.states import UpgradeState
from trove_upgrade.tests.unit import stored
from trove_upgrade.tests.unit.cmd.manage import test_manage
from trove_upgrade.tests.unit.test_terminal import HOSTILE, obeyed

_FOLDER = pathlib.Path(manage.__file__).parent
#: They print revisions, which are files of this package, and no row.
_OF_REVISIONS = {'lint.py', 'revision.py', 'revisions.py'}


class TestTextOfOthers(test_manage.ManageTestCase):
    def ended(self):
        """An upgrade of an instance and a guest that have put it everywhere."""
        self.db.update_instance(name=HOSTILE)
        note = {'step': 'verify', 'code': 'ODD', 'message': HOSTILE}
        setting = {'name': 'sql_mode', 'before': HOSTILE, 'after': 'B'}
        upgrades = self.repos.upgrades
        held = stored.adding(
            upgrades.claim(self.db.begin().id, 'me', 60),
            warnings=[note],
            remarks=[note],
            settings_changed=[setting],
        )
        return upgrades.end(held, UpgradeState.FAILED, cause=HOSTILE, error_code='ODD').upgrade.id

    def assert_harmless(self, text, lines=None):
        self.assertEqual([], obeyed(text), text)
        self.assertNotIn('\nforged', text)
        if lines is not None:
            self.assertEqual(lines, len(text.splitlines()), text)

    def test_an_upgrade_is_shown_without_what_a_terminal_obeys(self):
        upgrade_id = self.ended()
        text = self.run_tool('upgrade', 'show', upgrade_id)
        self.assert_harmless(text)
        self.assertEqual(5, text.count('\\x1b]0;owned\\x07\\x1b[2J\\nforged'), text)
        self.assert_harmless(self.run_tool('upgrade', 'list'))

    def test_json_escapes_it_and_keeps_it(self):
        text = self.run_tool('upgrade', 'show', '--json', self.ended())
        self.assertEqual(HOSTILE, json.loads(text)['cause'])
        self.assertEqual([], [one for one in obeyed(text) if one != '\x7f'])

    def test_a_host_of_a_service_forges_no_row(self):
        one = self.repos.services.register(HOSTILE, 'trove-upgrade-api', '1')
        self.assert_harmless(self.run_tool('service', 'list'), lines=2)
        self.assert_harmless(self.run_tool('service', 'wait', '--timeout', '0', code=1), lines=1)
        self.assert_harmless(self.run_tool('service', 'forget', '--force', one.id), lines=1)

    def test_an_error_that_repeats_it_is_one_line(self):
        self.assert_harmless(self.run_tool('upgrade', 'show', HOSTILE, code=1), lines=1)

    def test_every_command_prints_values_as_lines_or_tables(self):
        found = [
            f'{path.name}:{node.lineno}'
            for path in sorted(_FOLDER.rglob('*.py'))
            if path.name not in _OF_REVISIONS | {pathlib.Path(context.__file__).name}
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'print'
            for argument in node.args
            if not isinstance(argument, ast.Constant)
            and ast.unparse(getattr(argument, 'func', argument))
            not in {'json.dumps', 'textwrap.indent'}
        ]
        self.assertEqual([], found)
