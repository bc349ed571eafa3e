# SPDX-License-Identifier: Apache-2.0
"""Lines of libraries in the log of our programs: a holder of the broker's account forges none."""

import pathlib
import subprocess
import sys

import fixtures

from trove_upgrade.conf import clean_log
from trove_upgrade.tests.unit import base

_PROGRAM = """
import logging, sys
from trove_upgrade.wsgi import threads
threads.choose()
from oslo_config import cfg
from oslo_log import log
from oslo_messaging._drivers import amqpdriver
from trove_upgrade.conf import start

log.register_options(cfg.CONF)
start.read(cfg.CONF, ['--config-file', sys.argv[1]])
start.open_log(cfg.CONF)
forged = '1\\n2026-11-28 ERROR forged\\r\\x1b[2J\\x9b\\u2028'
amqpdriver.ReplyWaiters().put(forged, {})
amqpdriver.ReplyWaiters().put('long ' + 'x' * 5_000_000, {})
for name in ('kombu', 'amqp.connection', 'urllib3.connectionpool', \
'keystonemiddleware.auth_token', 'another'):
    logging.getLogger(name).warning('%(a)s of %(b)r', {'a': forged, 'b': 7})
    logging.getLogger(name).warning(forged)
    logging.getLogger(name).warning('100 %% of %s', [forged, OSError(forged)])
    logging.getLogger(name).warning('100 %')
"""
_APPENDED = (
    '[loggers]\nkeys = root, other\n[handlers]\nkeys = all, own\n[formatters]\nkeys =\n'
    '[logger_root]\nlevel = DEBUG\nhandlers = all\n'
    '[logger_other]\nlevel = DEBUG\nhandlers = own\nqualname = another\npropagate = 0\n'
    '[handler_all]\nclass = StreamHandler\nargs = (sys.stdout,)\n'
    '[handler_own]\nclass = StreamHandler\nargs = (sys.stdout,)\n'
)


class TestLinesOfLibraries(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def written(self, more):
        path = self.folder / 'trove-upgrade.conf'
        path.write_text(f'[DEFAULT]\n{more}\n')
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', _PROGRAM, str(path)],
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        log = self.folder / 'log'
        return (log.read_bytes() if log.exists() else done.stdout).decode()

    def assert_whole(self, written):
        lines = written.split('\n')
        self.assertEqual('', lines.pop())
        self.assertEqual(2 + 5 * 4, len(lines))
        for line in lines:
            self.assertTrue(line.isprintable(), line[:200])
            self.assertLess(len(line), clean_log.LONGEST + 500)
        self.assertEqual(16, sum('\\n2026-11-28 ERROR forged' in line for line in lines))
        self.assertEqual(5, sum(line.endswith('100 %') for line in lines))

    def test_what_came_over_the_network_neither_ends_a_line_nor_moves_the_cursor(self):
        self.assert_whole(self.written(f'log_file = {self.folder}/log'))

    def test_nor_with_a_configuration_of_the_log(self):
        path = self.folder / 'logging.conf'
        path.write_text(_APPENDED)
        self.assert_whole(self.written(f'log_config_append = {path}'))
