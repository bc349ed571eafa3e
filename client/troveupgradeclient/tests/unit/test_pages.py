# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation show what the client prints, and only what can be typed."""

import argparse
import contextlib
import io
import re
import shlex

import testtools

from troveupgradeclient.osc.v1.exit_status import ExitStatus
from troveupgradeclient.tests import base, transcripts

_REFERENCE = transcripts.PAGES / 'reference' / 'client.rst'
_SHOWN = re.compile(r'^ +(?:\$ )?(openstack database upgrade .*)$', re.MULTILINE)
_HELP = re.compile(r'openstack (help [^`\n]*database[^`\n]*)')
_READMES = (base.DISTRIBUTION / 'README.rst', base.DISTRIBUTION.parent / 'README.rst')


def _typed(pattern=_SHOWN):
    """Every command that a page shows: (page, words after `openstack`)."""
    return [
        (page.name, shlex.split(line.removeprefix('openstack '), comments=True))
        for page in (*sorted(transcripts.PAGES.rglob('*.rst')), *_READMES)
        for line in pattern.findall(page.read_text())
    ]


class TestTranscripts(base.CommandTestCase):
    maxDiff = None

    def test_the_users_guide_shows_what_the_client_prints(self):
        shown = transcripts.PAGE.read_text()
        made = transcripts.Transcriber(self).page(shown)
        self.assertEqual(
            shown.splitlines(),
            made.splitlines(),
            'python -m troveupgradeclient.tests.transcripts writes the page anew',
        )

    def test_the_guide_shows_each_command_that_users_have(self):
        shown = {
            name
            for page, words in _typed()
            if page == 'index.rst'
            for name in base.commands()
            if ' '.join(words).startswith(name)
        }
        self.assertEqual(set(base.commands()), shown)


class TestCommandLines(testtools.TestCase):
    def test_each_command_of_a_page_can_be_typed(self):
        kinds, found = base.commands(), _typed()
        self.assertLess(10, len(found))
        for page, words in found:
            names = [name for name in kinds if ' '.join(words).startswith(name)]
            self.assertTrue(names, f'{page}: {words} is no command of the client')
            name = max(names, key=len)
            parser = kinds[name](argparse.Namespace(), None).get_parser(name)
            with contextlib.redirect_stderr(io.StringIO()) as written:
                try:
                    parser.parse_args(words[len(name.split()) :])
                except SystemExit:
                    self.fail(f'{page}: {words}: {written.getvalue()}')

    def test_a_help_is_that_of_one_command_or_the_list_of_ours_alone(self):
        # without quotes, the list would have all commands that begin with `database`
        own = {tuple(name.split()) for name in base.commands()} | {('database upgrade',)}
        found = _typed(_HELP)
        for page, words in found:
            self.assertIn(tuple(words[1:]), own, page)
        self.assertIn(('README.rst', ['help', 'database upgrade']), found)


class TestReference(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.page = _REFERENCE.read_text()

    def cells(self, title):
        table = self.page.split(f'\n{title}\n')[1].split('\n\n.. _')[0]
        return re.findall(r'^   \* - ``([^`]+)``', table, re.MULTILINE)

    def test_the_table_of_commands_is_complete(self):
        wanted = sorted(name.removeprefix('database upgrade ') for name in base.commands())
        self.assertEqual(wanted, sorted(self.cells('Commands')))

    def test_the_table_of_exit_statuses_is_that_of_the_code(self):
        wanted = [f'{int(status)}' for status in ExitStatus]
        self.assertEqual(wanted, self.cells('Exit statuses'))
        for status in ExitStatus:
            self.assertIn(f'``{int(status)}``\n     - ``{status.name}``', self.page)
