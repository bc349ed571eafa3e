# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestUnclassifiedSql(base.LintTestCase):
    def test_what_is_not_understood_is_refused(self):
        for statement in (
            'CREATE TRIGGER t BEFORE INSERT ON things FOR EACH ROW SET NEW.note = 1',
            'CALL repair()',
            'SET GLOBAL a = 1',
            'DELETE FROM things; DELETE FROM things',
            'ALTER TABLE things PARTITION BY HASH(id)',
            'CREATE TABLE IF NOT EXISTS copies LIKE things',
            'GRANT ALL ON things TO somebody',
            'DO $$ BEGIN END $$',
        ):
            self.assertIn(
                'UNCLASSIFIED_SQL', self.codes(base.only_on('mysql', statement)), statement
            )

    def test_a_statement_is_read_as_its_server_reads_it(self):
        hidden = "COMMENT ON TABLE things IS '\\'; DROP TABLE instances; --'"
        self.assertIn('UNCLASSIFIED_SQL', self.codes(base.only_on('postgresql', hidden)))
        self.assertIn(
            'UNCLASSIFIED_SQL',
            self.codes(
                base.only_on(
                    'mysql', 'ALTER TABLE things ALTER note DROP DEFAULT /*!50000 , DROP name */'
                )
            ),
        )

    def test_comments_and_settings_of_the_session_are_fine(self):
        self.accepted(
            base.only_on(
                'postgresql',
                "SET lock_timeout = '1s'",
                "COMMENT ON TABLE things IS 'ours; all of them'",
                '-- why\nALTER TABLE things ALTER COLUMN note DROP NOT NULL',
            )
        )
