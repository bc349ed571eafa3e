# SPDX-License-Identifier: Apache-2.0
"""What is exempted from the search for insecure code says why."""

import pathlib
import re

import trove_upgrade
from trove_upgrade.tests.unit import base

PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
#: The test by its number, then the reason, as a comment of its own: bandit takes words behind its
#: own mark for names of tests.
_EXEMPTED = re.compile(r'# nosec(?P<tests>(?: B\d{3})+) # (?P<reason>.*)')


class TestExemptions(base.TestCase):
    def test_each_line_names_the_test_and_the_reason(self):
        bare = [
            f'{path.relative_to(PACKAGE)}:{number}'
            for path in sorted(PACKAGE.rglob('*.py'))
            if 'tests' not in path.relative_to(PACKAGE).parts
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if 'nosec' in line and not _is_explained(line)
        ]
        self.assertEqual([], bare)

    def test_one_without_test_or_reason_is_found(self):
        for line in (
            'x = 1  # nosec',
            'x = 1  # nosec B108',
            'x = 1  # nosec # because',
            'x = 1  # nosec B108 # ',
            'x = 1  # nosec: B108',
        ):
            self.assertFalse(_is_explained(line), line)
        self.assertTrue(_is_explained('x = 1  # noqa: S108  # nosec B108 # nothing is made there'))

    def test_each_test_that_is_left_out_altogether_has_its_reason(self):
        section = (
            (PACKAGE.parent / 'pyproject.toml')
            .read_text()
            .partition('[tool.bandit]')[2]
            .partition('\n[')[0]
        )
        left_out = [line for line in section.splitlines() if re.search(r'"B\d{3}"', line)]
        self.assertEqual(4, len(left_out))
        self.assertEqual([], [line for line in left_out if len(line.partition('#')[2].split()) < 3])


def _is_explained(line):
    found = _EXEMPTED.search(line)
    return found is not None and len(found['reason'].split()) > 2
