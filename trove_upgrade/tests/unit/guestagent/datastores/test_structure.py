# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import structure
from trove_upgrade.guestagent.datastores.mysql_family.catalog import Table
from trove_upgrade.guestagent.datastores.table_facts import TableKind
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

PLAIN = ('a', 't', 'n', 'int', 'YES', None, '', None)
KIND_OF_VIEW = {
    structure.COLUMN: 'COLUMN_TYPE',
    structure.ATTRIBUTE: 'CREATE_OPTIONS',
    structure.INDEX: r'information_schema\.STATISTICS',
    structure.CONSTRAINT: r'information_schema\.(CHECK|TABLE)_CONSTRAINTS',
}
MARIADB = [('STATISTICS', 'IGNORED'), ('CHECK_CONSTRAINTS', 'TABLE_NAME')]
MYSQL = [
    ('STATISTICS', 'IS_VISIBLE'),
    ('CHECK_CONSTRAINTS', 'CHECK_CLAUSE'),
    ('TABLE_CONSTRAINTS', 'ENFORCED'),
]


def column(kind='int', default=None, extra='', collation=None, nullable='YES', name='n'):
    return ('a', 't', name, kind, nullable, default, extra, collation)


class TestStructure(base.TestCase):
    def read(self, kind, rows, version='10.11.14-MariaDB', shown=MARIADB, far=()):
        self.session = fakes.Session(
            ('SELECT VERSION', [(version,)]),
            ("TABLE_SCHEMA = 'information_schema'", shown),
            (KIND_OF_VIEW[kind], rows),
        )
        table = Table(schema='a', name='t', kind=TableKind.TABLE, size_bytes=0)
        return structure.read(self.session, [table, *far], far)['a.t']

    def alike(self, first, second, former='10.11.14-MariaDB', later='11.8.6-MariaDB'):
        then = self.read(structure.COLUMN, [column(**first)], former)
        now = self.read(structure.COLUMN, [column(**second)], later)
        return not list(structure.lost(then, now))

    def test_a_form_of_words_of_another_release_is_no_difference(self):
        for first, second in (
            ({'kind': 'int(11)'}, {'kind': 'int'}),
            ({'kind': 'year(4)'}, {'kind': 'year'}),
            ({'kind': 'datetime /* mariadb-5.3 */'}, {'kind': 'datetime'}),
            ({'collation': 'utf8_bin'}, {'collation': 'utf8mb3_bin'}),
            ({'kind': 'geometrycollection'}, {'kind': 'geomcollection'}),
            ({'extra': 'PERSISTENT'}, {'extra': 'STORED GENERATED'}),
            ({'default': 'current_timestamp()'}, {'default': 'CURRENT_TIMESTAMP'}),
            ({'default': '(1 + `b`)'}, {'default': '1 + `b`'}),
            ({'kind': 'bit(3)', 'default': "b'1'"}, {'kind': 'bit(3)', 'default': '0x01'}),
            ({'kind': 'double', 'default': '0.1'}, {'kind': 'double', 'default': '1e-1'}),
            ({'default': 'NULL'}, {'default': None}),
        ):
            self.assertTrue(self.alike(first, second), first)
        for mysql, mariadb in (
            ('abc', "'abc'"),
            ('now()', "'now()'"),
            ("it's", "'it''s'"),
            ('5', '5'),
        ):
            self.assertTrue(
                self.alike(
                    {'kind': 'varchar(9)', 'default': mysql},
                    {'kind': 'varchar(9)', 'default': mariadb},
                    '5.6.24',
                )
            )
        for former in ('5.7.44', '8.0.36', '8.4.7'):
            extra = 'DEFAULT_GENERATED on update CURRENT_TIMESTAMP'
            self.assertTrue(
                self.alike(
                    {
                        'kind': 'timestamp',
                        'default': 'CURRENT_TIMESTAMP',
                        'extra': 'on update CURRENT_TIMESTAMP',
                    },
                    {'kind': 'timestamp', 'default': 'CURRENT_TIMESTAMP', 'extra': extra},
                    former,
                    '9.7.0',
                )
            )

    def test_each_attribute_of_a_column_that_is_lost_is_a_difference(self):
        for first, second in (
            ({'kind': 'int(11)'}, {'kind': 'bigint(20)'}),
            ({'kind': 'text /*M!100301 COMPRESSED*/'}, {'kind': 'text'}),
            ({'nullable': 'NO'}, {}),
            ({'default': '5'}, {}),
            ({'default': '5'}, {'default': '6'}),
            ({'default': "'NULL'"}, {}),
            ({'default': '(uuid())'}, {}),
            ({'default': "'now()'"}, {'default': 'current_timestamp()'}),
            ({'default': 'current_timestamp(6)'}, {'default': 'current_timestamp()'}),
            ({'extra': 'INVISIBLE'}, {}),
            ({'extra': 'auto_increment'}, {}),
            ({'extra': 'VIRTUAL GENERATED'}, {'extra': 'STORED GENERATED'}),
            ({'extra': 'on update current_timestamp()'}, {}),
            ({'extra': 'WITHOUT SYSTEM VERSIONING'}, {}),
            ({'collation': 'utf8_bin'}, {'collation': 'utf8mb4_bin'}),
        ):
            self.assertFalse(self.alike(first, second), first)

    def test_lost_indexes_and_constraints_are_named_and_new_ones_are_no_loss(self):
        row = ('a', 't', 'u', 0, 'BTREE', 'n', None, 'A', 'NO')
        then = self.read(structure.INDEX, [row])
        for changed in (
            [],
            [(*row[:3], 1, *row[4:])],
            [(*row[:6], 7, *row[7:])],
            [(*row[:7], 'D', 'NO')],
            [(*row[:8], 'YES')],
            [row, ('a', 't', 'u', 0, 'BTREE', 'm', None, 'A', 'NO')],
            [(*row[:4], 'FULLTEXT', *row[5:])],
        ):
            self.assertEqual(
                1, len(list(structure.lost(then, self.read(structure.INDEX, changed))))
            )
        hashed = [(*row[:4], 'HASH', *row[5:7], None, 'NO'), (*row[:2], 'new', *row[3:])]
        self.assertEqual([], list(structure.lost(then, self.read(structure.INDEX, hashed))))
        then = self.read(structure.CONSTRAINT, [('a', 't', 'c', 'YES')])
        found = list(structure.lost(then, self.read(structure.CONSTRAINT, [])))
        self.assertEqual(['has no CHECK constraint c any more'], found)
        slack = self.read(structure.CONSTRAINT, [('a', 't', 'c', 'NO')], '9.7.0', MYSQL)
        self.assertEqual(['has another CHECK constraint c now'], list(structure.lost(then, slack)))

    def test_a_server_that_keeps_no_constraints_is_not_asked_for_them(self):
        then = self.read(structure.COLUMN, [PLAIN], '5.7.44', [('STATISTICS', 'INDEX_NAME')])
        self.assertNotIn(structure.CONSTRAINT, then)
        self.assertFalse([said for said in self.session.statements if 'CONSTRAINTS WHERE' in said])
        now = self.read(structure.CONSTRAINT, [], '8.0.36', MYSQL)
        self.assertEqual(['has no column n any more'], list(structure.lost(then, now)))

    def test_options_that_say_how_rows_are_kept_are_compared_in_any_spelling(self):
        def lost(first, second, engines=('InnoDB', 'InnoDB')):
            then, now = (
                self.read(structure.ATTRIBUTE, [('a', 't', engine, 'utf8_bin', options)])
                for engine, options in zip(engines, (first, second), strict=True)
            )
            return list(structure.lost(then, now))

        for first, second in (
            ('row_format=DYNAMIC', ''),
            ('`PAGE_COMPRESSED`=1', "`PAGE_COMPRESSED`='ON'"),
            ('`page_compressed`=0', ''),
            ('ENCRYPTION="N"', ''),
            ("ENCRYPTION='Y'", 'ENCRYPTION="Y"'),
            ('`ENCRYPTED`=DEFAULT', ''),
        ):
            self.assertEqual([], lost(first, second), first)
        for first, second in (
            ('`ENCRYPTED`=YES', ''),
            ('`ENCRYPTED`=NO', ''),
            ('`ENCRYPTED`=YES `ENCRYPTION_KEY_ID`=7', '`ENCRYPTED`=YES'),
            ('COMPRESSION="zlib"', 'COMPRESSION="lz4"'),
            ('ENCRYPTION="Y"', 'ENCRYPTION="N"'),
        ):
            self.assertEqual(['has another encryption or compression now'], lost(first, second))
        self.assertEqual(['has another partitioning now'], lost('partitioned', ''))
        self.assertEqual(['has another engine now'], lost('', '', ('InnoDB', 'MyISAM')))
        self.assertEqual([], lost('', '', ('MRG_MyISAM', 'MRG_MYISAM')))

    def test_a_generated_invisible_key_is_shown_or_not_as_a_variable_says(self):
        key = column(kind='bigint unsigned', extra='auto_increment INVISIBLE', name='my_row_id')
        shown = self.read(structure.COLUMN, [PLAIN, key], '9.7.0', MYSQL)
        self.assertEqual([], list(structure.lost(shown, self.read(structure.COLUMN, [PLAIN]))))
        index = ('a', 't', 'PRIMARY', 0, 'BTREE', 'my_row_id', None, 'A', 'NO')
        self.assertEqual({}, self.read(structure.INDEX, [index], '9.7.0', MYSQL)[structure.INDEX])

    def test_of_very_many_tables_only_what_is_cheap_is_read(self):
        self.read(structure.COLUMN, [PLAIN])
        many = [
            Table(schema='a', name=f't{number}', kind=TableKind.TABLE, size_bytes=0)
            for number in range(structure.MOST_TABLES + 1)
        ]
        for tables, kinds in ((many[1:], set(KIND_OF_VIEW)), (many, {structure.COLUMN, ''})):
            self.assertEqual(kinds, structure.read(self.session, tables, [])['a.t1'].keys())

    def test_a_table_of_another_server_is_not_opened(self):
        far = Table(schema='a', name='far', kind=TableKind.TABLE, size_bytes=0)
        self.read(structure.COLUMN, [PLAIN], far=[far])
        found = structure.read(self.session, [far], [far])['a.far']
        self.assertEqual({structure.COLUMN}, found.keys())
        opening = [
            said
            for said in self.session.statements
            if any(view in said for view in ('CREATE_OPTIONS', '.STATISTICS', '.CHECK_CONSTRAINTS'))
        ]
        self.assertEqual(6, len(opening))
        for said in opening:
            self.assertIn("TABLE_NAME = 'far')", said)

    @given(
        st.dictionaries(
            st.sampled_from(tuple(KIND_OF_VIEW)), st.dictionaries(st.text(), st.text(max_size=3))
        )
    )
    def test_the_same_has_lost_nothing_and_an_agent_that_knew_nothing_compares_nothing(self, parts):
        self.assertEqual([], list(structure.lost(parts, parts)))
        self.assertEqual([], list(structure.lost(parts, {})))
        self.assertEqual([], list(structure.lost({}, parts)))
