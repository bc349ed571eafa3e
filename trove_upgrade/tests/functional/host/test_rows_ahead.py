# SPDX-License-Identifier: Apache-2.0
"""Rows of large tables that are read beside the engine's own upgrade: a real server, and its own
count of the checksums that it was asked for.
"""

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.guestagent.datastores.mysql_family import rows
from trove_upgrade.tests.functional.host.test_mariadb_driver import MariaDBTestCase

_SEED = (
    'CREATE DATABASE app',
    'USE app',
    'CREATE TABLE large (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(200))',
    "INSERT INTO large (word) SELECT REPEAT('word ', 40) FROM seq_1_to_70000",
    'CREATE TABLE small (id INT PRIMARY KEY)',
    'INSERT INTO small VALUES (1)',
    'ANALYZE TABLE large',
)
#: Of a server of another series, after which the engine's own upgrade runs.
_FORMER = '10.6.18-MariaDB'


class TestALargeTable(MariaDBTestCase):
    def setUp(self):
        super().setUp()
        self.start()
        self.root.sql(*_SEED)
        size = self.root.sql(
            "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_NAME = 'large'"
        )
        self.assertGreater(int(size[0][0]), rows.LARGE_BYTES)
        self.before = self.stop()
        self.driver.own_data()
        self.driver.start_isolated()

    def checksums(self):
        return int(self.root.sql("SHOW GLOBAL STATUS LIKE 'Com_checksum'")[0][1])

    def upgraded(self):
        """Upgrade the data, and wait until the large table was read beside it."""
        self.driver.upgrade_data(self.progress, _FORMER)
        self.assertTrue([said for said in self.said if said.startswith('Phase')])
        self.driver._ahead._reader.join()
        self.assertEqual(1, self.checksums())

    def compared(self):
        """Return what is missing, and the tables whose rows were read for the comparison."""
        read = self.checksums()
        after = self.driver.fingerprint(GuestOptions(), self.progress)
        return self.driver.compare(self.before, after).missing, self.checksums() - read

    def test_is_read_beside_the_upgrade_and_not_again(self):
        self.upgraded()
        self.assertEqual(([], 1), self.compared())

    def test_is_read_again_in_whole_by_the_next_fingerprint(self):
        self.upgraded()
        self.compared()
        self.assertEqual(([], 2), self.compared())

    def test_that_was_written_to_after_it_was_read_is_read_again(self):
        self.upgraded()
        self.root.sql("UPDATE app.large SET word = 'other' WHERE id = 7")
        (missing,), read = self.compared()
        self.assertEqual(2, read)
        self.assertIn('table app.large has another checksum', missing)

    def test_whose_file_was_written_to_without_a_word_of_the_server_is_read_again(self):
        self.upgraded()
        (self.root.path / 'var/lib/mysql/data/app/large.ibd').touch()
        self.assertEqual(([], 2), self.compared())

    def test_that_was_made_anew_after_it_was_read_is_read_again(self):
        self.upgraded()
        self.root.sql('ALTER TABLE app.large FORCE')
        self.assertEqual(([], 2), self.compared())

    def test_that_was_read_for_an_earlier_start_is_read_again(self):
        self.upgraded()
        self.service.stop('trove-upgrade-database')
        self.driver.start_isolated()
        self.assertEqual(([], 2), self.compared())

    def test_is_read_once_where_the_engine_has_no_upgrade_for_it(self):
        self.driver.upgrade_data(self.progress, self.before.server_version)
        self.assertEqual(0, self.checksums())
        self.assertEqual(([], 2), self.compared())

    def test_of_which_the_operator_has_no_time_for_is_not_read(self):
        self.driver.upgrade_data(self.progress, _FORMER, GuestOptions(fingerprint_seconds=0))
        self.driver._ahead._reader.join()
        self.assertEqual(0, self.checksums())
