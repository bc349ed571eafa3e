# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestDefaultDropped(base.LintTestCase):
    dropped = "ops.ensure_default('things', sa.Column('state', sa.String(16), nullable=False))"

    def test_a_default_that_older_services_count_on_stays_until_the_contract(self):
        self.refused('DEFAULT_DROPPED', self.dropped)
        self.accepted(self.dropped, revision='borealis_contract01')

    def test_another_default_is_fine(self):
        self.accepted(
            "ops.ensure_default('things', sa.Column('state', sa.String(16), nullable=False, "
            "server_default='made'))"
        )

    def test_mysql_takes_away_what_a_modify_does_not_say(self):
        self.assertIn(
            'DEFAULT_DROPPED',
            self.codes(
                base.only_on('mysql', 'ALTER TABLE things MODIFY state VARCHAR(16) NOT NULL')
            ),
        )
