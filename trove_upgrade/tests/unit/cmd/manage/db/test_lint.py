# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import json
import pathlib

import fixtures

from trove_upgrade.cmd import manage
from trove_upgrade.cmd.manage.db import lint
from trove_upgrade.db.migrations.exit_codes import ExitCode
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations import temporary_chain


class TestLint(base.TestCase):
    def setUp(self):
        super().setUp()
        self.revisions = self.useFixture(temporary_chain.TemporaryChain())
        self.revisions.add(
            'aurora_expand01',
            "ops.ensure_table('things', sa.Column('id', sa.Integer(), primary_key=True))",
        )
        self.revisions.add(
            'borealis_expand01',
            "ops.ensure_column('things', sa.Column('size', sa.Integer(), nullable=False))",
        )

    def report(self, *revisions, as_json=False):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = lint.report([self.revisions.chain], revisions, as_json=as_json)
        return code, out.getvalue()

    def run_tool(self, *words):
        """With a configuration that names no database."""
        conf = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'trove-upgrade.conf'
        conf.write_text('[DEFAULT]\n')
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return manage.main(
                ['--config-file', str(conf), 'db', 'lint', *words]
            ), out.getvalue() + err.getvalue()

    def test_a_finding_is_a_block_that_says_what_why_and_what_instead(self):
        code, text = self.report()
        self.assertEqual(ExitCode.LINT_REFUSED, code)
        self.assertIn(
            'borealis_expand01: NOT_NULL_COLUMN: column things.size is added NOT NULL and has no '
            'server default\n',
            text,
        )
        for line in (
            (
                '  statement: ALTER TABLE things ADD COLUMN size INTEGER NOT NULL (mysql, mariadb, '
                'postgresql, sqlite)'
            ),
            '  why:       Services of the release before',
            '  instead:   Add it nullable',
            '  page:      reference/lint.html#lint-not-null-column',
            '2 revisions, 1 findings.',
        ):
            self.assertIn(line, text)

    def test_json_has_the_same_for_machines(self):
        code, text = self.report(as_json=True)
        self.assertEqual(ExitCode.LINT_REFUSED, code)
        self.assertEqual(
            [('NOT_NULL_COLUMN', 'borealis_expand01', 'things.size')],
            [(one['code'], one['revision'], one['about']) for one in json.loads(text)],
        )

    def test_only_the_revisions_that_are_named_are_judged(self):
        self.assertEqual(
            (ExitCode.DONE, '1 revisions, nothing found.\n'), self.report('aurora_expand01')
        )
        self.assertEqual((ExitCode.DONE, '[]\n'), self.report('aurora_expand01', as_json=True))

    def test_the_command_needs_no_database_and_ends_with_the_right_code(self):
        self.assertEqual((0, '1 revisions, nothing found.\n'), self.run_tool('aurora_standalone01'))
        code, text = self.run_tool('nothing01')
        self.assertEqual(2, code)
        self.assertIn('ERROR REVISION_UNKNOWN: "nothing01"', text)
