# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.db import impatient
from trove_upgrade.db.address import parse as parse_url
from trove_upgrade.tests.unit import base


class TestBounds(base.TestCase):
    def test_every_wait_of_mysql_is_bounded(self):
        query = (
            impatient.Bounds()
            .of_url(parse_url('mysql+pymysql://u:p@h/d?connect_timeout=60&charset=utf8mb4', 'x'))
            .query
        )
        self.assertEqual(
            {
                'connect_timeout': '3',
                'read_timeout': '3',
                'write_timeout': '3',
                'charset': 'utf8mb4',
            },
            dict(query),
        )

    def test_every_connect_of_postgresql_is_bounded_and_given_options_stay(self):
        query = (
            impatient.Bounds()
            .of_url(parse_url('postgresql+psycopg2://u:p@h/d?options=-c geqo=off', 'x'))
            .query
        )
        self.assertEqual('-c geqo=off', query['options'])
        self.assertEqual(('3', '3000'), (query['connect_timeout'], query['tcp_user_timeout']))

    def test_statements_and_locks_are_bounded_in_each_session_as_poolers_refuse_settings_before(
        self,
    ):
        bounds = impatient.Bounds(3, 1)
        self.assertEqual(
            ["statement_timeout = '3s'", "lock_timeout = '1s'"], bounds.of_session('postgresql')
        )
        self.assertEqual(
            ['innodb_lock_wait_timeout = 1', 'lock_wait_timeout = 1'], bounds.of_session('mysql')
        )
        self.assertEqual(["statement_timeout = '3s'"], impatient.Bounds().of_session('postgresql'))
        self.assertEqual((), impatient.Bounds().of_session('mariadb'))

    def test_the_bounds_of_renewals_leave_room_in_every_lease(self):
        for lease_seconds, answer_seconds in ((5, 2), (14, 2), (15, 3), (3600, 3)):
            bounds = impatient.Bounds.within_lease(lease_seconds)
            self.assertEqual(answer_seconds, bounds.answer_seconds)
            self.assertLess(bounds.lock_seconds, bounds.answer_seconds)

    def test_what_no_server_has_is_left_as_it_is(self):
        url = parse_url('sqlite://', 'x')
        self.assertEqual(url, impatient.Bounds().of_url(url))
