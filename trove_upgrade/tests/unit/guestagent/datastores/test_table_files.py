# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.guestagent.datastores.mysql_family import connection, table_files
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase


class TestOutside(DriverTestCase):
    def outside(self, definition, engine='CONNECT'):
        session = fakes.Session(
            ('information_schema.TABLES', [('shop', 'prices', engine)]),
            ('SHOW CREATE TABLE `shop`.`prices`', definition),
        )
        return list(table_files.outside(session, self.root / 'v/data', self.root / 'v'))

    def definition(self, options):
        return [('prices', f'CREATE TABLE `prices` (`a` int) ENGINE=CONNECT {options}')]

    def test_a_file_of_the_root_disk_is_named_with_its_table(self):
        for options in (
            "`TABLE_TYPE`='CSV' `FILE_NAME`='/srv/prices.csv'",
            "table_type=CSV file_name='/srv/prices.csv' sep_char=';'",
            "`table_type`=FIX `file_name`='../../../srv/prices.csv'",
            "`TABLE_TYPE`='SQLITE' CONNECTION='/srv/x.db'",
            "`TABLE_TYPE`='JSON' `OPTION_LIST`='Pretty=1,File_name=/srv/x.json'",
            "DATA DIRECTORY='/srv/' `TABLE_TYPE`='CSV' `FILE_NAME`='x'",
        ):
            found = self.outside(self.definition(options))
            self.assertEqual(1, len(found), options)
            self.assertIn('shop.prices', found[0])

    def test_quotes_in_a_name_are_its_own(self):
        self.assertIn("/srv/it's", self.outside(self.definition("FILE_NAME='/srv/it''s'"))[0])
        self.assertIn("/srv/it's", self.outside(self.definition(r"FILE_NAME='/srv/it\'s'"))[0])

    def test_files_beside_the_data_and_tables_of_other_servers_are_none(self):
        for options in (
            f"FILE_NAME='{self.root}/v/files/prices.csv'",
            "FILE_NAME='prices.csv'",
            "TABLE_TYPE=MYSQL CONNECTION='mysql://elsewhere/shop/prices'",
            "FILE_NAME=''",
            "`TABLE_TYPE`='CSV' `FILE_NAME`='prices.csv' `SEP_CHAR`='/' `QCHAR`='/'",
            "`TABLE_TYPE`='JSON' `HTTP`='https://elsewhere' `URI`='/prices' COMMENT='/srv/x'",
        ):
            self.assertEqual([], self.outside(self.definition(options)), options)

    def test_tables_of_columnstore_are_named(self):
        self.assertIn('ColumnStore', self.outside([], 'COLUMNSTORE')[0])

    def test_a_table_that_is_dropped_meanwhile_is_none(self):
        self.assertEqual([], self.outside(fakes.refusal(1146)))

    def test_another_error_is_told(self):
        self.assertRaises(connection.SessionError, self.outside, fakes.refusal(1105))
