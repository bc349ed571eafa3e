# SPDX-License-Identifier: Apache-2.0
"""The document of a fingerprint in a stash: the release before has written it, and its digest
travels.
"""

import datetime
import json
import pathlib

from trove_upgrade.guestagent.datastores.base import Fingerprint
from trove_upgrade.guestagent.datastores.mysql_family import comparison, dialect, fingerprint
from trove_upgrade.guestagent.datastores.table_facts import ChecksumOf, TableFacts, TableKind
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent.datastores import fakes

#: Written by the release before this one, of the server below.
WRITTEN = (
    (pathlib.Path(__file__).parent / 'fingerprint_of_the_release_before.json').read_bytes().rstrip()
)
COLUMNS = (
    ('a', 'plain', 'id', 'int', '', ''),
    ('a', 'stored', 'net', 'int', '', ''),
    ('a', 'stored', 'gross', 'int', 'STORED GENERATED', '(`net` * 2)'),
    ('a', 'v', 'id', 'int', '', ''),
    ('a', 'v', 's', 'timestamp', 'STORED GENERATED', 'ROW START'),
    ('a', 'v', 'h', 'int', 'INVISIBLE', ''),
    ('a', 'v2', 'id', 'int', '', ''),
)
TABLES = (
    ('a', 'plain', 'BASE TABLE', 1, 'InnoDB'),
    ('a', 'stored', 'BASE TABLE', 2, 'InnoDB'),
    ('a', 'v', 'SYSTEM VERSIONED', 3, 'InnoDB'),
    ('a', 'v2', 'SYSTEM VERSIONED', 4, 'InnoDB'),
    ('a', 's', 'SEQUENCE', 5, 'InnoDB'),
    ('a', 'm', 'BASE TABLE', 6, 'MEMORY'),
    ('a', 'w', 'VIEW', 0, None),
    ('a', 'big', 'BASE TABLE', 10**9, 'InnoDB'),
)


def taken():
    """A fingerprint with every form of a table's facts."""
    session = fakes.Session(
        ('ENGINE IN', [('a', 'far', 'BASE TABLE', 'FEDERATED')]),
        ("TABLE_NAME = 'global_priv'", [(1,)]),
        ('SELECT VERSION', [('10.11.14-MariaDB',)]),
        ('GENERATION_EXPRESSION', COLUMNS),
        ('mysql.global_priv', [('u', '%', '{"plugin": "p"}')]),
        ('SHOW GRANTS', [('GRANT USAGE ON *.* TO `u`@`%`',)]),
        ('SHOW GLOBAL VARIABLES', [('sql_mode', 'A')]),
        ('ENGINE, TABLE_COLLATION', [('a', 'plain', 'InnoDB', 'latin1_bin', '')]),
        ('FROM information_schema.TABLES', TABLES),
        (r'SELECT \* FROM `a`.`s`', [(5, 1, 9)]),
        ('FOR SYSTEM_TIME ALL', [(7, 11, 13)]),
        ('BIT_XOR', [(5, 17, 19)]),
        (r'COUNT\(\*\) FROM `a`.`big`', fakes.refusal(1969)),
        (r'COUNT\(\*\)', [(5,)]),
        ('CHECKSUM TABLE', [('t', 77)]),
    )
    return fingerprint.FingerprintCollector(
        session,
        dialect.MariaDB(),
        budget_seconds=60,
        monotonic=fakes.Clock(),
        now=lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        progress=lambda percent, text: None,
    ).take()


class FingerprintDocumentTest(base.TestCase):
    def test_it_is_byte_for_byte_that_of_the_release_before(self):
        self.assertEqual(WRITTEN, taken().to_document())

    def test_one_of_the_release_before_is_read(self):
        read = Fingerprint.from_document(WRITTEN)
        self.assertEqual(taken(), read)
        self.assertEqual(WRITTEN, read.to_document())
        found = comparison.compare(read, taken())
        self.assertEqual(([], 6), (found.missing, found.tables_compared))

    def test_words_of_this_release_are_members_and_those_of_another_one_stay(self):
        read = Fingerprint.from_document(WRITTEN)
        self.assertIs(TableKind.VERSIONED, read.tables['a.v'].kind)
        self.assertIs(ChecksumOf.VALUES, read.tables['a.stored'].rows.checksum_of)
        document = {'rows': 1, 'checksum': 'x', 'kind': 'period', 'checksum_of': 'pages'}
        later = TableFacts.from_json(document)
        self.assertEqual(('period', 'pages'), (later.kind, later.rows.checksum_of))

    def test_keys_that_only_a_later_release_knows_are_ignored(self):
        later = {**json.loads(WRITTEN), 'of_a_later_release': 1}
        later['tables'] = {
            name: {**table, 'of_a_later_release': {}} for name, table in later['tables'].items()
        }
        self.assertEqual(taken(), Fingerprint.from_document(json.dumps(later).encode()))

    def test_a_table_of_the_first_releases_has_no_columns_and_no_structure(self):
        found = TableFacts.from_json({'rows': 1, 'checksum': 'x', 'kind': 'table'})
        self.assertEqual(('', {}, None), (found.columns, found.structure, found.rows.history))
