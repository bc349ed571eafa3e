# SPDX-License-Identifier: Apache-2.0
"""The edge of a check, with exceptions of libraries that hold what no reader may see."""

import pathlib

import fixtures
from oslo_config import cfg

from trove_upgrade.cmd.status import edge
from trove_upgrade.tests.unit import base


class Checks:
    """As much of the program as the edge asks."""

    def __init__(self, conf, error):
        self.conf = conf
        self._error = error

    def check(self):
        raise self._error


class TestEdge(base.TestCase):
    def row(self, error, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'x.conf')
        path.write_text(text)
        conf = cfg.ConfigOpts()
        conf(['--config-file', str(path)], project='trove-upgrade')
        _, check = edge.guarded('Nova', Checks.check)
        return check(Checks(conf, error)).details

    def test_passwords_of_the_files_are_hidden_in_a_librarys_text(self):
        text = (
            '[DEFAULT]\ntransport_url = '
            'rabbit://u:br0ker1@h:1/v,u:br0ker2@h:2/v\n[database]\nconnection = '
            'mysql+pymysql://u:d%40tabase@h/d\n'
            '[trove_upgrade]\nguest_transport_url = '
            'rabbit://u:gu3st@h/v\n[service_credentials]\npassword = '
            'k3ystone$one\n[keystone_authtoken]\npassword = "t0ken"\n'
        )
        said = 'br0ker1 br0ker2 gu3st d%40tabase d@tabase k3ystone$one k3ystone t0ken'
        found = self.row(Exception(f'cannot use {said}'), text)
        self.assertEqual([], [word for word in said.split() if word in found], found)
        self.assertIn('Exception: cannot use ***', found)

    def test_a_password_that_is_a_word_leaves_our_own_words(self):
        found = self.row(Exception('nothing'), '[service_credentials]\npassword = trove-upgrade\n')
        self.assertIn('"trove-upgrade-status" in the reference', found)

    def test_it_is_one_line(self):
        self.assertNotIn('\n', self.row(OSError('one\ntwo'), ''))

    def test_what_a_terminal_would_obey_is_escaped(self):
        found = self.row(OSError('one\x1b[2Jtwo'), '')
        self.assertIn('one\\x1b[2Jtwo', found)
