# SPDX-License-Identifier: Apache-2.0
"""The agent's client against servers that are the tenant's own programs: what they ask for is not
given.
"""

from trove_upgrade.guestagent.datastores.mysql_family import connection
from trove_upgrade.tests.unit import base, rogue
from trove_upgrade.tests.unit.rogue import Rogue, switch

PASSWORD = 'canary-of-root-5b7'


class TestWhatAServerAsksFor(base.TestCase):
    def connect(self, server):
        return connection.open_session(
            connection.Credentials(str(server.path), 'root', PASSWORD), 1
        )

    def test_the_password_in_clear_is_not_sent(self):
        for plugin in (b'mysql_clear_password', b'dialog', b'mysql_old_password'):
            for initial in (b'mysql_native_password', plugin):
                server = self.useFixture(
                    Rogue(
                        switch(
                            plugin, b'\x04Password: ' if plugin == b'dialog' else b'12345678\x00'
                        ),
                        plugin=initial,
                    )
                )
                error = self.assertRaises(connection.LoginRefused, self.connect, server)
                self.assertIn('clear text', error.message)
                self.assertNotIn(PASSWORD.encode(), server.got)

    def test_a_plugin_that_nobody_knows_or_can_name_is_no_answer(self):
        for plugin in (b'another', b'\xff\xfe'):
            server = self.useFixture(Rogue(switch(plugin)))
            self.assertRaises(connection.NoAnswer, self.connect, server)

    def test_a_file_of_the_agent_s_is_not_sent_whenever_it_is_asked_for(self):
        for answers in (
            (rogue.OK, b'\xfb/etc/shadow'),
            (rogue.OK, rogue.OK, b'\xfb/etc/shadow'),
            (rogue.OK, rogue.OK, rogue.OK, rogue.OK, b'\xfb/etc/shadow'),
        ):
            server = self.useFixture(Rogue(*answers))
            error = self.assertRaises(connection.NoAnswer, self.connect, server)
            self.assertEqual('DATABASE_NOT_RUNNING', error.code)
            self.assertNotIn(b'root:', server.got)

    def test_nor_in_a_session_that_was_open(self):
        pinned = (rogue.OK,) * (4 + len(connection.SESSION))
        server = self.useFixture(Rogue(*pinned, b'\xfb/etc/shadow'))
        session = self.connect(server)
        error = self.assertRaises(connection.SessionError, session.rows, 'SELECT 1')
        self.assertIn('a file of the agent', error.message)
        self.assertRaises(connection.SessionError, session.rows, 'SELECT 1')
        session.close()

    def test_a_server_that_does_not_keep_to_the_protocol_is_no_answer(self):
        for answer in (b'', b'\x01', b'\xfd\xff', b'\xfe', b'\x03abc'):
            server = self.useFixture(Rogue(answer))
            self.assertRaises(connection.NoAnswer, self.connect, server)
