# SPDX-License-Identifier: Apache-2.0
"""The log of a program whose libraries and errors quote a guest: each line is the log's own, and a
terminal obeys none.
"""

import json
import pathlib
import subprocess
import sys

import fixtures

from trove_upgrade.tests.unit import base

_PROGRAM = r"""
import logging, sys, traceback
from oslo_config import cfg
from oslo_log import log
from trove_upgrade.conf import start
from trove_upgrade.domain import logs

conf = cfg.CONF
log.register_options(conf)
start.read(conf, ['--config-file', sys.argv[1]])
start.open_log(conf)
start.open_log(conf)
EVIL = 'said\n2026-01-01 00:00:00.000 1 INFO forged.line all is well\r\x1b[2J\x9b1m\u2028\u202ex'
library, ours = logging.getLogger('a.library'), logs.get_logger('trove_upgrade.x')
library.warning('it %s', EVIL)
library.warning(EVIL)
library.warning({'a': EVIL})
library.warning('100 %')
library.warning('%d %s', 'does not fit', 'x')
class Odd(Exception):
    def __str__(self):
        raise ValueError(EVIL)
try:
    try:
        raise KeyError(EVIL)
    except KeyError as error:
        raise RuntimeError(EVIL) from error
except RuntimeError as error:
    error.add_note(EVIL)
    library.exception('with a traceback %s', EVIL)
    ours.error('ours %s', EVIL, exc_info=True)
    library.error('no traceback was asked for')
    library.error('with a stack', stack_info=True)
for found in (Odd(), ExceptionGroup(EVIL, [ValueError(EVIL), Odd()]), SystemExit(EVIL),
              SyntaxError(EVIL, (EVIL, 1, 1, EVIL))):
    library.error('given', exc_info=found)
one, two = RuntimeError(EVIL), RuntimeError('two')
one.__context__, two.__context__ = two, one
library.error('causes in a ring', exc_info=one)
for number in range(5000):
    new = RuntimeError(f'{number} {EVIL}')
    new.__context__ = one
    one = new
library.error('causes without end', exc_info=one)
library.info('the end')
"""
_LOGGING = """
[loggers]
keys = root, one
[handlers]
keys = all, own
[formatters]
keys = {formatters}
[logger_root]
level = DEBUG
handlers = all
[logger_one]
level = DEBUG
handlers = own
qualname = a.library
[handler_all]
class = StreamHandler
args = (sys.stdout,)
{formatter}
[handler_own]
class = FileHandler
args = ({own!r},)
{formatter}
[formatter_json]
class = oslo_log.formatters.JSONFormatter
"""


class TestCleanLog(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def written(self, options=''):
        """What the program logs."""
        path = self.folder / 'x.conf'
        path.write_text(f'[DEFAULT]\ndebug = true\nlog_file = {self.folder}/log\n{options}\n')
        command = [sys.executable, '-W', 'ignore', '-c', _PROGRAM, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        log = self.folder / 'log'
        return log.read_text() if log.exists() else done.stdout

    def logging(self, *, json_lines):
        path = self.folder / 'logging.conf'
        names = ('json', 'formatter = json') if json_lines else ('', '')
        path.write_text(
            _LOGGING.format(formatters=names[0], formatter=names[1], own=str(self.folder / 'own'))
        )
        return f'log_config_append = {path}\n'

    def assert_clean(self, written):
        self.assertIn('the end', written)
        bad = [line for line in written.split('\n') if not line.isprintable()]
        self.assertEqual([], bad)
        forged = [line for line in written.split('\n') if line.startswith('2026-01-01 00:00:00')]
        self.assertEqual([], forged)

    def test_with_the_format_of_oslo_log(self):
        written = self.written()
        self.assert_clean(written)
        self.assertIn(r'it said\n2026-01-01 00:00:00.000', written)
        self.assertIn('KeyError: ', written)
        self.assertIn('direct cause of the following exception', written)
        self.assertRegex(written, r'ERROR a\.library +File "<string>", line \d+, in <module>')
        self.assertIn('100 %', written)
        for line in written.splitlines():
            self.assertNotIn(' forged.line all', line.partition('said')[0])

    def test_with_a_configuration_of_the_log(self):
        self.written(self.logging(json_lines=False))
        self.assert_clean((self.folder / 'own').read_text())

    def test_with_lines_of_json(self):
        self.written(self.logging(json_lines=True))
        written = (self.folder / 'own').read_text()
        lines = [json.loads(line) for line in written.splitlines()]
        self.assertIn('the end', [each['message'] for each in lines])
        shown = [text for each in lines for text in (each['message'], *(each['traceback'] or ()))]
        parts = [line for text in shown for line in text.split('\n')]
        self.assertEqual([], [line for line in parts if not line.isprintable()])
