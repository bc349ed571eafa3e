# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import pathlib
import re

import fixtures

from trove_upgrade.cmd import manage
from trove_upgrade.tests.unit import base


class TestOfflineSql(base.TestCase):
    """`db upgrade --sql`: no database is there."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = folder / 'trove-upgrade.conf'
        self.conf.write_text(f'[database]\nconnection = sqlite:///{folder}/nothing/db.sqlite\n')

    def tool(self, *words, code=0):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = manage.main(
                [
                    '--config-file',
                    str(self.conf),
                    'db',
                    'upgrade',
                    '--sql',
                    '--dialect',
                    'mysql',
                    *words,
                ]
            )
        self.assertEqual(code, ended, err.getvalue())
        return err.getvalue() if code else out.getvalue()

    def test_a_range_begins_and_ends_at_revisions_releases_and_heads(self):
        for words, expected in (
            (('aurora:borealis',), ['borealis_expand01', 'borealis_contract01']),
            (
                ('borealis:cygnus',),
                [
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                    'cygnus_contract01',
                ],
            ),
            (
                ('borealis_expand01:',),
                ['cygnus_expand01', 'cygnus_expand02', 'cygnus_expand03', 'cygnus_expand04'],
            ),
            (
                ('aurora:',),
                [
                    'borealis_expand01',
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                    'borealis_contract01',
                    'cygnus_contract01',
                ],
            ),
            (
                ('aurora:head',),
                [
                    'borealis_expand01',
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                    'borealis_contract01',
                    'cygnus_contract01',
                ],
            ),
            (
                ('aurora:heads',),
                [
                    'borealis_expand01',
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                    'borealis_contract01',
                    'cygnus_contract01',
                ],
            ),
            (
                ('aurora:head', '--expand'),
                [
                    'borealis_expand01',
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                ],
            ),
            (('aurora:heads', '--contract'), ['borealis_contract01', 'cygnus_contract01']),
            (
                ('aurora_expand01:heads',),
                [
                    'borealis_expand01',
                    'cygnus_expand01',
                    'cygnus_expand02',
                    'cygnus_expand03',
                    'cygnus_expand04',
                ],
            ),
            (('aurora_contract01:borealis',), ['borealis_contract01']),
            (('aurora_expand01:borealis_expand01',), ['borealis_expand01']),
            (('aurora_expand01:borealis_expand01', '--expand'), ['borealis_expand01']),
            (('aurora:borealis_contract01',), ['borealis_contract01']),
            (('aurora:aurora',), []),
            ((':aurora',), ['aurora_expand01', 'aurora_contract01']),
            ((':borealis_expand01',), ['aurora_expand01', 'borealis_expand01']),
        ):
            with self.subTest(words):
                self.assertEqual(
                    expected,
                    re.findall('^-- ([a-z]+_[a-z]+[0-9]+)$', self.tool(*words), re.MULTILINE),
                )

    def test_a_range_that_cannot_be_is_a_usage_error_that_says_why(self):
        for words, said in (
            (
                ('aurora_expand01:borealis_contract01',),
                'aurora_expand01 of expand, borealis_contract01 of contract',
            ),
            (('aurora_expand01:heads', '--contract'), 'aurora_expand01 is of the expand branch'),
            (
                ('aurora:borealis_contract01', '--expand'),
                'borealis_contract01 is of the contract branch',
            ),
            (('borealis:aurora',), 'borealis comes after aurora'),
            (
                ('borealis_expand01:aurora_expand01',),
                'borealis_expand01 comes after aurora_expand01',
            ),
            (('aurora:zulu',), '"zulu" is no revision and no release'),
            (('zulu:heads',), '"zulu" is no revision and no release'),
            (('heads:heads',), '"heads" is no revision and no release'),
        ):
            with self.subTest(words):
                self.assertIn(said, self.tool(*words, code=2))
