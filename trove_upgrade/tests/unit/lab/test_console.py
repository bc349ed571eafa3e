# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import pathlib
import tempfile

import fixtures

from lab import console, layout
from trove_upgrade.tests.unit import base


class LabCommandTest(base.TestCase):
    """What the console script says when no cloud is up; with one, the functional tests use it."""

    def setUp(self):
        super().setUp()
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.useFixture(fixtures.EnvironmentVariable(layout.RUN_VARIABLE, str(root / 'run')))
        self.useFixture(fixtures.EnvironmentVariable(layout.CACHE_VARIABLE, str(root / 'cache')))

    def main(self, *argv):
        """(exit code, standard output, standard error)."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return console.main(argv), out.getvalue(), err.getvalue()

    def test_status_says_that_no_cloud_is_up(self):
        code, out, _err = self.main('status')
        self.assertEqual(1, code)
        self.assertIn('No cloud is up', out)

    def test_env_says_how_to_start_one(self):
        code, out, err = self.main('env')
        self.assertEqual((1, ''), (code, out))
        self.assertIn('trove-upgrade-lab up', err)

    def test_a_run_directory_that_cannot_be_made_is_one_line_with_what_to_do(self):
        self.useFixture(fixtures.EnvironmentVariable(layout.RUN_VARIABLE, '/dev/null/cloud'))
        for word in ('up', 'down', 'clean'):
            code, _out, err = self.main(word)
            self.assertEqual((1, 1), (code, len(err.splitlines())), err)
            self.assertIn(f'Set {layout.RUN_VARIABLE}', err)

    def test_exec_names_the_guests_there_are(self):
        code, _out, err = self.main('exec', 'db1', '--', 'true')
        self.assertEqual(1, code)
        self.assertIn('There are: none', err)

    def test_an_unknown_user_is_a_usage_error(self):
        self.assertEqual(2, self.assertRaises(SystemExit, self.main, 'env', 'root').code)
