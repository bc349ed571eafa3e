# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.schema_tools.lint.types import Widening, compare
from trove_upgrade.tests.unit import base


class TestCompare(base.TestCase):
    def test_types_are_compared_as_each_server_stores_them(self):
        cases = [
            ('VARCHAR(36)', 'varchar(36) CHARACTER SET utf8mb4', 'mysql', Widening.SAME),
            ('VARCHAR(36)', 'CHARACTER VARYING(37)', 'postgresql', Widening.WIDER),
            ('VARCHAR(300)', 'VARCHAR(400)', 'mysql', Widening.WIDER),
            ('VARCHAR(300)', 'VARCHAR(400)', 'mariadb', Widening.WIDER),
            ('VARCHAR(255)', 'TEXT', 'mysql', Widening.OTHER),
            ('TEXT', 'LONGTEXT', 'mariadb', Widening.OTHER),
            ('TINYTEXT', 'VARCHAR(100)', 'mariadb', Widening.OTHER),
            ('VARCHAR(16383)', 'TEXT', 'mysql', Widening.OTHER),
            ('VARCHAR(255)', 'TEXT CHARACTER SET utf8mb4', 'mysql', Widening.OTHER),
            ('TEXT', 'text COLLATE utf8mb4_bin', 'mysql', Widening.SAME),
            ('VARCHAR(20000)', 'TEXT', 'mysql', Widening.NARROWER),
            ('VARCHAR(20000)', 'TEXT', 'postgresql', Widening.WIDER),
            ('LONGTEXT', 'TEXT', 'mariadb', Widening.NARROWER),
            ('CHAR(36)', 'VARCHAR(36)', 'mysql', Widening.OTHER),
            ('INTEGER', 'INT(11)', 'mysql', Widening.SAME),
            ('INTEGER', 'BIGINT', 'postgresql', Widening.OTHER),
            ('BIGINT', 'INTEGER', 'mysql', Widening.NARROWER),
            ('INTEGER', 'INTEGER UNSIGNED', 'mysql', Widening.OTHER),
            ('NUMERIC(8, 2)', 'NUMERIC(8, 3)', 'mysql', Widening.NARROWER),
            ('NUMERIC(8, 2)', 'DECIMAL(9,2)', 'mysql', Widening.OTHER),
            ('NUMERIC(8, 2)', 'DECIMAL(9,2)', 'mariadb', Widening.OTHER),
            ('NUMERIC(8, 2)', 'NUMERIC(9, 2)', 'postgresql', Widening.WIDER),
            ('DATETIME(6)', 'DATETIME', 'mysql', Widening.NARROWER),
            ('DATETIME', 'DATETIME(6)', 'mysql', Widening.OTHER),
            ('TIMESTAMP WITHOUT TIME ZONE', 'TIMESTAMP', 'postgresql', Widening.SAME),
            (
                'TIMESTAMP WITHOUT TIME ZONE',
                'TIMESTAMP WITH TIME ZONE',
                'postgresql',
                Widening.OTHER,
            ),
            ('BOOLEAN', 'BOOLEAN', 'postgresql', Widening.SAME),
        ]
        for old, new, dialect, outcome in cases:
            self.assertEqual(outcome, compare(old, new, dialect), (old, new, dialect))
