# SPDX-License-Identifier: Apache-2.0
"""A former release is taken out of the history, and a checkout without it is told so."""

import subprocess
import sys

from trove_upgrade.tests import base
from trove_upgrade.tests.functional.rolling import release_code


class ReleaseCodeTest(base.TestCase):
    def test_a_process_with_the_code_of_borealis_is_borealis(self):
        code = self.useFixture(release_code.Borealis()).code
        asked = 'from trove_upgrade.db import release; print(release.RELEASE, release.__file__)'
        printed = subprocess.run(
            [sys.executable, '-c', asked],
            cwd='/',
            env=code.environment(),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.assertEqual(f'borealis {code.directory}/trove_upgrade/db/release.py\n', printed)

    def test_a_checkout_without_the_history_is_told_how_to_get_it(self):
        with self.assertRaisesRegex(AssertionError, 'git fetch --unshallow'):
            release_code.packed('0' * 40)
