# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.db import address, errors
from trove_upgrade.tests.unit import base


class TestAddress(base.TestCase):
    def test_a_password_that_is_not_encoded_is_refused_before_a_part_of_it_is_a_host(self):
        for wrong in (
            'mysql+pymysql://u:se@cret@h/d',
            'mysql+pymysql://u:se@cr/et@h/d',
            'mysql+pymysql://u:se@c?ret@h/d',
            'mysql+pymysql://u:se@c:ret@h/d',
            'mysql+pymysql://u:p@h:secret/d',
            'secret',
        ):
            message = self.assertRaises(errors.DatabaseRefused, address.parse, wrong, 'x').message
            for part in ('secret', 'cret', 'cr/et', 'ret@'):
                self.assertNotIn(part, message)

    def test_what_is_encoded_is_taken(self):
        self.assertEqual(
            'p@:/?', address.parse('mysql+pymysql://u:p%40%3A%2F%3F@h/d', 'x').password
        )
        self.assertEqual('/a@b.sqlite', address.parse('sqlite:////a@b.sqlite', 'x').database)
        self.assertEqual(
            'p@q', address.parse('mysql+pymysql://h/d?password=p@q', 'x').query['password']
        )

    def test_a_text_is_shown_without_the_passwords_of_the_url(self):
        url = 'postgresql+psycopg2://user:s%40cret@h/d?sslpassword=other&password=third'
        self.assertEqual(
            '*** *** *** user h', address.without_secrets('s@cret other third user h', url)
        )
        self.assertEqual(
            'trove at h', address.without_secrets('trove at h', 'mysql+pymysql://trove:trove@h/d')
        )
        self.assertEqual('a text', address.without_secrets('a text', None))
        self.assertEqual('a text', address.without_secrets('a text', 'none'))
