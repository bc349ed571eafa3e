# SPDX-License-Identifier: Apache-2.0
"""Place of the socket during a start that no client may come to."""

import pathlib

from trove_upgrade.domain.notes import SettingChange
from trove_upgrade.guestagent.datastores import base as datastore
from trove_upgrade.guestagent.datastores.mysql_family import isolated, socket_place
from trove_upgrade.tests.unit import base

_ROOT = pathlib.Path('/')
_TOLD = '/run/mysqld/mysqld.sock'
_OTHER = SettingChange(name='sql_mode', before='A', after='B')


class TestSocketPlace(base.TestCase):
    def test_what_a_server_is_told_is_closed_and_read_again(self):
        argument = socket_place.argument(_ROOT)
        self.assertEqual(_TOLD, socket_place.told([*isolated.ARGUMENTS, argument]))
        self.assertTrue(socket_place.is_closed(_TOLD, _ROOT))
        self.assertIsNone(socket_place.told((*isolated.ARGUMENTS, isolated.X_SOCKET)))

    def test_the_socket_of_another_plugin_is_closed_too(self):
        path = isolated.X_SOCKET.partition('=')[2]
        self.assertTrue(socket_place.is_closed(path, _ROOT))

    def compared(self, named, *changes):
        found = datastore.Comparison(
            missing=(), settings_changed=changes, tables_compared=0, rows_compared=0
        )
        return list(socket_place.as_clients_meet_it(found, named).settings_changed)

    def test_a_socket_is_compared_as_clients_will_meet_it(self):
        moved = SettingChange(name='socket', before='/tmp/a', after=_TOLD)
        self.assertEqual([_OTHER], self.compared('/tmp/a', moved, _OTHER))
        self.assertEqual([moved], self.compared(None, moved))
        self.assertEqual(
            [SettingChange(name='socket', before='/tmp/a', after='/tmp/b')],
            self.compared('/tmp/b', moved),
        )
