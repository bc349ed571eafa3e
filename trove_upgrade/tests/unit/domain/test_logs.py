# SPDX-License-Identifier: Apache-2.0
"""Lines of ours in the formats of oslo.log, from within the handlers of exceptions."""

import ast
import contextvars
import json
import logging
import pathlib
import threading

from oslo_config import cfg
from oslo_context import fixture as context_fixture
from oslo_log import formatters, log

import trove_upgrade
from trove_upgrade.domain import logs
from trove_upgrade.tests.unit import base

_PACKAGE = pathlib.Path(trove_upgrade.__file__).parent
_SECRET = 's3cret-XYZ'


class Kept(logging.Handler):
    """What a formatter makes of each record, when it is logged."""

    def __init__(self, formatter):
        super().__init__()
        self.setFormatter(formatter)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


def fail(error):
    raise error


class TestWholeLines(base.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(
            context_fixture.ClearRequestContext()
        )  # of an earlier test in this thread: a line would have it
        self.conf = cfg.ConfigOpts()
        log.register_options(self.conf)
        self.conf(args=[], default_config_files=[], default_config_dirs=[])

    def kept(self, formatter):
        """(logger of ours, what it writes)."""
        found = Kept(formatter)
        logger = logging.getLogger(self.id())
        logger.addHandler(found)
        self.addCleanup(logger.removeHandler, found)
        logger.propagate = False
        return logs.get_logger(self.id()), found.lines

    def written(self, write, formatter=None):
        """The line that `write` leaves in the handler of an error, inside the one of its caller."""
        ours, lines = self.kept(formatter or formatters.ContextFormatter(config=self.conf))
        try:
            fail(ConnectionError(f'first {_SECRET}'))
        except ConnectionError:
            try:
                fail(OSError(_SECRET))
            except OSError as error:
                write(ours, error)
        [line] = lines
        return line

    def test_nothing_follows_the_sentence(self):
        for level in ('warning', 'error', 'critical'):
            line = self.written(
                lambda ours, _, level=level: getattr(ours, level)('%s is away', 'It')
            )
            self.assertTrue(line.endswith(' [-] It is away'), line)
        line = self.written(lambda ours, _: ours.log(logging.ERROR, 'It is away', exc_info=None))
        self.assertTrue(line.endswith(' [-] It is away'), line)

    def test_a_guests_text_neither_ends_a_line_nor_moves_the_cursor(self):
        for value in (
            'a\n2026 ERROR forged\x1b[2J\x85\u2028',
            OSError('a\rb\x1b'),
            ['a\x9b', 'b\n'],
            {'a': 'b\n'},
            b'a\n',
            None,
            7,
            2.5,
        ):
            line = self.written(
                lambda ours, _, value=value: ours.warning('%s and %r', value, value)
            )
            self.assertTrue(line.isprintable(), line)
        self.assertIn('7 of 2.5', self.written(lambda ours, _: ours.warning('%d of %g', 7, 2.5)))
        self.assertIn('b\\n', self.written(lambda ours, _: ours.warning('%(a)s', {'a': 'b\n'})))

    def test_nor_in_a_format_with_a_place_for_it_or_in_json(self):
        self.conf.set_override('logging_default_format_string', '%(message)s|%(error_summary)s')
        self.assertEqual('It is away|-', self.written(lambda ours, _: ours.error('It is away')))
        for kind in (formatters.JSONFormatter, formatters.FluentFormatter):
            line = self.written(lambda ours, _: ours.error('It is away'), kind())
            found = line if isinstance(line, dict) else json.loads(line)
            self.assertEqual('', found['error_summary'])

    def test_a_traceback_that_is_asked_for_is_the_errors(self):
        for write in (
            lambda ours, _: ours.exception('It failed'),
            lambda ours, error: ours.error('It failed', exc_info=error),
        ):
            line = self.written(write)
            self.assertIn(f'It failed: OSError: {_SECRET}', line)
            self.assertIn(f'ERROR {self.id()} OSError: {_SECRET}', line)
            self.assertNotIn('KeyError', line)

    def test_a_line_is_its_callers(self):
        ours, lines = self.kept(logging.Formatter('%(funcName)s'))
        ours.warning('x')
        ours.info('x')
        ours.error('x', exc_info=None)
        ours.log(logging.ERROR, 'x')
        self.assertEqual({'test_a_line_is_its_callers'}, set(lines))

    def shown(self, write):
        """The ids in the brackets of the lines that `write` leaves."""
        ours, lines = self.kept(formatters.ContextFormatter(config=self.conf))
        write(ours)
        return [line.split('[')[1].split(']')[0].split() for line in lines]

    def test_a_line_of_a_request_carries_its_id_and_those_after_it_do_not(self):
        def write(ours):
            with logs.of_request('req-1'):
                ours.warning('x')
                with logs.of_request('req-2'):
                    ours.info('x')
                ours.error('x', exc_info=OSError('y'))
            ours.warning('x')

        first, second, *third, last = self.shown(write)
        self.assertIn('req-1', first)
        self.assertIn('req-2', second)
        self.assertTrue(all('req-1' in line for line in third))
        self.assertEqual(['-'], last)
        self.assertIsNone(logs.request_id())

    def test_what_can_be_no_id_stands_in_no_line(self):
        def write(ours):
            for found in (None, '', 'a b', 'x' * 65, 'req-1\n', 7, ['req-1']):
                with logs.of_request(found):
                    ours.warning('x')

        self.assertEqual([['-']] * 7, self.shown(write))

    def test_a_thread_carries_it_only_where_it_is_handed_on(self):
        def write(ours):
            with logs.of_request('req-1'):
                for target in (ours.warning, contextvars.copy_context().run):
                    args = ('x',) if target == ours.warning else (ours.warning, 'x')
                    thread = threading.Thread(target=target, args=args)
                    thread.start()
                    thread.join()

        without, carried = self.shown(write)
        self.assertEqual(['-'], without)
        self.assertIn('req-1', carried)

    def test_every_module_has_such_a_logger(self):
        """The one of a module's own name; the lab's part of nova-compute cannot import it."""
        found = [
            str(path.relative_to(_PACKAGE))
            for path in sorted(_PACKAGE.rglob('*.py'))
            if path.relative_to(_PACKAGE).parts[0] != 'tests'
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == 'getLogger'
            and any(getattr(argument, 'id', None) == '__name__' for argument in node.args)
        ]
        self.assertEqual([], found)
