# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.guestagent.datastores.mysql_family import grants
from trove_upgrade.tests.unit import base


class TestGrants(base.TestCase):
    def test_more_privileges_are_no_loss(self):
        before = ['GRANT SUPER ON *.* TO `u`@`%`']
        after = ['GRANT SUPER, BINLOG MONITOR, SET USER ON *.* TO `u`@`%`']
        self.assertEqual([], grants.missing(before, after))
        self.assertEqual(
            ['BINLOG MONITOR on *.*', 'SET USER on *.*'], grants.missing(after, before)
        )

    def test_all_privileges_covers_single_ones_but_not_the_grant_option(self):
        before = ['GRANT SELECT, INSERT ON `a`.* TO `u`@`%` WITH GRANT OPTION']
        self.assertEqual(
            ["GRANT OPTION on 'a'.*"],
            grants.missing(before, ['GRANT ALL PRIVILEGES ON `a`.* TO `u`@`%`']),
        )

    def test_all_privileges_may_be_spelt_out_by_a_newer_server(self):
        spelt_out = ', '.join(sorted(grants._EVERYTHING_OF_10_11))
        before = ['GRANT ALL PRIVILEGES ON *.* TO `k`@`localhost`']
        self.assertEqual(
            [], grants.missing(before, [f'GRANT {spelt_out} ON *.* TO `k`@`localhost`'])
        )
        self.assertEqual(
            ['ALL PRIVILEGES on *.*'],
            grants.missing(
                before, [f'GRANT {spelt_out.replace("FILE, ", "")} ON *.* TO `k`@`localhost`']
            ),
        )

    def test_all_of_a_database_or_a_table_may_be_spelt_out_where_the_former_server_knew_no_history(
        self,
    ):
        """Measured: MySQL 5.6.24's accounts after mariadb-upgrade of 10.11.19."""
        spelt_out = (
            'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE '
            'TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, '
            'ALTER ROUTINE, EVENT, TRIGGER'
        )
        of_table = (
            'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, '
            'CREATE VIEW, SHOW VIEW, TRIGGER'
        )
        for listed, target in ((spelt_out, '`a`.*'), (of_table, '`a`.`t`')):
            lost = [f'ALL PRIVILEGES on {target.replace("`", chr(39))}']
            before, after = (
                [f'GRANT {what} ON {target} TO `u`@`%`'] for what in ('ALL PRIVILEGES', listed)
            )
            for version in ('5.6.24', '10.2.44-MariaDB', '10.3.3-MariaDB'):
                self.assertEqual([], grants.missing(before, after, version))
                self.assertEqual(
                    lost, grants.missing(before, [after[0].replace('UPDATE, ', '')], version)
                )
            for version in ('10.3.4-MariaDB', '10.11.19-MariaDB'):
                self.assertEqual(lost, grants.missing(before, after, version))
                self.assertEqual(
                    [],
                    grants.missing(
                        before, [after[0].replace('UPDATE', 'UPDATE, DELETE HISTORY')], version
                    ),
                )

    def test_a_list_of_all_that_a_former_server_knew_does_not_cover_what_it_does_not_name(self):
        listed = ', '.join(sorted(grants._EVERYTHING_IN_A_DATABASE))
        before, after = (
            [f'GRANT {what} ON `a`.* TO `u`@`%`']
            for what in (f'{listed}, SHOW CREATE ROUTINE', listed)
        )
        self.assertEqual(
            ["SHOW CREATE ROUTINE on 'a'.*"], grants.missing(before, after, '11.8.6-MariaDB')
        )

    def test_columns_are_compared_one_by_one(self):
        self.assertEqual(
            ["SELECT(b) on 'a'.'t'"],
            grants.missing(
                ['GRANT SELECT (`a`, `b`), INSERT ON `a`.`t` TO `u`@`%`'],
                ['GRANT INSERT, SELECT (`a`) ON `a`.`t` TO `u`@`%`'],
            ),
        )

    def test_a_renamed_privilege_is_the_same(self):
        self.assertEqual(
            [],
            grants.missing(
                ['GRANT REPLICATION CLIENT ON *.* TO `r`@`%`'],
                ['GRANT BINLOG MONITOR ON *.* TO `r`@`%`'],
            ),
        )

    def test_quotes_of_proxy_are_alike(self):
        self.assertEqual(
            [],
            grants.missing(
                ['GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION'],
                ["GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION"],
            ),
        )

    def test_a_proxy_for_any_user_is_the_same_with_and_without_a_host(self):
        """Measured as above."""
        before, after = (
            ["GRANT PROXY ON ''@'' TO 'root'@'localhost' WITH GRANT OPTION"],
            ['GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION'],
        )
        self.assertEqual([], grants.missing(before, after))
        self.assertEqual(
            2,
            len(
                grants.missing(
                    before,
                    ['GRANT PROXY ON ``@`localhost` TO `root`@`localhost` WITH GRANT OPTION'],
                )
            ),
        )

    def test_a_lost_role_and_a_lost_default_role_are_named(self):
        lost = grants.missing(['GRANT `ro` TO `u`@`%`', 'SET DEFAULT ROLE `ro` FOR `u`@`%`'], [])
        self.assertEqual(['role on ro', 'statement on SET DEFAULT ROLE `ro` FOR `u`@`%`'], lost)

    def test_no_password_hash_stays_in_a_grant(self):
        said = (
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*94BD' REQUIRE SSL WITH "
            'MAX_USER_CONNECTIONS 3'
        )
        self.assertEqual(
            'GRANT USAGE ON *.* TO `u`@`%` REQUIRE SSL WITH MAX_USER_CONNECTIONS 3',
            grants.without_password(said),
        )
        self.assertNotIn(
            '94BD',
            grants.without_password(
                "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED VIA mysql_native_password USING '*94BD'"
            ),
        )

    def test_the_right_to_grant_a_role_is_a_right_of_its_own(self):
        for before, after, lost in (
            (
                'GRANT `r` TO `u`@`%` WITH ADMIN OPTION',
                'GRANT `r` TO `u`@`%`',
                ['ADMIN OPTION on role r'],
            ),
            ('GRANT `r` TO `u`@`%`', 'GRANT `r` TO `u`@`%` WITH ADMIN OPTION', []),
            (
                'GRANT `r`@`%`,`s`@`%` TO `u`@`%` WITH ADMIN OPTION',
                "GRANT 's'@'%' TO 'u'@'%' WITH ADMIN OPTION",
                ['ADMIN OPTION on role r@%', 'role on r@%'],
            ),
            ('GRANT `a,b`@`%` TO `u`@`%`', 'GRANT `a,b`@`%`,`c`@`%` TO `u`@`%`', []),
        ):
            self.assertEqual(lost, grants.missing([before], [after]), before)
