# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestInvalidIndexLeft(base.LintTestCase):
    def test_what_a_killed_build_has_left_is_dropped_first(self):
        build = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON things (size)'
        self.refused('INVALID_INDEX_LEFT', base.only_on('postgresql', build))
        self.accepted(base.only_on('postgresql', 'DROP INDEX CONCURRENTLY IF EXISTS ix', build))
