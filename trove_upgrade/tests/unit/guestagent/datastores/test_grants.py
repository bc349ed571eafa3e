# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.guestagent.datastores.mysql_family import grants
from trove_upgrade.tests.unit import base


class TestGrants(base.TestCase):
    def test_more_privileges_are_no_loss(self):
        before = ['GRANT SUPER ON *.* TO `u`@`%`']
        after = ['GRANT SUPER, BINLOG MONITOR, SET USER ON *.* TO `u`@`%`']
        self.assertEqual([], grants.missing(before, after))
        self.assertEqual(['BINLOG MONITOR on *.*', 'SET USER on *.*'], grants.missing(after, before))

    def test_all_privileges_covers_single_ones_but_not_the_grant_option(self):
        before = ['GRANT SELECT, INSERT ON `a`.* TO `u`@`%` WITH GRANT OPTION']
        self.assertEqual(["GRANT OPTION on 'a'.*"], grants.missing(before, ['GRANT ALL PRIVILEGES ON `a`.* TO `u`@`%`']))

    def test_all_privileges_may_be_spelt_out_by_a_newer_server(self):
        spelt_out = ', '.join(sorted(grants._EVERYTHING_OF_10_11))
        before = ['GRANT ALL PRIVILEGES ON *.* TO `k`@`localhost`']
        self.assertEqual([], grants.missing(before, [f'GRANT {spelt_out} ON *.* TO `k`@`localhost`']))
        self.assertEqual(['ALL PRIVILEGES on *.*'],
                         grants.missing(before, [f'GRANT {spelt_out.replace("FILE, ", "")} ON *.* TO `k`@`localhost`']))

    def test_columns_are_compared_one_by_one(self):
        self.assertEqual(["SELECT(b) on 'a'.'t'"], grants.missing(['GRANT SELECT (`a`, `b`), INSERT ON `a`.`t` TO `u`@`%`'],
                                                                 ['GRANT INSERT, SELECT (`a`) ON `a`.`t` TO `u`@`%`']))

    def test_a_renamed_privilege_is_the_same(self):
        self.assertEqual([], grants.missing(['GRANT REPLICATION CLIENT ON *.* TO `r`@`%`'], ['GRANT BINLOG MONITOR ON *.* TO `r`@`%`']))

    def test_quotes_of_proxy_are_alike(self):
        self.assertEqual([], grants.missing(['GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION'],
                                            ["GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION"]))

    def test_a_lost_role_and_a_lost_default_role_are_named(self):
        lost = grants.missing(['GRANT `ro` TO `u`@`%`', 'SET DEFAULT ROLE `ro` FOR `u`@`%`'], [])
        self.assertEqual(['role on ro', 'statement on SET DEFAULT ROLE `ro` FOR `u`@`%`'], lost)

    def test_no_password_hash_stays_in_a_grant(self):
        said = "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*94BD' REQUIRE SSL WITH MAX_USER_CONNECTIONS 3"
        self.assertEqual('GRANT USAGE ON *.* TO `u`@`%` REQUIRE SSL WITH MAX_USER_CONNECTIONS 3', grants.without_password(said))
        self.assertNotIn('94BD', grants.without_password("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED VIA mysql_native_password USING '*94BD'"))
